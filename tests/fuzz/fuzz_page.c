// links: model
/* Fuzz target: pages and sets of spans. A checked page is told again by a builder and reads the same. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/model/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_spans(struct bytes bytes)
{
    struct span_set set = {0}, again = {0};
    struct buffer out = {0};
    struct reader reader = reader_of(bytes);
    if (span_set_decode(&reader, &set) == STATUS_OK) {
        span_set_encode(&set, &out);
        CHECK(out.size == bytes.size - reader_left(&reader) && memcmp(out.data, bytes.data, out.size) == 0);
        span_set_add(&set, (struct span){.lo = 5, .hi = UINT64_MAX - 5, .stamp = 1, .open = true});
        span_set_clip(&set, 7, 9, &again);
        CHECK(span_set_covers(&set, 5) && span_set_covers(&again, 8) && !span_set_covers(&again, 6));
    }
    span_set_free(&set);
    span_set_free(&again);
    buffer_free(&out);
}

static void tell_again(struct bytes page, struct page_builder *builder)
{
    struct page_reader reader;
    struct page_entry entry;
    CHECK(page_open(page, &reader) == STATUS_OK);
    page_begin(builder, reader.direction, reader.raw);
    while (page_next(&reader, &entry)) {
        if (entry.kind == PAGE_ROW)
            page_add_row(builder, entry.id, entry.row);
        else if (entry.kind == PAGE_DELETE)
            page_add_delete(builder, entry.id, entry.stamp, entry.open);
        else
            page_add_span(builder, &entry.span);
    }
    CHECK(reader.status == STATUS_OK);
    page_finish(builder, reader.through, reader.more);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes page = bytes_of(data, size);
    check_spans(page);
    if (page_check(page) != STATUS_OK) return 0;
    struct page_builder once = {0}, twice = {0};
    struct span_set spans = {0};
    tell_again(page, &once);
    tell_again(buffer_bytes(&once.buffer), &twice);
    CHECK(bytes_equal(buffer_bytes(&once.buffer), buffer_bytes(&twice.buffer)));
    CHECK(page_check(buffer_bytes(&once.buffer)) == STATUS_OK);
    page_spans(page, &spans);
    span_set_free(&spans);
    page_free(&once);
    page_free(&twice);
    return 0;
}
