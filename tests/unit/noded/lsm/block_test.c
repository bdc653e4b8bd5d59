#include "noded/lsm/block.h"

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/base/prng.h"
#include "common/model/row.h"
#include "noded/lsm/compress.h"

struct sample {
    uint32_t partition;
    uint64_t id;
    struct bytes row;
    bool closed;
};

static struct bytes random_value(struct prng *prng, struct buffer *heap, size_t size)
{
    uint8_t *at = buffer_reserve(heap, size + 1);
    prng_fill(prng, at, size);
    if (prng_chance(prng, 500000)) memset(at, 'a', size);
    heap->size += size + 1;
    return bytes_of(at, size);
}

/* One row of any kind. The heap is large enough not to move. */
static struct bytes random_row(struct prng *prng, struct buffer *heap)
{
    struct row row;
    uint64_t kind = prng_below(prng, 20);
    int64_t stamp = (int64_t)prng_next(prng);
    if (kind == 0) return bytes_of(NULL, 0);
    if (kind < 4) {
        row_make_delete(&row, stamp);
    } else if (kind < 6) {
        row_begin_edit(&row);
        row_put_edit(&row, (uint16_t)prng_between(prng, 1, 64), stamp, random_value(prng, heap, prng_below(prng, 50)));
    } else {
        row_begin_create(&row);
        bool numbers = prng_chance(prng, 700000);
        for (unsigned column = 1; column <= COLUMNS_MAX; column++) {
            if (!prng_chance(prng, kind < 8 ? 900000 : column < 5 ? 800000 : 20000)) continue;
            size_t size = numbers && column % 2 ? 8 : prng_below(prng, column == 2 ? 300 : 12);
            row_put(&row, (uint16_t)column, random_value(prng, heap, size));
        }
    }
    size_t size = row_encoded_size(&row);
    struct writer writer = writer_of(buffer_reserve(heap, size), size);
    heap->size += size;
    row_encode(&row, &writer);
    return writer_bytes(&writer);
}

static void check_block(const struct block *block, const struct sample *samples, uint32_t count)
{
    cr_assert_eq(block->rows_count, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct block_segment *segment = block_find(block, samples[i].partition);
        cr_assert_not_null(segment);
        cr_assert_eq(block_seek(block, segment, samples[i].id), i);
        cr_assert_eq(block->ids[i], samples[i].id);
        cr_assert(bytes_equal(block_row(block, i), samples[i].row), "row %u", i);
        cr_assert_eq(block->closed[i], samples[i].closed);
    }
}

Test(block, decoding_gives_back_the_rows_that_were_added)
{
    struct prng prng = prng_seeded(11);
    struct block_codec *codec = block_codec_create();
    struct buffer heap = {0}, payload = {0};
    buffer_reserve(&heap, 8 << 20);
    for (unsigned round = 0; round < 1500; round++) {
        struct sample samples[BLOCK_ROWS_MAX];
        uint32_t count = 0, partition = (uint32_t)prng_below(&prng, 3);
        uint64_t id = prng_next(&prng) >> prng_below(&prng, 64);
        buffer_clear(&heap);
        while (!block_is_full(codec) && (count == 0 || !prng_chance(&prng, 20000))) {
            samples[count] = (struct sample){partition, id, random_row(&prng, &heap), prng_chance(&prng, 100000)};
            block_add(codec, partition, id, samples[count].row, samples[count].closed);
            count++;
            uint64_t step = 1 + (prng_next(&prng) >> prng_between(&prng, 1, 63));
            if (prng_chance(&prng, 100000) || step > id) {
                partition += 1 + (uint32_t)prng_below(&prng, 5);
                id = prng_next(&prng);
            } else {
                id -= step;
            }
        }
        buffer_clear(&payload);
        block_finish(codec, &payload);
        struct block *block;
        cr_assert_eq(block_decode(codec, buffer_bytes(&payload), &block), STATUS_OK);
        check_block(block, samples, count);
        mem_free(block);
        /* A cut or changed payload gives an error or some block, never a crash. */
        for (unsigned i = 0; i < 5; i++) {
            size_t cut = prng_below(&prng, payload.size);
            cr_assert_eq(block_decode(codec, bytes_of(payload.data, cut), &block), STATUS_CORRUPT);
            payload.data[cut] ^= (uint8_t)(1u << prng_below(&prng, 8));
            if (block_decode(codec, buffer_bytes(&payload), &block) == STATUS_OK) mem_free(block);
        }
    }
    block_codec_destroy(codec);
    buffer_free(&heap);
    buffer_free(&payload);
}

Test(block, the_largest_merged_row_fits)
{
    struct row row;
    struct buffer bytes = {0}, payload = {0}, value = {0};
    memset(buffer_reserve(&value, ROW_BYTES_MAX), 'x', ROW_BYTES_MAX);
    value.size = ROW_BYTES_MAX;
    row_begin_edit(&row);
    for (unsigned column = 1; column <= COLUMNS_MAX; column++)
        row_put_edit(&row, (uint16_t)column, column, bytes_of(value.data, ROW_BYTES_MAX - 8));
    struct bytes row_bytes = row_encode_buffer(&row, &bytes);
    struct block_codec *codec = block_codec_create();
    block_add(codec, 0, 9, bytes_text(""), true);
    block_add(codec, 0, 5, row_bytes, false);
    cr_assert(block_is_full(codec));
    block_finish(codec, &payload);
    struct block *block;
    cr_assert_eq(block_decode(codec, buffer_bytes(&payload), &block), STATUS_OK);
    cr_assert(bytes_equal(block_row(block, 1), row_bytes));
    mem_free(block);
    block_codec_destroy(codec);
    buffer_free(&bytes);
    buffer_free(&payload);
    buffer_free(&value);
}

Test(compress, packs_every_size_that_a_block_has_and_gives_it_back)
{
    struct compressor *compressor = compressor_create();
    struct buffer packed = {0};
    static uint8_t raw[300 << 10], again[sizeof raw];
    struct prng prng = prng_seeded(2);
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t) "etaoin shrdlu"[prng_below(&prng, 13)];
    for (size_t size = 0; size < sizeof raw; size = size * 5 / 4 + 1) {
        buffer_clear(&packed);
        bool smaller = compressor_pack(compressor, bytes_of(raw, size), &packed);
        cr_assert_eq(smaller, size >= 64 && size <= 256 << 10, "%zu", size);
        if (!smaller) continue;
        cr_assert_lt(packed.size, size);
        cr_assert_eq(compressor_unpack(compressor, buffer_bytes(&packed), again, size), STATUS_OK);
        cr_assert_arr_eq(raw, again, size);
        cr_assert_eq(compressor_unpack(compressor, buffer_bytes(&packed), again, size - 1), STATUS_CORRUPT);
        cr_assert_eq(compressor_unpack(compressor, buffer_bytes(&packed), again, size + 1), STATUS_CORRUPT);
    }
    prng_fill(&prng, raw, sizeof raw);
    buffer_clear(&packed);
    cr_assert_not(compressor_pack(compressor, bytes_of(raw, 8000), &packed), "noise does not shrink");
    cr_assert_eq(packed.size, 0);
    buffer_free(&packed);
    compressor_destroy(compressor);
}
