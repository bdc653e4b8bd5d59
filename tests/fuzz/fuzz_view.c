// links: model
/* Fuzz target: views. Whatever is accepted encodes to itself, and every range of it is found. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/model/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct buffer again = {0};
    struct view view;
    if (view_decode(bytes_of(data, size), &arena, &view) == STATUS_OK) {
        view_encode(&view, &again);
        CHECK(bytes_equal(buffer_bytes(&again), bytes_of(data, size)));
        for (unsigned i = 0; i < view.ranges_count; i++) {
            const struct view_range *range = &view.ranges[i];
            CHECK(view_range_of(&view, range->table, range->hi) == range);
            CHECK(view_range_of(&view, range->table, range->lo + 1) == range);
            CHECK(view_range_by_id(&view, range->id) == range);
        }
    }
    buffer_free(&again);
    arena_free(&arena);
    return 0;
}
