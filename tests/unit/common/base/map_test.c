#include "common/base/map.h"

#include <criterion/criterion.h>

#include "common/base/prng.h"

Test(map, behaves_as_a_plain_array_under_random_operations)
{
    enum { KEYS = 200 };
    void *model[KEYS] = {0};
    static char values[16];
    struct map map = {0};
    struct prng prng = prng_seeded(7);
    for (int step = 0; step < 20000; step++) {
        uint64_t key = prng_below(&prng, KEYS);
        void *value = &values[prng_below(&prng, sizeof values)];
        if (prng_chance(&prng, 500000)) {
            cr_assert_eq(map_put(&map, key, value), model[key]);
            model[key] = value;
        } else {
            cr_assert_eq(map_remove(&map, key), model[key]);
            model[key] = NULL;
        }
        uint64_t probe = prng_below(&prng, KEYS);
        cr_assert_eq(map_get(&map, probe), model[probe]);
    }
    size_t seen = 0, position = 0;
    uint64_t key;
    for (void *value; (value = map_next(&map, &position, &key)); seen++)
        cr_assert_eq(value, model[key]);
    cr_assert_eq(seen, map.count);
    map_free(&map);
}
