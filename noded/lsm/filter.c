#include "noded/lsm/filter.h"

#include "common/base/check.h"

enum { PROBES = 6, LINE_BITS_SHIFT = 9 };

/* The upper half chooses the line, the lower half the bits. */
static uint64_t line_of(uint64_t size, uint64_t hash)
{
    return ((hash >> 32) * (size / FILTER_LINE_BYTES)) >> 32;
}

void filter_add(uint8_t *filter, uint64_t size, uint64_t hash)
{
    CHECK(size >= FILTER_LINE_BYTES && size % FILTER_LINE_BYTES == 0);
    uint8_t *line = filter + line_of(size, hash) * FILTER_LINE_BYTES;
    uint64_t bits = (hash & 0xffffffff) * 0x9e3779b97f4a7c15ull;
    for (unsigned i = 0; i < PROBES; i++, bits <<= LINE_BITS_SHIFT)
        line[bits >> 61 | (bits >> 55 & 7) << 3] |= (uint8_t)(1u << (bits >> 58 & 7));
}

bool filter_may_have(struct bytes filter, uint64_t hash)
{
    if (filter.size < FILTER_LINE_BYTES || filter.size % FILTER_LINE_BYTES != 0) return true;
    const uint8_t *line = filter.data + line_of(filter.size, hash) * FILTER_LINE_BYTES;
    uint64_t bits = (hash & 0xffffffff) * 0x9e3779b97f4a7c15ull;
    for (unsigned i = 0; i < PROBES; i++, bits <<= LINE_BITS_SHIFT)
        if (!(line[bits >> 61 | (bits >> 55 & 7) << 3] & 1u << (bits >> 58 & 7))) return false;
    return true;
}
