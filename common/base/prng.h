/* prng: xoshiro256** seeded by splitmix64. One stream per purpose; splitting one never shifts another. Not for secrets.
 */
#ifndef TRILLIUM_COMMON_BASE_PRNG_H
#define TRILLIUM_COMMON_BASE_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

struct prng prng_seeded(uint64_t seed);
/* A stream of its own for a purpose, from a seed and the purpose's name. */
struct prng prng_split(uint64_t seed, const char *purpose);
uint64_t prng_next(struct prng *prng);
/* Uniform in [0, bound), bound > 0. */
uint64_t prng_below(struct prng *prng, uint64_t bound);
/* Uniform in [low, high]. */
uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high);
/* True with the given probability in parts per million. */
bool prng_chance(struct prng *prng, uint32_t parts_per_million);
void prng_fill(struct prng *prng, void *data, uint64_t size);

#endif
