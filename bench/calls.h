/*
 * calls: what the load generator calls. Kinds are drawn by weight, channels evenly or by Zipf's law, contents are
 * pieces of a made-up text; edits and deletes go to messages that were acknowledged lately.
 *
 * Threads: begin from any one thread at a time beside the library's thread; a lock of its own guards what both use.
 */
#ifndef TRILLIUM_BENCH_CALLS_H
#define TRILLIUM_BENCH_CALLS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/trillium.h"
#include "common/base/prng.h"

enum call_kind { CALL_INSERT, CALL_EDIT, CALL_DELETE, CALL_LATEST, CALL_KINDS };

enum { CALLS_CONTENT_MAX = 4096, CALLS_TEXT_BYTES = 1 << 20, CALLS_RECENT = 1 << 16 };

/* The caller fills the first part and zeroes the rest; calls_open makes it ready, calls_close frees what it made. */
struct calls {
    unsigned weights[CALL_KINDS]; /* not all 0 */
    unsigned channels, limit, content_bytes;
    uint64_t first_channel, seed;
    double zipf; /* exponent; 0: all channels alike */

    struct trillium *trillium;
    pthread_mutex_t lock;
    struct prng prng;
    double *shares; /* channels: the share of all up to and with this one; NULL when they are alike */
    char *text;
    struct recent {
        uint64_t channel_id, message_id;
    } * recent; /* a ring; message_id 0: not there, or deleted */
    uint64_t sent;
};

/* One call; embedded in what the caller keeps for it. */
struct call {
    struct calls *calls;
    void (*done)(struct call *call, int status, uint64_t messages);
    enum call_kind kind;
    uint64_t channel_id;
};

extern const char *const call_names[CALL_KINDS];

/* "insert=83,edit=5,delete=2,latest=10"; false when it is not such a list. */
bool calls_parse_weights(const char *text, unsigned weights[CALL_KINDS]);
void calls_open(struct calls *calls);
void calls_close(struct calls *calls);

/* Draws what it will be (call->kind) and makes it; call->done tells on the library's thread, maybe before this returns.
 */
void call_begin(struct call *call);

/* Deletes all messages of every channel, with a few calls under way; returns how many channels could not be. */
unsigned calls_purge(struct calls *calls);

#endif
