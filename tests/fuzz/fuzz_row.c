// links: model
/* Fuzz target: rows. Whatever is accepted encodes to itself, and two accepted rows merge in both orders to the same. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/model/merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool accepts(struct bytes bytes, struct row *row)
{
    struct buffer again = {0};
    if (row_decode(bytes, row) != STATUS_OK) return false;
    CHECK(bytes_equal(row_encode_buffer(row, &again), bytes));
    CHECK(row_bytes_is_delete(bytes) == row->is_deleted && row_bytes_is_visible(bytes) == row_is_visible(row));
    if (row_check_create(&CHAT_MESSAGES, row) == STATUS_OK) CHECK(row_check_edit(&CHAT_MESSAGES, row) != STATUS_OK);
    buffer_free(&again);
    return true;
}

/* The first byte says where the input is cut into two rows. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct row a, b;
    size_t cut = data[0] < size - 1 ? data[0] : size - 1;
    struct bytes first = bytes_of(data + 1, cut), second = bytes_of(data + 1 + cut, size - 1 - cut);
    bool both = accepts(first, &a);
    both &= accepts(second, &b);
    if (!both) return 0;
    struct buffer ab = {0}, ba = {0}, again = {0};
    CHECK(row_merge_bytes(first, second, &ab) == STATUS_OK && row_merge_bytes(second, first, &ba) == STATUS_OK);
    CHECK(bytes_equal(buffer_bytes(&ab), buffer_bytes(&ba)));
    CHECK(row_merge_bytes(buffer_bytes(&ab), first, &again) == STATUS_OK);
    CHECK(bytes_equal(buffer_bytes(&ab), buffer_bytes(&again)));
    CHECK(status_is_done(row_apply_status(&a, &b)) || row_apply_status(&a, &b) == STATUS_ID_TAKEN);
    buffer_free(&ab);
    buffer_free(&ba);
    buffer_free(&again);
    return 0;
}
