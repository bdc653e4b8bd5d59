/* pages: as many messages as were asked for, however many pages they take. One thread. */
#ifndef TRILLIUM_MSGCTL_PAGES_H
#define TRILLIUM_MSGCTL_PAGES_H

#include "client/trillium.h"

struct pages {
    size_t count, capacity;                   /* of messages */
    const struct trillium_message **messages; /* in the order in which they are printed; they live until pages_free */
    size_t held_count;
    struct trillium_page *held;
    bool more; /* there are further ones in that direction */
};

/* query->limit may be any number. NEWEST and BEFORE give newest first, OLDEST oldest first, AFTER the nearest newer
   ones, newest first, AROUND the id if visible, (limit - 1) / 2 newer and the rest older; oldest_first turns what is
   found round, and makes OLDEST of NEWEST. A status that is not DONE leaves what was found so far. */
int pages_collect(struct trillium *trillium, const struct trillium_query *query, struct pages *out);
void pages_free(struct pages *pages);

#endif
