#include "common/model/token.h"

/* MurmurHash3_x64_128's constants (Appleby, public domain algorithm); Cassandra keeps the low half. */
#define C1 0x87c37b91114253d5ull
#define C2 0x4cf5ad432745937full

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static uint64_t scramble1(uint64_t k)
{
    return rotate(k * C1, 31) * C2;
}

static uint64_t scramble2(uint64_t k)
{
    return rotate(k * C2, 33) * C1;
}

static uint64_t finish(uint64_t k)
{
    k = (k ^ k >> 33) * 0xff51afd7ed558ccdull;
    k = (k ^ k >> 33) * 0xc4ceb9fe1a85ec53ull;
    return k ^ k >> 33;
}

/* Cassandra reads tail bytes as signed, so that one above 0x7f flips every bit to its left: the quirk to keep. */
static uint64_t tail_of(const uint8_t *data, size_t size)
{
    uint64_t k = 0;
    for (size_t i = 0; i < size; i++)
        k ^= (uint64_t)(int64_t)(int8_t)data[i] << (8 * i);
    return k;
}

static uint64_t murmur3(const uint8_t *data, size_t size)
{
    uint64_t h1 = 0, h2 = 0;
    size_t left = size;
    for (; left >= 16; left -= 16, data += 16) {
        uint64_t k1, k2;
        memcpy(&k1, data, 8);
        memcpy(&k2, data + 8, 8);
        h1 = (rotate(h1 ^ scramble1(k1), 27) + h2) * 5 + 0x52dce729;
        h2 = (rotate(h2 ^ scramble2(k2), 31) + h1) * 5 + 0x38495ab5;
    }
    if (left > 8) h2 ^= scramble2(tail_of(data + 8, left - 8));
    if (left > 0) h1 ^= scramble1(tail_of(data, left < 8 ? left : 8));
    h1 ^= size;
    h2 ^= size;
    h1 += h2;
    h2 += h1;
    return finish(h1) + finish(h2);
}

int64_t token_of(struct bytes partition_key)
{
    if (partition_key.size == 0) return INT64_MIN;
    int64_t token = (int64_t)murmur3(partition_key.data, partition_key.size);
    return token == INT64_MIN ? INT64_MAX : token;
}

int64_t token_of_u64(uint64_t value)
{
    uint64_t big_endian = __builtin_bswap64(value);
    return token_of(bytes_of(&big_endian, sizeof big_endian));
}

void token_write(int64_t token, uint8_t out[8])
{
    uint64_t ordered = __builtin_bswap64((uint64_t)token ^ UINT64_C(1) << 63);
    memcpy(out, &ordered, 8);
}

int64_t token_read(const uint8_t in[8])
{
    uint64_t ordered;
    memcpy(&ordered, in, 8);
    return (int64_t)(__builtin_bswap64(ordered) ^ UINT64_C(1) << 63);
}
