#include "common/rpc/lane.h"

#include <string.h>

#include "common/base/check.h"
#include "common/rpc/frame.h"

enum { FIRST_BYTES = 2048 };

void rpc_lane_init(struct rpc_lane *lane, struct net *net, uint32_t close_bytes)
{
    *lane = (struct rpc_lane){.net = net, .close_bytes = close_bytes, .usual_bytes = FIRST_BYTES};
    list_init(&lane->frames);
}

void rpc_lane_clear(struct rpc_lane *lane)
{
    while (!rpc_lane_is_empty(lane))
        link_buffer_free(lane->net, rpc_lane_take(lane));
    CHECK(lane->bytes == 0);
}

static struct link_buffer *frame_create(struct rpc_lane *lane, uint32_t capacity)
{
    struct link_buffer *frame = link_buffer_create(lane->net, capacity);
    list_init(&frame->link);
    frame->size = FRAME_HEADER_BYTES;
    frame->count = 0;
    return frame;
}

/* Buffers of a door do not grow: a larger one takes the entries over, and the place. */
static struct link_buffer *frame_grow(struct rpc_lane *lane, struct link_buffer *frame, uint32_t size)
{
    uint32_t capacity = frame->capacity * 2;
    if (capacity < size) capacity = size;
    struct link_buffer *larger = frame_create(lane, capacity);
    memcpy(larger->data, frame->data, frame->size);
    larger->size = frame->size;
    larger->reply_to = frame->reply_to;
    larger->count = frame->count;
    list_add_after(&frame->link, &larger->link);
    list_remove(&frame->link);
    link_buffer_free(lane->net, frame);
    return larger;
}

static struct link_buffer *last_with_room(const struct rpc_lane *lane, uint32_t entry_bytes)
{
    if (rpc_lane_is_empty(lane)) return NULL;
    struct link_buffer *last = CONTAINER_OF(lane->frames.previous, struct link_buffer, link);
    if (last->count >= FRAME_ENTRIES_MAX) return NULL;
    if (last->size + entry_bytes > lane->close_bytes) return NULL;
    return last;
}

uint8_t *rpc_lane_append(struct rpc_lane *lane, uint32_t entry_bytes)
{
    CHECK(entry_bytes >= FRAME_ENTRY_BYTES && entry_bytes <= FRAME_BYTES_MAX - FRAME_HEADER_BYTES);
    struct link_buffer *frame = last_with_room(lane, entry_bytes);
    if (!frame) {
        uint32_t least = FRAME_HEADER_BYTES + entry_bytes;
        frame = frame_create(lane, least > lane->usual_bytes ? least : lane->usual_bytes);
        list_push_back(&lane->frames, &frame->link);
        lane->bytes += FRAME_HEADER_BYTES;
    }
    uint32_t size = frame->size + entry_bytes;
    if (size > frame->capacity) frame = frame_grow(lane, frame, size);
    uint8_t *at = frame->data + frame->size;
    frame->size = size;
    frame->count++;
    lane->bytes += entry_bytes;
    return at;
}

struct link_buffer *rpc_lane_first(const struct rpc_lane *lane)
{
    return rpc_lane_is_empty(lane) ? NULL : CONTAINER_OF(lane->frames.next, struct link_buffer, link);
}

struct link_buffer *rpc_lane_take(struct rpc_lane *lane)
{
    struct link_buffer *frame = rpc_lane_first(lane);
    CHECK(frame && lane->bytes >= frame->size);
    lane->bytes -= frame->size;
    /* The next frame will be much like this one. */
    uint32_t usual = frame->size + frame->size / 4;
    lane->usual_bytes = usual < FIRST_BYTES ? FIRST_BYTES : usual > lane->close_bytes ? lane->close_bytes : usual;
    list_remove(&frame->link);
    return frame;
}

void rpc_lane_cut(
    struct rpc_lane *lane, struct link_buffer *frame, uint32_t kept_bytes, uint16_t kept_count, const uint8_t *rest_at)
{
    const uint8_t *end = frame->data + frame->size;
    CHECK(kept_bytes >= FRAME_HEADER_BYTES && frame->data + kept_bytes <= rest_at && rest_at <= end);
    lane->bytes -= frame->size;
    if (rest_at < end) {
        uint32_t rest_bytes = (uint32_t)(end - rest_at);
        struct link_buffer *rest = frame_create(lane, FRAME_HEADER_BYTES + rest_bytes);
        memcpy(rest->data + FRAME_HEADER_BYTES, rest_at, rest_bytes);
        rest->size += rest_bytes;
        struct reader reader = reader_of(bytes_of(rest_at, rest_bytes));
        struct frame_entry entry;
        while (frame_next(&reader, &entry))
            rest->count++;
        list_add_after(&frame->link, &rest->link);
        lane->bytes += rest->size;
    }
    frame->size = kept_bytes;
    frame->count = kept_count;
    lane->bytes += kept_bytes;
}
