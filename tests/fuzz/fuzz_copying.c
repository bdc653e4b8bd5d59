// links: noded_core
/* Fuzz target: what another node answers to a rebuild. Its pages are cut into records that say the same. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "noded/replica/copying.h"
#include "noded/replica/page_cutter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned entries_of(struct bytes page)
{
    struct page_reader reader;
    struct page_entry entry;
    unsigned count = 0;
    CHECK(page_open(page, &reader) == STATUS_OK);
    while (page_next(&reader, &entry))
        count++;
    return count;
}

static void cut(struct bytes page)
{
    struct page_cutter cutter;
    struct record record = {.kind = RECORD_PAGE};
    unsigned count = 0;
    page_cutter_init(&cutter, page);
    while (page_cutter_next(&cutter, &record)) {
        uint64_t lo, hi;
        CHECK(replica_check_page(record.body, &lo, &hi) == STATUS_OK && lo == record.lo && hi == record.hi);
        count += entries_of(record.body);
    }
    CHECK(count == entries_of(page));
    page_cutter_fini(&cutter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct copying *copying = arena_zalloc(&arena, sizeof *copying);
    if (copying_decode(bytes_of(data, size), copying, &arena) == STATUS_OK) {
        struct copy_position position = {0};
        struct buffer encoded = {0};
        for (uint32_t i = 0; i < copying->count; i++)
            cut(copying->parts[i].page);
        copying_position_after(copying, &position);
        copy_position_encode(&position, &encoded);
        struct reader reader = reader_of(buffer_bytes(&encoded));
        struct copy_position again;
        copy_position_decode(&reader, &again);
        CHECK(reader_done(&reader) && copy_position_compare(&position, &again) == 0);
        copy_position_free(&position);
        copy_position_free(&again);
        buffer_free(&encoded);
    }
    arena_free(&arena);
    return 0;
}
