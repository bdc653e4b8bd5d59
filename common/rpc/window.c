#include "common/rpc/window.h"

#include "common/base/check.h"

/* The receiver ends a pipe above the window, and the ring holds the sizes of what is unseen. */
_Static_assert((int)LINK_WINDOW_FRAMES <= (int)RPC_WINDOW_RING, "sizes of all unseen frames are kept");
_Static_assert((int)RPC_WINDOW_ACK_FRAMES * 4 <= (int)LINK_WINDOW_FRAMES, "four acknowledgements a window");

const char *rpc_window_verdict_text(enum rpc_window_verdict verdict)
{
    switch (verdict) {
    case RPC_WINDOW_FINE:
        return "fine";
    case RPC_WINDOW_GAP:
        return "frames are missing";
    case RPC_WINDOW_REPEAT:
        return "a frame came twice";
    case RPC_WINDOW_OVERRUN:
        return "more frames than the window holds";
    case RPC_WINDOW_LIE:
        return "frames acknowledged that were never sent";
    }
    return "?";
}

void rpc_window_init(struct rpc_window *window, uint64_t bytes_max)
{
    *window = (struct rpc_window){.bytes_max = bytes_max};
}

bool rpc_window_may_send(const struct rpc_window *window, uint32_t size)
{
    uint32_t unseen = rpc_window_unseen(window);
    if (unseen == 0) return true;
    return unseen < LINK_WINDOW_FRAMES && window->unseen_bytes + size <= window->bytes_max;
}

uint32_t rpc_window_send(struct rpc_window *window, uint32_t size)
{
    CHECK(rpc_window_may_send(window, size));
    window->sent++;
    window->sizes[window->sent % RPC_WINDOW_RING] = size;
    window->unseen_bytes += size;
    return window->sent;
}

uint32_t rpc_window_say(struct rpc_window *window)
{
    window->said_seen = window->received;
    window->unsaid_bytes = 0;
    return window->said_seen;
}

static enum rpc_window_verdict judge(const struct rpc_window *window, const struct frame_header *header)
{
    int32_t step = (int32_t)(header->frame_no - window->received);
    int32_t expected = header->count > 0 ? 1 : 0;
    if (step > expected) return RPC_WINDOW_GAP;
    if (step < expected) return RPC_WINDOW_REPEAT;
    if (header->frame_no - window->said_seen > LINK_WINDOW_FRAMES) return RPC_WINDOW_OVERRUN;
    if ((int32_t)(header->frames_seen - window->sent) > 0) return RPC_WINDOW_LIE;
    if ((int32_t)(header->frames_seen - window->peer_seen) < 0) return RPC_WINDOW_LIE;
    return RPC_WINDOW_FINE;
}

enum rpc_window_verdict rpc_window_receive(struct rpc_window *window, const struct frame_header *header, uint32_t size)
{
    enum rpc_window_verdict verdict = judge(window, header);
    if (verdict != RPC_WINDOW_FINE) return verdict;
    if (header->count > 0) {
        window->received++;
        window->unsaid_bytes += size;
    }
    while (window->peer_seen != header->frames_seen) {
        window->peer_seen++;
        window->unseen_bytes -= window->sizes[window->peer_seen % RPC_WINDOW_RING];
    }
    CHECK(rpc_window_unseen(window) <= LINK_WINDOW_FRAMES);
    CHECK(rpc_window_unseen(window) > 0 || window->unseen_bytes == 0);
    return RPC_WINDOW_FINE;
}

bool rpc_window_ack_is_due(const struct rpc_window *window)
{
    return window->received - window->said_seen >= RPC_WINDOW_ACK_FRAMES ||
           window->unsaid_bytes >= window->bytes_max / 4;
}
