/*
 * coalesce: one flight for many equal reads, by the departure rule.
 *
 * A read boards a flight only while that flight's replica calls have not left. Per key one flight is flying and one
 * boarding; the boarding one departs at the end of the turn when nothing flies, else when the flying one has landed.
 * So an answer never holds what was fetched before the read was asked, and replicas see at most two reads of a key per
 * round trip, however many ask. A passenger may leave before landing; nobody else notices.
 * Belongs to one reactor. Knows nothing of what a flight does: its owner's depart() starts the replica calls and
 * calls coalesce_land() when they are done.
 */
#ifndef TRILLIUM_ROUTERD_COALESCE_COALESCE_H
#define TRILLIUM_ROUTERD_COALESCE_COALESCE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/list.h"
#include "common/base/map.h"
#include "common/base/status.h"
#include "common/runtime/reactor.h"

/* What makes two reads equal. No padding. */
struct flight_key {
    uint64_t channel;
    uint64_t id;
    uint32_t table;
    uint32_t limit;
    uint32_t bytes_max;
    uint16_t bound, level;
};

struct coalesce;

struct flight {
    struct flight_key key;
    struct coalesce *coalesce;
    struct list passengers;
    uint64_t trace; /* of whoever boarded first */
    uint32_t boarded;
    bool flying;
    struct list link;      /* in its key's chain */
    struct list departure; /* in the list of flights that depart at the end of this turn */
    void *user;            /* the owner's, for the time of the flight */
};

/* Embedded in whatever wants the answer. */
struct passenger {
    struct list link;
    struct flight *flight;
    uint64_t trace;        /* the caller's; 0: none */
    uint64_t flight_trace; /* when landed: of the flight */
    /* page is valid during the call only. */
    void (*landed)(struct passenger *passenger, enum status status, struct bytes page, bool more);
};

struct coalesce {
    struct reactor *reactor;
    void (*depart)(void *context, struct flight *flight);
    void *context;
    struct map chains; /* by hash of the key: flights of all keys with that hash */
    struct list departing;
    struct task departures;
    uint64_t flights, joined; /* counters: flights that departed; passengers beyond the first of each */
};

/* depart is called from a task, once for each flight. */
void coalesce_init(struct coalesce *coalesce, struct reactor *reactor,
    void (*depart)(void *context, struct flight *flight), void *context);
/* No flight is left. */
void coalesce_fini(struct coalesce *coalesce);
/* passenger->landed will be called later, never from inside. */
void coalesce_board(struct coalesce *coalesce, const struct flight_key *key, struct passenger *passenger);
/* The passenger no longer wants the answer. No-op when it has landed. */
void coalesce_leave(struct passenger *passenger);
/* The flight's answer: every passenger is told, the flight is gone. */
void coalesce_land(struct flight *flight, enum status status, struct bytes page, bool more);

#endif
