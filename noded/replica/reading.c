#include "noded/replica/reading.h"

#include "common/base/check.h"
#include "common/runtime/fiber.h"
#include "common/runtime/reactor.h"

enum {
    ROWS_BETWEEN_YIELDS = 256,
    ROWS_OUTSIDE_FIBERS = 1024,
    PAGE_HEAD_BYTES = 10,
    PAGE_BYTES_USUAL = 12 << 10, /* reserved at first */
    SPANS_PER_PAGE = 8192,       /* at most 26 bytes each, so that a raw page stays below half a frame */
};

static bool is_down(const struct reading *reading)
{
    return reading->spec.direction == PAGE_NEWEST_FIRST;
}

/* What page_add_row adds. */
static size_t row_entry_bytes(struct bytes row)
{
    return 1 + 8 + varint_size(row.size) + row.size;
}

/* So many spans would not fit into one page: cover only up to where they still do. */
static void bound_spans(struct reading *reading)
{
    const struct span_set *spans = lsm_spans(reading->replica->lsm, reading->spec.partition);
    if (!spans || spans->count <= SPANS_PER_PAGE) return;
    struct span_set clip = {0};
    span_set_clip(spans, reading->spec.lo, reading->spec.hi, &clip);
    if (clip.count > SPANS_PER_PAGE) {
        reading->cut = true;
        reading->end =
            is_down(reading) ? clip.spans[clip.count - SPANS_PER_PAGE].lo : clip.spans[SPANS_PER_PAGE - 1].hi;
    }
    span_set_free(&clip);
}

void reading_begin(
    struct reading *reading, struct replica *replica, struct reactor *reactor, const struct reading_spec *spec)
{
    CHECK(spec->lo <= spec->hi && spec->partition.size > 0);
    *reading = (struct reading){.replica = replica, .reactor = reactor, .spec = *spec, .bytes = PAGE_HEAD_BYTES};
    reading->end = is_down(reading) ? spec->lo : spec->hi;
    read_digest_begin(&reading->digest);
    if (spec->mode != READING_DIGEST && spec->limit > 1) buffer_reserve(&reading->page.buffer, PAGE_BYTES_USUAL);
    page_begin(&reading->page, spec->direction, spec->mode == READING_RAW);
    if (spec->mode == READING_RAW) bound_spans(reading);
    reading->cursor =
        lsm_cursor_open(replica->lsm, spec->partition, is_down(reading) ? spec->hi : spec->lo, spec->direction);
}

void reading_end(struct reading *reading)
{
    if (reading->cursor) lsm_cursor_close(reading->cursor);
    reading->cursor = NULL;
    page_free(&reading->page);
}

/* ---- one row ---- */

/* The row would go beyond a limit: the answer ends before it. */
static bool stops_before(struct reading *reading, size_t entry_bytes)
{
    bool something = reading->spec.mode == READING_RAW ? reading->any : reading->rows > 0;
    return something && reading->bytes + entry_bytes > reading->spec.bytes_max;
}

/* Returns false when the answer ends before this row. */
static bool take_visible(struct reading *reading, const struct lsm_row *row)
{
    if (row->covered) return true;
    if (row_bytes_is_delete(row->row)) {
        if (row->open) read_digest_open_delete(&reading->digest, row->id);
        return true;
    }
    if (!row_bytes_is_visible(row->row)) return true;
    size_t entry_bytes = row_entry_bytes(row->row);
    if (stops_before(reading, entry_bytes)) return false;
    reading->bytes += entry_bytes;
    reading->rows++;
    read_digest_row(&reading->digest, row->id, row->row);
    if (reading->spec.mode == READING_DATA) page_add_row(&reading->page, row->id, row->row);
    return true;
}

static enum status take_raw(struct reading *reading, const struct lsm_row *row, bool *fits)
{
    *fits = true;
    if (row->covered || row->row.size == 0) return STATUS_OK;
    if (!row_bytes_is_delete(row->row)) {
        *fits = !stops_before(reading, row_entry_bytes(row->row));
        if (*fits) page_add_row(&reading->page, row->id, row->row);
    } else {
        struct row decoded;
        if (row_decode(row->row, &decoded) != STATUS_OK) return STATUS_CORRUPT;
        *fits = !stops_before(reading, 32);
        if (*fits) page_add_delete(&reading->page, row->id, decoded.deleted_at, row->open);
    }
    reading->bytes = page_size(&reading->page);
    return STATUS_OK;
}

/* ---- the end ---- */

static void add_spans(struct reading *reading)
{
    const struct span_set *spans = lsm_spans(reading->replica->lsm, reading->spec.partition);
    if (!spans) return;
    struct span_set clip = {0};
    uint64_t lo = is_down(reading) ? reading->through : reading->spec.lo;
    uint64_t hi = is_down(reading) ? reading->spec.hi : reading->through;
    span_set_clip(spans, lo, hi, &clip);
    if (reading->spec.mode == READING_RAW) {
        for (size_t i = 0; i < clip.count; i++)
            page_add_span(&reading->page, &clip.spans[i]);
    } else {
        /* Neighbours are one, whatever their stamps. */
        struct span open = {0};
        bool any = false;
        for (size_t i = 0; i < clip.count; i++) {
            const struct span *span = &clip.spans[i];
            if (!span->open) continue;
            if (any && span->lo == open.hi + 1) {
                open.hi = span->hi;
                continue;
            }
            if (any) read_digest_open_span(&reading->digest, open.lo, open.hi);
            open = *span;
            any = true;
        }
        if (any) read_digest_open_span(&reading->digest, open.lo, open.hi);
    }
    span_set_free(&clip);
}

static void finish(struct reading *reading, uint64_t through, bool more)
{
    reading->through = through;
    uint64_t asked_end = is_down(reading) ? reading->spec.lo : reading->spec.hi;
    reading->more = more && through != asked_end;
    add_spans(reading);
    read_digest_finish(&reading->digest, reading->through, reading->more);
    reading->finished = page_finish(&reading->page, reading->through, reading->more);
    lsm_cursor_close(reading->cursor);
    reading->cursor = NULL;
}

/* Takes the cursor's row; true when the answer is complete. */
static enum status take(struct reading *reading, bool *done)
{
    const struct lsm_row *row = &reading->row;
    bool beyond = is_down(reading) ? row->id < reading->end : row->id > reading->end;
    *done = true;
    if (beyond) {
        finish(reading, reading->end, reading->cut);
        return STATUS_OK;
    }
    bool fits = true;
    enum status status = STATUS_OK;
    if (reading->spec.mode == READING_RAW)
        status = take_raw(reading, row, &fits);
    else
        fits = take_visible(reading, row);
    if (status != STATUS_OK) return status;
    if (!fits) {
        /* The id before the row, whether anything is there or not: what is invisible must not change a digest. */
        finish(reading, is_down(reading) ? row->id + 1 : row->id - 1, true);
        return STATUS_OK;
    }
    reading->any = true;
    if (reading->spec.mode != READING_RAW && reading->rows == reading->spec.limit) {
        finish(reading, row->id, true);
        return STATUS_OK;
    }
    *done = false;
    return STATUS_OK;
}

enum status reading_run(struct reading *reading, uint64_t deadline_ns)
{
    bool in_fiber = fiber_current(reading->reactor) != NULL;
    for (uint32_t walked = 1;; walked++) {
        enum status status = lsm_cursor_next(reading->cursor, &reading->row);
        if (status == STATUS_NOT_FOUND) {
            finish(reading, reading->end, reading->cut);
            return STATUS_OK;
        }
        if (status != STATUS_OK) return status;
        bool done;
        status = take(reading, &done);
        if (status != STATUS_OK || done) return status;
        if (!in_fiber && walked == ROWS_OUTSIDE_FIBERS) return STATUS_BUSY;
        if (in_fiber && walked % ROWS_BETWEEN_YIELDS == 0) {
            if (reactor_now_ns(reading->reactor) > deadline_ns) return STATUS_TIMEOUT;
            fiber_yield(reading->reactor);
        }
    }
}

enum status replica_inspect(struct replica *replica, struct reactor *reactor, struct bytes partition,
    uint64_t deadline_ns, struct inspection *out)
{
    struct inspection found = {0};
    read_digest_begin(&found.digest);
    struct lsm_cursor *cursor = lsm_cursor_open(replica->lsm, partition, UINT64_MAX, PAGE_NEWEST_FIRST);
    struct lsm_row row;
    enum status status;
    for (uint32_t walked = 1; (status = lsm_cursor_next(cursor, &row)) == STATUS_OK; walked++) {
        if (lsm_row_is_visible(&row)) {
            found.rows++;
            read_digest_row(&found.digest, row.id, row.row);
        }
        if (walked % ROWS_BETWEEN_YIELDS != 0) continue;
        fiber_yield(reactor);
        if (reactor_now_ns(reactor) <= deadline_ns) continue;
        status = STATUS_TIMEOUT;
        break;
    }
    lsm_cursor_close(cursor);
    if (status != STATUS_NOT_FOUND) return status;
    *out = found;
    return STATUS_OK;
}
