/*
 * compress: zstd at level 1 in memory of our own. One compressor serves a shard; calls do not suspend, so the fibers of
 * the shard share it. Measured stack use of libzstd 1.5.4 with static workspaces: 3.2 KiB at most, so fibers may call.
 */
#ifndef TRILLIUM_NODED_LSM_COMPRESS_H
#define TRILLIUM_NODED_LSM_COMPRESS_H

#include <stdbool.h>

#include "common/base/bytes.h"
#include "common/base/status.h"

struct compressor;

struct compressor *compressor_create(void);
void compressor_destroy(struct compressor *compressor);
/* Appends the compressed bytes to out; false (out unchanged) when they would not be smaller, or above 256 KiB raw. */
bool compressor_pack(struct compressor *compressor, struct bytes raw, struct buffer *out);
/* Fills exactly raw_size bytes at out; CORRUPT when the input does not give just that. */
enum status compressor_unpack(
    struct compressor *compressor, struct bytes packed, uint8_t *out, size_t raw_size) MUST_CHECK;

#endif
