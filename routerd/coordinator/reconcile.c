#include "routerd/coordinator/reconcile.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/merge.h"

/* One replica's page while it is walked: the next row or delete that has not been taken. */
struct source {
    struct page_reader reader;
    struct page_entry entry;
    bool at_end;
    struct span_set spans; /* clipped to the common interval */
};

struct walk {
    struct reconcile *out;
    const struct reconcile_limits *limits;
    struct source sources[REPLICAS_MAX];
    unsigned count;
    uint64_t through;
    bool more;
    struct span_set spans; /* merged */
    struct row rows[3];    /* decoding and merging need three at a time */
    struct buffer merged;
};

/* True when a comes before b in the page's direction. */
static bool before(const struct walk *walk, uint64_t a, uint64_t b)
{
    return walk->limits->direction == PAGE_NEWEST_FIRST ? a > b : a < b;
}

static void advance(struct source *source)
{
    do {
        source->at_end = !page_next(&source->reader, &source->entry);
    } while (!source->at_end && source->entry.kind == PAGE_SPAN);
}

/* The nearest id up to which every page is complete. */
static void find_common_through(struct walk *walk)
{
    walk->through = walk->limits->direction == PAGE_NEWEST_FIRST ? walk->limits->lo : walk->limits->hi;
    for (unsigned i = 0; i < walk->count; i++) {
        const struct page_reader *reader = &walk->sources[i].reader;
        if (!reader->more || before(walk, walk->through, reader->through)) continue;
        if (before(walk, reader->through, walk->through)) walk->through = reader->through;
        walk->more = true;
    }
}

static void gather_spans(struct walk *walk, const struct bytes *pages)
{
    bool down = walk->limits->direction == PAGE_NEWEST_FIRST;
    uint64_t lo = down ? walk->through : walk->limits->lo, hi = down ? walk->limits->hi : walk->through;
    for (unsigned i = 0; i < walk->count; i++) {
        struct span_set all = {0};
        page_spans(pages[i], &all);
        span_set_clip(&all, lo, hi, &walk->sources[i].spans);
        span_set_free(&all);
        span_set_merge(&walk->spans, &walk->sources[i].spans);
    }
}

static bool same_but_open(const struct span_set *a, const struct span_set *b)
{
    struct span_set x = {0}, y = {0};
    for (size_t i = 0; i < a->count; i++) {
        struct span span = a->spans[i];
        span.open = false;
        span_set_add(&x, span);
    }
    for (size_t i = 0; i < b->count; i++) {
        struct span span = b->spans[i];
        span.open = false;
        span_set_add(&y, span);
    }
    bool equal = span_set_equal(&x, &y);
    span_set_free(&x);
    span_set_free(&y);
    return equal;
}

static void reconcile_spans(struct walk *walk)
{
    bool differs[REPLICAS_MAX] = {false}, any = false;
    for (unsigned i = 0; i < walk->count; i++) {
        differs[i] = !same_but_open(&walk->sources[i].spans, &walk->spans);
        any |= differs[i];
    }
    for (size_t s = 0; s < walk->spans.count; s++) {
        struct span span = walk->spans.spans[s];
        bool open = span.open || any;
        for (unsigned i = 0; i < walk->count && !open; i++)
            for (size_t k = 0; k < walk->sources[i].spans.count && !open; k++) {
                const struct span *held = &walk->sources[i].spans.spans[k];
                open = held->open && held->lo <= span.hi && held->hi >= span.lo;
            }
        span.open = true;
        if (open) span_set_add(&walk->out->close_spans, span);
        for (unsigned i = 0; i < walk->count; i++)
            if (differs[i]) page_add_span(&walk->out->lacks[i], &span);
    }
}

/* The next id of any source inside the interval; false when there is none. */
static bool next_id(struct walk *walk, uint64_t *id)
{
    bool found = false;
    for (unsigned i = 0; i < walk->count; i++) {
        struct source *source = &walk->sources[i];
        if (source->at_end || before(walk, walk->through, source->entry.id)) continue;
        if (!found || before(walk, source->entry.id, *id)) *id = source->entry.id;
        found = true;
    }
    return found;
}

static bool holds(const struct source *source, uint64_t id)
{
    return !source->at_end && source->entry.id == id;
}

/* Merges what the sources hold of the id into walk->merged. The rows were decoded once by page_check. */
static enum status merge_id(struct walk *walk, uint64_t id)
{
    struct row *held = &walk->rows[0], *sum = &walk->rows[1], *next = &walk->rows[2];
    *sum = (struct row){0};
    for (unsigned i = 0; i < walk->count; i++) {
        struct source *source = &walk->sources[i];
        if (!holds(source, id)) continue;
        *held = (struct row){0};
        if (source->entry.kind == PAGE_DELETE)
            row_make_delete(held, source->entry.stamp);
        else if (row_decode(source->entry.row, held) != STATUS_OK)
            return STATUS_BAD_REQUEST;
        row_merge(sum, held, next);
        struct row *swap = sum;
        sum = next;
        next = swap;
    }
    if (row_is_empty(sum)) return STATUS_BAD_REQUEST;
    buffer_clear(&walk->merged);
    row_encode_buffer(sum, &walk->merged);
    return STATUS_OK;
}

static bool all_hold_equal_rows(const struct walk *walk, uint64_t id)
{
    const struct page_entry *first = &walk->sources[0].entry;
    for (unsigned i = 0; i < walk->count; i++) {
        const struct source *source = &walk->sources[i];
        if (!holds(source, id) || source->entry.kind != PAGE_ROW) return false;
        if (!bytes_equal(source->entry.row, first->row)) return false;
    }
    return true;
}

/* A deleted id: who lacks the delete gets it, and it may be closed once they have it. */
static void settle_delete(struct walk *walk, uint64_t id, int64_t stamp)
{
    struct reconcile *out = walk->out;
    bool close = false;
    for (unsigned i = 0; i < walk->count; i++) {
        struct source *source = &walk->sources[i];
        bool has = holds(source, id) && source->entry.kind == PAGE_DELETE && source->entry.stamp == stamp;
        if (!has) page_add_delete(&out->lacks[i], id, stamp, true);
        if (!has || source->entry.open) close = true;
    }
    if (close && out->close_ids_count < RECONCILE_CLOSE_MAX) out->close_ids[out->close_ids_count++] = id;
}

/* Returns false when the page is full: the id is not part of the result then. */
static bool settle_row(struct walk *walk, uint64_t id, struct bytes row)
{
    struct reconcile *out = walk->out;
    if (row_bytes_is_visible(row)) {
        bool full = out->rows > 0 && page_size(&out->visible) + row.size > walk->limits->bytes_max;
        if (out->rows == walk->limits->rows_max || full) return false;
        page_add_row(&out->visible, id, row);
        out->rows++;
    }
    for (unsigned i = 0; i < walk->count; i++) {
        struct source *source = &walk->sources[i];
        bool has = holds(source, id) && source->entry.kind == PAGE_ROW && bytes_equal(source->entry.row, row);
        if (!has) page_add_row(&out->lacks[i], id, row);
    }
    return true;
}

static enum status settle_ids(struct walk *walk)
{
    uint64_t id = 0, previous = 0;
    bool any = false;
    while (next_id(walk, &id)) {
        bool fits = true;
        if (span_set_covers(&walk->spans, id)) {
            /* gone for ever; the span says so everywhere */
        } else if (all_hold_equal_rows(walk, id)) {
            fits = settle_row(walk, id, walk->sources[0].entry.row);
        } else {
            enum status status = merge_id(walk, id);
            if (status != STATUS_OK) return status;
            struct row *merged = &walk->rows[0];
            status = row_decode(buffer_bytes(&walk->merged), merged);
            if (status != STATUS_OK) return status;
            if (merged->is_deleted)
                settle_delete(walk, id, merged->deleted_at);
            else
                fits = settle_row(walk, id, buffer_bytes(&walk->merged));
        }
        if (!fits) {
            walk->through = previous;
            walk->more = true;
            CHECK(any);
            return STATUS_OK;
        }
        previous = id;
        any = true;
        for (unsigned i = 0; i < walk->count; i++)
            if (holds(&walk->sources[i], id)) advance(&walk->sources[i]);
    }
    return STATUS_OK;
}

static enum status open_pages(struct walk *walk, const struct bytes *pages, unsigned *bad)
{
    for (unsigned i = 0; i < walk->count; i++) {
        *bad = i;
        struct source *source = &walk->sources[i];
        if (page_check(pages[i]) != STATUS_OK || page_open(pages[i], &source->reader) != STATUS_OK)
            return STATUS_BAD_REQUEST;
        if (!source->reader.raw || source->reader.direction != walk->limits->direction) return STATUS_BAD_REQUEST;
        advance(source);
    }
    return STATUS_OK;
}

enum status reconcile_run(struct reconcile *reconcile, const struct bytes *pages, unsigned count,
    const struct reconcile_limits *limits, unsigned *bad)
{
    CHECK(count > 0 && count <= REPLICAS_MAX && limits->lo <= limits->hi);
    struct walk *walk = mem_zalloc(sizeof *walk);
    walk->out = reconcile;
    walk->limits = limits;
    walk->count = count;
    page_begin(&reconcile->visible, limits->direction, false);
    for (unsigned i = 0; i < count; i++)
        page_begin(&reconcile->lacks[i], limits->direction, true);
    enum status status = open_pages(walk, pages, bad);
    if (status == STATUS_OK) {
        find_common_through(walk);
        gather_spans(walk, pages);
        reconcile_spans(walk);
        status = settle_ids(walk);
    }
    if (status == STATUS_OK) {
        reconcile->through = walk->through;
        reconcile->more = walk->more;
        reconcile->visible_page = page_finish(&reconcile->visible, walk->through, walk->more);
        for (unsigned i = 0; i < count; i++) {
            struct page_builder *lacks = &reconcile->lacks[i];
            bool differs =
                lacks->rows_count + lacks->deletes_count > 0 || !same_but_open(&walk->sources[i].spans, &walk->spans);
            if (differs) reconcile->lacks_page[i] = page_finish(lacks, walk->through, walk->more);
        }
    }
    for (unsigned i = 0; i < count; i++)
        span_set_free(&walk->sources[i].spans);
    span_set_free(&walk->spans);
    buffer_free(&walk->merged);
    mem_free(walk);
    return status;
}

void reconcile_free(struct reconcile *reconcile)
{
    page_free(&reconcile->visible);
    for (unsigned i = 0; i < REPLICAS_MAX; i++)
        page_free(&reconcile->lacks[i]);
    span_set_free(&reconcile->close_spans);
}
