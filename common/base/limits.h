/* limits: every size that several rooms rely on, checked against each other here. Units are in the names. */
#ifndef TRILLIUM_COMMON_BASE_LIMITS_H
#define TRILLIUM_COMMON_BASE_LIMITS_H

enum {
    /* Frame (docs/protocols/frame.md). */
    FRAME_HEADER_BYTES = 32,
    FRAME_ENTRIES_MAX = 256,
    FRAME_BYTES_MAX = 1 << 20,
    FRAME_BYTES_MAX_CLIENT = 128 << 10,
    NNG_HEADER_BYTES = 4, /* nng's RECVMAXSZ counts the REQ header */

    /* Link (docs/protocols/link.md). */
    LINK_WINDOW_FRAMES = 32,
    LINK_WINDOW_BYTES = 2 << 20,
    LINK_WINDOW_BYTES_CLIENT = 256 << 10,
    LINK_QUEUE_FRAMES_MAX = 56,
    LINK_NNG_QUEUE_FRAMES = 64,

    /* Rows. */
    ROW_BYTES_MAX = 96 << 10,
    CONTENT_BYTES_MAX = 64 << 10,
    CELL_BYTES_MAX = 8 << 10,    /* any column but the content */
    CELL_BYTES_MAX_UNKNOWN = 64, /* a column that this version does not know */
    KEY_BYTES_MAX = 1 << 10,
    COLUMNS_MAX = 64,

    /* Pages. */
    PAGE_BYTES_MAX = 256 << 10,
    PAGE_BYTES_MAX_CLIENT = 64 << 10,
    PAGE_ROWS_MAX = 1000,

    /* Calls. */
    CALL_BUDGET_MS_DEFAULT = 2000,
    CALL_BUDGET_MS_MAX = 30000,

    /* Cluster. */
    NODES_MAX = 1024,
    SHARDS_MAX = 32,
    REPLICAS_MAX = 7,
    RANGES_MAX = 65536,
    RANGES_AT_BIRTH = 16,

    /* Clock skew that a peer may be ahead, and an id may lie in the future. */
    SKEW_AHEAD_MS_MAX = 500,
};

_Static_assert(LINK_WINDOW_FRAMES < LINK_QUEUE_FRAMES_MAX, "empties fit beside a full window");
_Static_assert(LINK_QUEUE_FRAMES_MAX < LINK_NNG_QUEUE_FRAMES, "nng frees frames beyond its queue");
_Static_assert(ROW_BYTES_MAX < FRAME_BYTES_MAX_CLIENT, "a row fits into a client's frame");
/* A merged row has at most one value of each column, so no row that merges make is larger than one that may be sent:
   chat.messages has three columns besides the content whose values vary in size; a cell has at most 24 bytes of head.
 */
_Static_assert(CONTENT_BYTES_MAX + 3 * CELL_BYTES_MAX + COLUMNS_MAX * (CELL_BYTES_MAX_UNKNOWN + 24) <= ROW_BYTES_MAX,
    "whatever is merged fits into a row");
_Static_assert(PAGE_BYTES_MAX < FRAME_BYTES_MAX / 2, "a page fits into a frame");
_Static_assert(PAGE_BYTES_MAX_CLIENT < FRAME_BYTES_MAX_CLIENT, "a page fits into a client's frame");

#endif
