/*
 * page: the wire form of a stretch of one channel (docs/formats/page.md), for list answers and for raw state.
 *
 * A page goes in one direction through the ids and is complete up to *through*: the sender has told everything that it
 * holds from where the page began up to that id, included. A visible page has rows alone; a raw one has pending edits,
 * deletes (in runs) and spans too. Ids of rows and deletes run strictly in the page's direction; spans stand anywhere.
 * Rows travel as their own bytes, never re-encoded. Not thread-safe; the builder owns a buffer.
 */
#ifndef TRILLIUM_COMMON_MODEL_PAGE_H
#define TRILLIUM_COMMON_MODEL_PAGE_H

#include "common/base/bytes.h"
#include "common/base/hash.h"
#include "common/base/status.h"
#include "common/model/span.h"

enum page_direction { PAGE_NEWEST_FIRST = 0, PAGE_OLDEST_FIRST = 1 };

struct page_builder {
    struct buffer buffer; /* the page so far */
    size_t start;         /* where in the buffer it begins */
    enum page_direction direction;
    bool raw, any;       /* any: an id was added */
    uint64_t last_id;    /* of rows and deletes */
    size_t run_count_at; /* where the open run's count lies, 0 when no run is open */
    uint32_t run_count;
    bool run_open;
    int64_t run_stamp;
    uint32_t rows_count, deletes_count;
};

/* A builder that is zero, or was finished and freed, or is to be reused with its buffer cleared. */
void page_begin(struct page_builder *builder, enum page_direction direction, bool raw);
/* Bytes so far; never more than what page_finish returns. */
size_t page_size(const struct page_builder *builder);
/* row: canonical bytes. The id follows the last one in the page's direction. */
void page_add_row(struct page_builder *builder, uint64_t id, struct bytes row);
/* Raw pages. */
void page_add_delete(struct page_builder *builder, uint64_t id, int64_t stamp, bool open);
void page_add_span(struct page_builder *builder, const struct span *span);
/* more: ids beyond through were not looked at (a limit was met). Returns the page, which the builder still owns. */
struct bytes page_finish(struct page_builder *builder, uint64_t through, bool more);
void page_free(struct page_builder *builder);

enum page_entry_kind { PAGE_ROW = 1, PAGE_DELETE = 2, PAGE_SPAN = 3 };

struct page_entry {
    enum page_entry_kind kind;
    uint64_t id;      /* ROW, DELETE */
    struct bytes row; /* ROW: not yet checked, row_decode does */
    int64_t stamp;    /* DELETE */
    bool open;        /* DELETE */
    struct span span; /* SPAN */
};

struct page_reader {
    struct reader reader;
    enum page_direction direction;
    bool raw, more, any;
    uint64_t through;
    uint64_t last_id;
    uint64_t run_left;
    bool run_first, run_open;
    int64_t run_stamp;
    enum status status; /* OK, or BAD_REQUEST once something was malformed */
};

/* Reads the head. BAD_REQUEST when it is malformed or of a newer version. */
enum status page_open(struct bytes page, struct page_reader *out) MUST_CHECK;
/* The next entry; false at the end and when malformed: then reader.status says which. */
bool page_next(struct page_reader *reader, struct page_entry *entry);
/* Walks the page and decodes every row: what one does first with a page from a wire. */
enum status page_check(struct bytes page) MUST_CHECK;
/* Whether this is a visible page that a read of [lo, hi] may give: the direction, ids within the interval, at most
   rows_max rows. Does not look into rows. */
bool page_is_answer(struct bytes page, enum page_direction direction, uint64_t lo, uint64_t hi, uint32_t rows_max);
/* Merges the spans of the page into set. The page was checked. */
void page_spans(struct bytes page, struct span_set *set);

/*
 * The digest of a read: what two replicas compare instead of data. Visible rows, open deletes, open spans and the id
 * up to which it is complete, fed in the page's order (spans before or after, by all in the same way). Stamps of
 * deletes are left out: a reader's answer does not depend on them.
 */
void read_digest_begin(struct digest *digest);
void read_digest_row(struct digest *digest, uint64_t id, struct bytes row);
void read_digest_open_delete(struct digest *digest, uint64_t id);
void read_digest_open_span(struct digest *digest, uint64_t lo, uint64_t hi);
void read_digest_finish(struct digest *digest, uint64_t through, bool more);

#endif
