/*
 * generator: conversations that look like real ones, for tests and demonstrations: channels of very different sizes,
 * several languages, emoji, long texts, edited messages, attachments. The same seed gives the same messages. Pure.
 */
#ifndef TRILLIUM_MSGCTL_GENERATOR_H
#define TRILLIUM_MSGCTL_GENERATOR_H

#include "client/trillium.h"
#include "common/base/arena.h"
#include "common/base/prng.h"

enum { GENERATOR_CHANNELS_MAX = 100000 };

struct generator {
    struct prng prng;
    uint64_t seed;
    unsigned channels;
    double *weights; /* cumulated */
    int64_t now_ms;  /* of the next message's id */
    uint64_t count;
    uint64_t *newest; /* by channel: what a reply answers; 0: nothing yet */
};

/* channels 0: one for every 60 of messages. Ids run from start_ms on, about one a second. */
void generator_init(struct generator *generator, uint64_t seed, unsigned channels, int64_t start_ms);
void generator_fini(struct generator *generator);

/* The next message, in time order; what it points to lives in arena. */
void generator_next(struct generator *generator, struct arena *arena, struct trillium_message *out);

#endif
