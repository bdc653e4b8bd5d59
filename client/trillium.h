/*
 * libtrillium: the client library of Trillium, a store for chat messages.
 *
 * One struct trillium is one connection to a cluster: it finds the routers, sends every call to the one that owns the
 * channel, repeats what failed until the call's deadline, and makes message ids. It is thread-safe: any thread may
 * call, many calls may be under way.
 *
 * Outcomes. Every call ends with a status, and a status has a class (trillium_class_of):
 *   DONE     it had its effect (notes: PENDING, SUPERSEDED, ...)
 *   REFUSED  no effect, and it will be refused again
 *   FINAL    the message is deleted for ever
 *   RETRY    no effect; try later
 *   UNKNOWN  it may or may not have had its effect: repeat it with the same id, which is always safe
 * A send whose outcome is UNKNOWN has its id in message->message_id all the same; keep it for the repetition.
 *
 * Two ways to call: functions that wait, and the same names with _async, which return at once and tell a callback on
 * the library's thread. A callback must not wait and must not call a function that waits. What a callback or a page
 * points to lives until it returns (callbacks) or until trillium_page_free (pages).
 */
#ifndef TRILLIUM_H
#define TRILLIUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TRILLIUM_API __attribute__((visibility("default")))

struct trillium;

enum trillium_class {
    TRILLIUM_DONE,
    TRILLIUM_REFUSED,
    TRILLIUM_FINAL,
    TRILLIUM_RETRY,
    TRILLIUM_UNKNOWN,
    TRILLIUM_LOCAL,
};

/* The numbers of statuses that programs ask for by name; all others have names and classes too. */
enum {
    TRILLIUM_OK = 0,
    TRILLIUM_NOT_FOUND = 17,
    TRILLIUM_DELETED = 32,
    TRILLIUM_UNAVAILABLE = 53,
    TRILLIUM_TIMEOUT = 64,
};

TRILLIUM_API enum trillium_class trillium_class_of(int status);
/* "TIMEOUT" */
TRILLIUM_API const char *trillium_status_name(int status);
/* A sentence fragment for people. */
TRILLIUM_API const char *trillium_status_text(int status);
/* The library's version, "0.1.0". */
TRILLIUM_API const char *trillium_version(void);

enum trillium_level { TRILLIUM_LEVEL_DEFAULT = 0, TRILLIUM_ONE = 1, TRILLIUM_QUORUM = 2, TRILLIUM_ALL = 3 };

struct trillium_options {
    const char *routers;      /* "127.0.3.1,127.0.3.2:7200": any of them, the rest is found */
    const char *cluster_uuid; /* NULL: whichever cluster answers */
    unsigned deadline_ms;     /* of every call; 0: 10,000 */
    bool is_short_lived;      /* a program that makes a few calls and ends */
    bool is_driven;           /* no thread of its own: the caller turns it (trillium_turn) */
};

/* Returns at once; calls wait until a router is reached or their deadline. On failure NULL, and a sentence in error
   (which may be NULL). Close with trillium_close. */
TRILLIUM_API struct trillium *trillium_open(const struct trillium_options *options, char *error, size_t error_size);
/* Calls under way end as RETRY or UNKNOWN; says goodbye; waits for both. Connections are closed in the background a
   moment later. Not from a callback. */
TRILLIUM_API void trillium_close(struct trillium *trillium);
/* True when a router can be reached now. */
TRILLIUM_API bool trillium_is_up(struct trillium *trillium);

/* Driven instances live in the caller's loop, on one thread: wait until trillium_fd is readable, but not longer than
   trillium_turn said, then turn. A turn does what can be done, calls callbacks, and returns in how many milliseconds
   the next is due (-1: only when the descriptor is readable). A call that is started between turns makes the
   descriptor readable; callbacks may start calls. Functions that wait turn by themselves, so they call callbacks of
   other calls. Do not turn, wait or close inside a callback. docs/operating/running.md shows a loop. */
TRILLIUM_API int trillium_fd(struct trillium *trillium);
TRILLIUM_API int trillium_turn(struct trillium *trillium);

/* Bytes that are not there have data NULL; empty ones do not. */
struct trillium_bytes {
    const void *data;
    size_t size;
};

/* Which of the numbers below a message has. */
enum {
    TRILLIUM_HAS_EDITED_AT = 1,
    TRILLIUM_HAS_TYPE = 2,
    TRILLIUM_HAS_FLAGS = 4,
    TRILLIUM_HAS_REFERENCE = 8,
};

struct trillium_message {
    uint64_t channel_id;
    uint64_t message_id; /* sending: 0 has one made */
    int64_t author_id;
    struct trillium_bytes content; /* UTF-8, at most 65,536 bytes; may be empty */
    unsigned has;
    int64_t edited_at_ms; /* since 1970 */
    int32_t type;
    int64_t flags;
    int64_t reference_id;
    struct trillium_bytes attachments, embeds, extra;
    uint64_t import_session; /* sending: 0, or the session that allows ids older than the horizon */
};

/* Unix milliseconds of an id. */
TRILLIUM_API int64_t trillium_id_time_ms(uint64_t message_id);

/* ---- one message ---- */

/* Sends; message_id is set when it was 0. The message is copied. */
TRILLIUM_API int trillium_send(struct trillium *trillium, struct trillium_message *message, enum trillium_level level);
typedef void trillium_sent_fn(void *context, int status, uint64_t message_id);
TRILLIUM_API void trillium_send_async(struct trillium *trillium, const struct trillium_message *message,
    enum trillium_level level, trillium_sent_fn *done, void *context);

/* Which message, and how many replicas must say so. */
struct trillium_ref {
    uint64_t channel_id;
    uint64_t message_id;
    enum trillium_level level;
};

/* Edits content (and sets edited_at). PENDING: no such message is known, the edit waits for it. SUPERSEDED: a newer
   edit stays. */
TRILLIUM_API int trillium_edit(
    struct trillium *trillium, const struct trillium_ref *ref, struct trillium_bytes content);
typedef void trillium_done_fn(void *context, int status);
TRILLIUM_API void trillium_edit_async(struct trillium *trillium, const struct trillium_ref *ref,
    struct trillium_bytes content, trillium_done_fn *done, void *context);

TRILLIUM_API int trillium_delete(struct trillium *trillium, const struct trillium_ref *ref);
TRILLIUM_API void trillium_delete_async(
    struct trillium *trillium, const struct trillium_ref *ref, trillium_done_fn *done, void *context);

enum trillium_state { TRILLIUM_STATE_UNKNOWN = 0, TRILLIUM_STATE_PRESENT = 1, TRILLIUM_STATE_NEVER = 2 };
/* What became of an id. With resolve an id that is not present is deleted, so that it never will be;
 * that is a delete like any other: when the outcome is UNKNOWN it may still come. */
TRILLIUM_API int trillium_status(
    struct trillium *trillium, const struct trillium_ref *ref, bool resolve, enum trillium_state *state);

/* ---- pages ---- */

struct trillium_page {
    size_t count;
    struct trillium_message *messages; /* newest first, unless oldest_first was asked for */
    bool more;    /* not all in that direction was looked at; the page after a full one may be the empty end */
    void *memory; /* the library's */
};
TRILLIUM_API void trillium_page_free(struct trillium_page *page);

enum trillium_bound {
    TRILLIUM_NEWEST = 1,
    TRILLIUM_OLDEST = 2,
    TRILLIUM_BEFORE = 3, /* older than message_id */
    TRILLIUM_AFTER = 4,  /* newer than message_id: the nearest ones */
    TRILLIUM_AROUND = 5,
};

struct trillium_query {
    uint64_t channel_id;
    enum trillium_bound bound;
    uint64_t message_id; /* BEFORE, AFTER, AROUND */
    unsigned limit;      /* 1..1000; a page may hold fewer (see more), never none while there are any */
    bool oldest_first;   /* NEWEST becomes OLDEST; AFTER answers oldest first */
    enum trillium_level level;
};

/* One page; free it when the status is DONE. */
TRILLIUM_API int trillium_list(
    struct trillium *trillium, const struct trillium_query *query, struct trillium_page *page);
typedef void trillium_listed_fn(void *context, int status, const struct trillium_page *page);
TRILLIUM_API void trillium_list_async(
    struct trillium *trillium, const struct trillium_query *query, trillium_listed_fn *done, void *context);

/* One message as a page of one; NOT_FOUND. */
TRILLIUM_API int trillium_get(struct trillium *trillium, const struct trillium_ref *ref, struct trillium_page *page);

/* ---- channels ---- */

struct trillium_interval {
    uint64_t channel_id;
    uint64_t lo, hi; /* ids, both included; hi 0: up to now */
    enum trillium_level level;
};
/* Deletes all messages with ids in the interval for ever. *through is how far it reached (may be NULL). */
TRILLIUM_API int trillium_purge(struct trillium *trillium, const struct trillium_interval *interval, uint64_t *through);

struct trillium_channel {
    uint64_t channel_id;
    uint64_t newest_id;
};
enum { TRILLIUM_CURSOR_BYTES = 64, TRILLIUM_CHANNELS_MAX = 200 };
struct trillium_cursor {
    unsigned size; /* 0: from the start */
    uint8_t bytes[TRILLIUM_CURSOR_BYTES];
};
struct trillium_channels_page {
    size_t count;
    bool more;
    struct trillium_channel channels[TRILLIUM_CHANNELS_MAX];
};
/* The next channels that hold messages, in token order; moves the cursor behind them. A page may be empty and say more:
   there were only deleted channels so far. */
TRILLIUM_API int trillium_channels(struct trillium *trillium, struct trillium_cursor *cursor, enum trillium_level level,
    struct trillium_channels_page *page);

/* ---- imports ---- */

/* A session lets sends carry ids older than the horizon; keep it alive by renewing before the deadline. */
TRILLIUM_API int trillium_import_begin(
    struct trillium *trillium, const char *label, unsigned deadline_ms, uint64_t *session);
TRILLIUM_API int trillium_import_renew(struct trillium *trillium, uint64_t session, unsigned deadline_ms);
TRILLIUM_API int trillium_import_end(struct trillium *trillium, uint64_t session);

#ifdef __cplusplus
}
#endif

#endif
