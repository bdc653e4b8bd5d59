/*
 * lists: reads of messages for clients: get, list, and what other calls need to read. Every read boards a flight
 * (coalesce.h); a flight is one read of the coordinator (read.h).
 */
#ifndef TRILLIUM_ROUTERD_API_LISTS_H
#define TRILLIUM_ROUTERD_API_LISTS_H

#include "common/model/page.h"
#include "routerd/api/worker.h"

/* The bound of a flight_key: which ids, from key.id on. */
enum flight_bound {
    FLIGHT_DOWN = 1,  /* id and older, newest first */
    FLIGHT_UP = 2,    /* id and newer, oldest first */
    FLIGHT_EXACT = 3, /* id alone */
};

/* Embedded in whatever wants a page. */
struct read_passenger {
    struct passenger passenger; /* its trace is the caller's to set */
    uint64_t boarded_ns;
    struct worker *worker;
    void (*done)(struct read_passenger *passenger, enum status status, struct bytes page, bool more);
};

/* done is called later, never from inside. */
void lists_board(struct worker *worker, const struct flight_key *key, struct read_passenger *passenger);
struct read_page {
    struct bytes bytes;
    bool more;
};
/* (fiber) The same, for a request; the page is copied into arena. */
enum status lists_read_wait(struct worker *worker, const struct rpc_request *request, const struct flight_key *key,
    struct arena *arena, struct read_page *out) MUST_CHECK;
/* The coalesce's depart; context is the worker. */
void lists_depart(void *context, struct flight *flight);

#endif
