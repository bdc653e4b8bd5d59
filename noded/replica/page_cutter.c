#include "noded/replica/page_cutter.h"

#include "common/base/check.h"
#include "common/wal/wal.h"

_Static_assert(PAGE_RECORD_BYTES + ROW_BYTES_MAX + RECORD_HEAD_BYTES_MAX + 1024 < WAL_GROUP_BYTES_DEFAULT,
    "a record fits into a group of the log");

void page_cutter_init(struct page_cutter *cutter, struct bytes page)
{
    *cutter = (struct page_cutter){0};
    if (page_open(page, &cutter->reader) != STATUS_OK) CHECK(false);
}

bool page_cutter_next(struct page_cutter *cutter, struct record *record)
{
    struct page_entry entry;
    struct page_builder *piece = &cutter->piece;
    buffer_clear(&piece->buffer);
    page_begin(piece, cutter->reader.direction, true);
    record->lo = UINT64_MAX;
    record->hi = 0;
    bool any = false;
    while (page_size(piece) < PAGE_RECORD_BYTES && page_next(&cutter->reader, &entry)) {
        uint64_t lo = entry.kind == PAGE_SPAN ? entry.span.lo : entry.id;
        uint64_t hi = entry.kind == PAGE_SPAN ? entry.span.hi : entry.id;
        if (entry.kind == PAGE_ROW) page_add_row(piece, entry.id, entry.row);
        if (entry.kind == PAGE_DELETE) page_add_delete(piece, entry.id, entry.stamp, entry.open);
        if (entry.kind == PAGE_SPAN) page_add_span(piece, &entry.span);
        if (lo < record->lo) record->lo = lo;
        if (hi > record->hi) record->hi = hi;
        any = true;
    }
    record->body = page_finish(piece, 0, false);
    return any;
}

void page_cutter_fini(struct page_cutter *cutter)
{
    page_free(&cutter->piece);
}
