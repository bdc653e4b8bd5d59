/*
 * address: "host:port" texts. Every daemon has a base port; its listeners lie at fixed distances above it
 * (docs/protocols/ports.md). Pure functions.
 */
#ifndef TRILLIUM_COMMON_CLUSTER_ADDRESS_H
#define TRILLIUM_COMMON_CLUSTER_ADDRESS_H

#include <stdint.h>

#include "common/base/status.h"
#include "common/model/view.h"

enum {
    PORT_CONTROLLER = 7100,
    PORT_ROUTER = 7200,
    PORT_NODE = 7300,
    /* Distances from the base port; shard or worker i adds i. */
    PORT_RPC = 0,
    PORT_CLIENTS = 32,
    PORT_BULK = 64,
    PORT_HTTP = 99,
};

/* Takes "host" or "host:port"; writes "host:port" with default_port where none is given. BAD_REQUEST: malformed or too
   long. */
enum status address_complete(const char *text, uint16_t default_port, char out[ADDRESS_BYTES]) MUST_CHECK;
/* Moves the port of "host:port" by distance. BAD_REQUEST: malformed, or the port leaves its range. */
enum status address_shift(const char *address, unsigned distance, char out[ADDRESS_BYTES]) MUST_CHECK;

#endif
