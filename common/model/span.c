#include "common/model/span.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/wire.h"

void span_set_free(struct span_set *set)
{
    mem_free(set->spans);
    *set = (struct span_set){0};
}

/* Appends a piece that lies behind all others, joined to its neighbour where the normal form asks for it. */
static void push(struct span_set *set, struct span span)
{
    CHECK(span.lo <= span.hi);
    if (set->count > 0) {
        struct span *last = &set->spans[set->count - 1];
        CHECK(last->hi < span.lo);
        if (last->hi + 1 == span.lo && last->stamp == span.stamp && last->open == span.open) {
            last->hi = span.hi;
            return;
        }
    }
    if (set->count == set->capacity) {
        set->capacity = set->capacity ? 2 * set->capacity : 4;
        set->spans = mem_realloc(set->spans, set->capacity * sizeof *set->spans);
    }
    set->spans[set->count++] = span;
}

/* What is said of an id that one or both cover. */
static struct span join(const struct span *a, const struct span *b)
{
    if (!a || !b) return a ? *a : *b;
    return (struct span){.stamp = a->stamp > b->stamp ? a->stamp : b->stamp, .open = a->open && b->open};
}

/* The piece at *at or behind it that ends at from or later; NULL at the end. */
static const struct span *piece_from(const struct span_set *set, size_t *at, uint64_t from)
{
    while (*at < set->count && set->spans[*at].hi < from)
        (*at)++;
    return *at < set->count ? &set->spans[*at] : NULL;
}

/* Sweeps over the intervals in which neither set changes. out is empty. */
static void sweep(const struct span_set *a, const struct span_set *b, struct span_set *out)
{
    uint64_t from = 0;
    size_t at_a = 0, at_b = 0;
    for (;;) {
        const struct span *piece_a = piece_from(a, &at_a, from), *piece_b = piece_from(b, &at_b, from);
        if (!piece_a && !piece_b) return;
        uint64_t lo_a = piece_a ? piece_a->lo : UINT64_MAX, lo_b = piece_b ? piece_b->lo : UINT64_MAX;
        uint64_t start = lo_a < lo_b ? lo_a : lo_b;
        if (start < from) start = from;
        bool in_a = piece_a && piece_a->lo <= start, in_b = piece_b && piece_b->lo <= start;
        uint64_t end = UINT64_MAX;
        if (piece_a) end = in_a ? piece_a->hi : piece_a->lo - 1;
        if (piece_b) {
            uint64_t limit = in_b ? piece_b->hi : piece_b->lo - 1;
            if (limit < end) end = limit;
        }
        struct span span = join(in_a ? piece_a : NULL, in_b ? piece_b : NULL);
        span.lo = start;
        span.hi = end;
        push(out, span);
        if (end == UINT64_MAX) return;
        from = end + 1;
    }
}

void span_set_merge(struct span_set *set, const struct span_set *other)
{
    if (other->count == 0) return;
    struct span_set merged = {0};
    sweep(set, other, &merged);
    span_set_free(set);
    *set = merged;
}

void span_set_add(struct span_set *set, struct span span)
{
    CHECK(span.lo <= span.hi);
    const struct span *held = span_set_find(set, span.lo);
    if (held && held->hi >= span.hi && held->stamp >= span.stamp && (!held->open || span.open)) return;
    struct span_set one = {.spans = &span, .count = 1, .capacity = 1};
    span_set_merge(set, &one);
}

/* Position of the first piece that ends at id or later. */
static size_t first_ending_at(const struct span_set *set, uint64_t id)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->spans[middle].hi < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct span *span_set_find(const struct span_set *set, uint64_t id)
{
    size_t at = first_ending_at(set, id);
    return at < set->count && set->spans[at].lo <= id ? &set->spans[at] : NULL;
}

void span_set_clip(const struct span_set *set, uint64_t lo, uint64_t hi, struct span_set *out)
{
    CHECK(lo <= hi && out != set);
    struct span_set parts = {0};
    for (size_t i = first_ending_at(set, lo); i < set->count && set->spans[i].lo <= hi; i++) {
        struct span part = set->spans[i];
        if (part.lo < lo) part.lo = lo;
        if (part.hi > hi) part.hi = hi;
        push(&parts, part);
    }
    span_set_merge(out, &parts);
    span_set_free(&parts);
}

void span_set_close(struct span_set *set, uint64_t lo, uint64_t hi)
{
    struct span_set closed = {0};
    span_set_clip(set, lo, hi, &closed);
    for (size_t i = 0; i < closed.count; i++)
        closed.spans[i].open = false;
    span_set_merge(set, &closed);
    span_set_free(&closed);
}

bool span_set_equal(const struct span_set *a, const struct span_set *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct span *p = &a->spans[i], *q = &b->spans[i];
        if (p->lo != q->lo || p->hi != q->hi || p->stamp != q->stamp || p->open != q->open) return false;
    }
    return true;
}

void span_set_encode(const struct span_set *set, struct buffer *out)
{
    buffer_append_varint(out, set->count);
    uint64_t next = 0; /* behind the last piece */
    for (size_t i = 0; i < set->count; i++) {
        const struct span *span = &set->spans[i];
        buffer_append_varint(out, span->lo - next);
        buffer_append_varint(out, span->hi - span->lo);
        append_signed(out, span->stamp);
        append_u8(out, span->open);
        next = span->hi + 1;
    }
}

/* Reads one piece behind `behind`; false when it is malformed or not in normal form. */
static bool decode_piece(struct reader *reader, const struct span *before, struct span *out)
{
    uint64_t next = before ? before->hi + 1 : 0;
    uint64_t gap = read_varint(reader), length = read_varint(reader);
    out->stamp = read_varint_signed(reader);
    uint8_t open = read_u8(reader);
    bool at_end = before && before->hi == UINT64_MAX;
    if (!reader_ok(reader) || at_end || open > 1 || gap > UINT64_MAX - next || length > UINT64_MAX - next - gap)
        return false;
    out->lo = next + gap;
    out->hi = out->lo + length;
    out->open = open;
    return !before || gap > 0 || out->stamp != before->stamp || out->open != before->open;
}

enum status span_set_decode(struct reader *reader, struct span_set *out)
{
    uint64_t count = read_varint(reader);
    if (!reader_ok(reader) || count > SPANS_MAX || count > reader_left(reader) / 4) return STATUS_BAD_REQUEST;
    struct span_set decoded = {0};
    for (uint64_t i = 0; i < count; i++) {
        struct span span;
        if (!decode_piece(reader, i > 0 ? &decoded.spans[i - 1] : NULL, &span)) {
            span_set_free(&decoded);
            return STATUS_BAD_REQUEST;
        }
        push(&decoded, span);
    }
    span_set_merge(out, &decoded);
    span_set_free(&decoded);
    return STATUS_OK;
}
