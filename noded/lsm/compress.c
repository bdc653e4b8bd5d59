#define ZSTD_STATIC_LINKING_ONLY
#include "noded/lsm/compress.h"

#include <zstd.h>

#include "common/base/check.h"
#include "common/base/mem.h"

enum { LEVEL = 1, PACK_BYTES_MIN = 64, PACK_BYTES_MAX = 256 << 10 };

struct compressor {
    void *pack_space, *unpack_space;
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
};

struct compressor *compressor_create(void)
{
    struct compressor *compressor = mem_zalloc(sizeof *compressor);
    size_t pack_bytes = ZSTD_estimateCCtxSize_usingCParams(ZSTD_getCParams(LEVEL, PACK_BYTES_MAX, 0));
    size_t unpack_bytes = ZSTD_estimateDCtxSize();
    compressor->pack_space = mem_alloc(pack_bytes);
    compressor->unpack_space = mem_alloc(unpack_bytes);
    compressor->pack = ZSTD_initStaticCCtx(compressor->pack_space, pack_bytes);
    compressor->unpack = ZSTD_initStaticDCtx(compressor->unpack_space, unpack_bytes);
    CHECK(compressor->pack && compressor->unpack);
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(compressor->pack, ZSTD_c_compressionLevel, LEVEL)));
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(compressor->pack, ZSTD_c_contentSizeFlag, 0)));
    return compressor;
}

void compressor_destroy(struct compressor *compressor)
{
    if (!compressor) return;
    mem_free(compressor->pack_space);
    mem_free(compressor->unpack_space);
    mem_free(compressor);
}

bool compressor_pack(struct compressor *compressor, struct bytes raw, struct buffer *out)
{
    if (raw.size < PACK_BYTES_MIN || raw.size > PACK_BYTES_MAX) return false;
    uint8_t *room = buffer_reserve(out, raw.size);
    size_t size = ZSTD_compress2(compressor->pack, room, raw.size - 1, raw.data, raw.size);
    if (ZSTD_isError(size)) return false; /* no room: not smaller */
    out->size += size;
    return true;
}

enum status compressor_unpack(struct compressor *compressor, struct bytes packed, uint8_t *out, size_t raw_size)
{
    size_t size = ZSTD_decompressDCtx(compressor->unpack, out, raw_size, packed.data, packed.size);
    return ZSTD_isError(size) || size != raw_size ? STATUS_CORRUPT : STATUS_OK;
}
