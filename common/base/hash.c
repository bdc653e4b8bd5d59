#include "common/base/hash.h"

#include <stdbool.h>
#include <string.h>
#include <xxhash.h>

#define POLYNOMIAL 0x82f63b78u

#if defined(__x86_64__)
/* The instruction gives a result after three cycles and begins one every cycle: three lanes side by side. A lane's
   state is moved over the bytes behind it by multiplying with x^(8 * bytes) modulo the polynomial: a carry-less product
   (which brings x^1) and the instruction over it (x^32), so the factors are x^(8 * bytes - 33), bits reversed. */
enum { LANE_BYTES = 512 };
#define OVER_ONE_LANE 0xdd7e3b0cu
#define OVER_TWO_LANES 0x170076fau

__attribute__((target("sse4.2,pclmul"))) static uint64_t moved(uint64_t state, uint64_t factor)
{
    typedef long long vector __attribute__((vector_size(16)));
    vector product = __builtin_ia32_pclmulqdq128((vector){(long long)state}, (vector){(long long)factor}, 0);
    return __builtin_ia32_crc32di(0, (uint64_t)product[0]);
}

__attribute__((target("sse4.2,pclmul"))) static uint64_t crc32c_lanes(uint64_t state, const uint8_t *data)
{
    uint64_t second = 0, third = 0;
    for (unsigned i = 0; i < LANE_BYTES; i += 8) {
        uint64_t words[3];
        memcpy(&words[0], data + i, 8);
        memcpy(&words[1], data + i + LANE_BYTES, 8);
        memcpy(&words[2], data + i + 2 * LANE_BYTES, 8);
        state = __builtin_ia32_crc32di(state, words[0]);
        second = __builtin_ia32_crc32di(second, words[1]);
        third = __builtin_ia32_crc32di(third, words[2]);
    }
    return moved(state, OVER_TWO_LANES) ^ moved(second, OVER_ONE_LANE) ^ third;
}

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
    const uint8_t *at = data;
    if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.2"))
        for (; size >= 3 * LANE_BYTES; at += 3 * LANE_BYTES, size -= 3 * LANE_BYTES)
            crc = (uint32_t)crc32c_lanes(crc, at);
    if (__builtin_cpu_supports("sse4.2")) return ~crc32c_hardware(crc, at, size);
    return ~crc32c_software(crc, at, size);
#else
    return ~crc32c_software(crc, data, size);
#endif
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
