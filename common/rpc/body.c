/* body: packing of bodies straight into frames, and the one way to unpack. */
#include <string.h>

#include "common/base/check.h"
#include "common/rpc/talk.h"

enum { DECODE_BASE_BYTES = 4096, DECODE_FACTOR = 8 };

uint32_t rpc_body_size(const struct rpc_body *body)
{
    size_t size = 0;
    for (uint32_t i = 0; body && i < body->count; i++) {
        const struct rpc_part *part = &body->parts[i];
        size += part->message ? protobuf_c_message_get_packed_size(part->message) : part->bytes.size;
    }
    CHECK(size < UINT32_MAX / 2);
    return (uint32_t)size;
}

void rpc_body_write(const struct rpc_body *body, uint8_t *at, uint32_t size)
{
    uint8_t *end = at + size;
    for (uint32_t i = 0; body && i < body->count; i++) {
        const struct rpc_part *part = &body->parts[i];
        if (part->message) {
            at += protobuf_c_message_pack(part->message, at);
        } else if (part->bytes.size > 0) {
            memcpy(at, part->bytes.data, part->bytes.size);
            at += part->bytes.size;
        }
    }
    CHECK(at == end);
}

/* An allocator over an arena that refuses beyond a cap: what a small body may unpack to is bounded. */
struct capped {
    ProtobufCAllocator base;
    struct arena *arena;
    size_t left;
};

static void *capped_alloc(void *data, size_t size)
{
    struct capped *capped = data;
    size_t taken = (size + 15) & ~(size_t)15;
    if (size > capped->left || taken > capped->left) return NULL;
    capped->left -= taken;
    return arena_alloc(capped->arena, size);
}

static void capped_free(void *data, void *pointer)
{
    (void)data;
    (void)pointer; /* the arena's owner frees all at once */
}

void *rpc_decode(struct arena *arena, const ProtobufCMessageDescriptor *descriptor, struct bytes body)
{
    struct capped capped = {
        .base = {.alloc = capped_alloc, .free = capped_free},
        .arena = arena,
        .left = DECODE_BASE_BYTES + DECODE_FACTOR * body.size,
    };
    capped.base.allocator_data = &capped;
    return protobuf_c_message_unpack(descriptor, &capped.base, body.size, body.data);
}

void *rpc_request_decode(struct rpc_request *request, const ProtobufCMessageDescriptor *descriptor)
{
    void *call = rpc_decode(&request->arena, descriptor, request->body);
    if (!call) rpc_answer(request, STATUS_BAD_REQUEST, NULL);
    return call;
}
