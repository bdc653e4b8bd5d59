/*
 * filter: a blocked Bloom filter over hashes of partition keys: about 10 bits a key, one cache line a probe. Pure.
 * Its bytes are its file form: a multiple of 64 bytes (docs/formats/sstable.md). It may say yes wrongly, never no.
 */
#ifndef TRILLIUM_NODED_LSM_FILTER_H
#define TRILLIUM_NODED_LSM_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"

enum { FILTER_LINE_BYTES = 64 };

static inline uint64_t filter_bytes(uint64_t keys_count)
{
    uint64_t lines = (keys_count * 10 + FILTER_LINE_BYTES * 8 - 1) / (FILTER_LINE_BYTES * 8);
    return (lines ? lines : 1) * FILTER_LINE_BYTES;
}

/* filter is zeroed memory of filter_bytes(). */
void filter_add(uint8_t *filter, uint64_t size, uint64_t hash);
/* True when the size is none that filter_bytes gives. */
bool filter_may_have(struct bytes filter, uint64_t hash);

#endif
