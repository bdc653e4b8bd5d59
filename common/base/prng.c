#include "common/base/prng.h"

#include <string.h>

#include "common/base/check.h"

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

struct prng prng_seeded(uint64_t seed)
{
    struct prng prng;
    for (int i = 0; i < 4; i++)
        prng.state[i] = splitmix(&seed);
    return prng;
}

struct prng prng_split(uint64_t seed, const char *purpose)
{
    uint64_t hash = 0xcbf29ce484222325ull;
    for (const char *at = purpose; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 0x100000001b3ull;
    uint64_t mixed = seed ^ hash;
    return prng_seeded(splitmix(&mixed));
}

static uint64_t rotate(uint64_t value, int by)
{
    return (value << by) | (value >> (64 - by));
}

uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->state, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    CHECK(bound > 0);
    return (uint64_t)(((unsigned __int128)prng_next(prng) * bound) >> 64);
}

uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high)
{
    CHECK(low <= high && high - low < UINT64_MAX);
    return low + prng_below(prng, high - low + 1);
}

bool prng_chance(struct prng *prng, uint32_t parts_per_million)
{
    return prng_below(prng, 1000000) < parts_per_million;
}

void prng_fill(struct prng *prng, void *data, uint64_t size)
{
    uint8_t *at = data;
    while (size) {
        uint64_t word = prng_next(prng);
        uint64_t part = size < 8 ? size : 8;
        memcpy(at, &word, part);
        at += part;
        size -= part;
    }
}
