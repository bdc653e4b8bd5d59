/*
 * watch: asks a reactor to say when a descriptor can be read or written. For backends of the link door that make their
 * own socket calls (common/rpc/sp); nothing else of a daemon sees a descriptor.
 *
 * Level-triggered: ready is called once in every turn in which something wanted is possible. An error or a hang-up is
 * told as all that is wanted; the socket call says what it is. Used on the reactor's thread (before its first turn: by
 * whoever sets it up). The simulator's reactors watch nothing.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_WATCH_H
#define TRILLIUM_COMMON_RUNTIME_WATCH_H

struct reactor;
struct watch_slot; /* the backend's */

enum { WATCH_READ = 1, WATCH_WRITE = 2 };

/* Embedded in its owner. */
struct watch {
    int fd; /* does not block */
    unsigned wanted;
    /* Inside a turn. May change or end this watch and any other. */
    void (*ready)(struct watch *watch, unsigned events);
    struct watch_slot *slot;
};

static inline void watch_init(struct watch *watch, int fd, void (*ready)(struct watch *watch, unsigned events))
{
    *watch = (struct watch){.fd = fd, .ready = ready};
}

/* From now on: WATCH_READ, WATCH_WRITE, both, or 0 for neither. */
void reactor_watch(struct reactor *reactor, struct watch *watch, unsigned wanted);
/* No ready comes any more, and the watch's memory is its owner's. Comes before the descriptor is closed; shut the
   socket down before, since the kernel may hold it until the next turn. No-op when it is not watched. */
void reactor_unwatch(struct reactor *reactor, struct watch *watch);

#endif
