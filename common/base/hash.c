#include "common/base/hash.h"

#include <stdbool.h>
#include <string.h>
#include <xxhash.h>

#define POLYNOMIAL 0x82f63b78u

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_hardware(uint32_t crc, const uint8_t *data, size_t size)
{
    uint64_t state = crc;
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        state = __builtin_ia32_crc32di(state, word);
    }
    uint32_t small = (uint32_t)state;
    for (; size; data++, size--)
        small = __builtin_ia32_crc32qi(small, *data);
    return small;
}
#endif

static uint32_t crc32c_software(uint32_t crc, const uint8_t *data, size_t size)
{
    for (; size; data++, size--) {
        crc ^= *data;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (POLYNOMIAL & (0u - (crc & 1)));
    }
    return crc;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    crc = ~crc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~crc32c_hardware(crc, data, size);
#endif
    return ~crc32c_software(crc, data, size);
}

uint64_t hash64(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

struct digest hash128(const void *data, size_t size, uint64_t seed)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(data, size, seed);
    return (struct digest){hash.low64, hash.high64};
}
