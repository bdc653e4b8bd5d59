/*
 * methods: the one list of method numbers (proto/README.md says which message belongs to which). A number is never
 * used again for something else.
 */
#ifndef TRILLIUM_COMMON_RPC_METHODS_H
#define TRILLIUM_COMMON_RPC_METHODS_H

#include <stdint.h>

enum { METHODS_MAX = 256 };

#define METHOD(number, name) METHOD_##name = number,
enum method {
#include "common/rpc/methods.def"
};
#undef METHOD

/* "REPLICA_WRITE"; "?" for a number that is not in the list. */
const char *method_name(uint16_t method);

#endif
