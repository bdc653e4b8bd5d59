/* hash: checksums and digests. Pure and thread-safe. */
#ifndef TRILLIUM_COMMON_BASE_HASH_H
#define TRILLIUM_COMMON_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli), as iSCSI computes it: crc32c(0, "123456789", 9) == 0xe3069283. Chains: pass the previous
   result. Uses SSE 4.2 where the processor has it. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

struct digest {
    uint64_t low, high;
};

/* xxh3-64 and xxh3-128 with a seed. */
uint64_t hash64(const void *data, size_t size, uint64_t seed);
struct digest hash128(const void *data, size_t size, uint64_t seed);

/* Mixes an integer (for hash tables keyed by ids). */
static inline uint64_t hash_u64(uint64_t value)
{
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93ull;
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93ull;
    return value ^ (value >> 32);
}

#endif
