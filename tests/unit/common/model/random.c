#include "tests/unit/common/model/random.h"

#include "common/base/check.h"

static struct bytes small_value(struct prng *prng)
{
    static const char *const values[] = {"", "a", "b", "ab"};
    return bytes_text(values[prng_below(prng, 4)]);
}

struct bytes random_write(struct prng *prng, struct buffer *out)
{
    struct row row;
    uint64_t kind = prng_below(prng, 10);
    if (kind == 0) {
        row_make_delete(&row, (int64_t)prng_below(prng, 3));
        return row_encode_buffer(&row, out);
    }
    bool create = kind < 5;
    if (create)
        row_begin_create(&row);
    else
        row_begin_edit(&row);
    for (uint16_t column = 1; column <= 5; column++) {
        if (prng_below(prng, 3) == 0) continue;
        int64_t stamp = (int64_t)prng_below(prng, 4) - 1;
        if (create)
            row_put(&row, column, small_value(prng));
        else if (prng_below(prng, 4) == 0)
            row_put_clear(&row, column, stamp);
        else
            row_put_edit(&row, column, stamp, small_value(prng));
    }
    if (!create && row.cells_count == 0) row_put_clear(&row, COLUMNS_MAX, INT64_MIN);
    return row_encode_buffer(&row, out);
}

struct bytes random_row(struct prng *prng, struct buffer *out)
{
    struct buffer space = {0}, other = {0};
    struct bytes row = random_write(prng, &space);
    for (uint64_t more = prng_below(prng, 4); more > 0; more--) {
        struct buffer merged = {0};
        buffer_clear(&other);
        CHECK(row_merge_bytes(row, random_write(prng, &other), &merged) == STATUS_OK);
        buffer_free(&space);
        space = merged;
        row = buffer_bytes(&space);
    }
    buffer_append(out, row.data, row.size);
    buffer_free(&space);
    buffer_free(&other);
    return bytes_of(out->data + out->size - row.size, row.size);
}

struct bytes random_value(struct prng *prng, enum column_type type, uint8_t out[64])
{
    static const uint8_t letters[] = {0x00, 0x01, 'a', 'b', 0x7f};
    unsigned width = column_type_width(type);
    size_t size = width ? width : prng_below(prng, 13);
    prng_fill(prng, out, size);
    if (prng_below(prng, 4) == 0) memset(out, prng_below(prng, 2) ? 0xff : 0, size);
    if (type == TYPE_BLOB && prng_below(prng, 2))
        for (size_t i = 0; i < size; i++)
            out[i] = out[i] & 1 ? 0xff : 0;
    if (type == TYPE_TEXT)
        for (size_t i = 0; i < size; i++)
            out[i] = letters[out[i] % sizeof letters];
    if (type == TYPE_BOOLEAN) out[0] &= 1;
    return bytes_of(out, size);
}

static unsigned digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

struct bytes from_hex(const char *hex, uint8_t *out, size_t size)
{
    size_t count = 0;
    for (; *hex; hex++) {
        if (*hex == ' ') continue;
        CHECK(count < size && hex[1]);
        out[count++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
        hex++;
    }
    return bytes_of(out, count);
}
