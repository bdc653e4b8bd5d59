/* fuzz_sp: any bytes as one side of SP over TCP give the same events however they are cut, and bodies within bounds. */
// links: link_sp
#include <string.h>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/rpc/sp/sp_wire.h"

enum { EVENTS_MAX = 256, BODY_MAX = 4096 };

struct events {
    unsigned count;
    struct {
        enum sp_event event;
        uint32_t body_bytes, word;
        size_t at; /* bytes consumed by then */
    } all[EVENTS_MAX];
};

/* What a pipe does with its bytes, in pieces whose sizes the pattern tells (0: all at once). */
static void listen_to(struct bytes input, uint8_t pattern, struct events *events)
{
    struct sp_reader reader;
    size_t at = 0, body_left = 0;
    events->count = 0;
    sp_reader_init(&reader, SP_REQ, BODY_MAX);
    while (at < input.size && events->count < EVENTS_MAX) {
        size_t left = input.size - at, size = pattern ? 1 + (pattern * (at + 7)) % 13 : left;
        struct bytes piece = bytes_of(input.data + at, size < left ? size : left);
        while (piece.size > 0 && events->count < EVENTS_MAX) {
            size_t before = piece.size;
            if (body_left > 0) {
                size_t taken = piece.size < body_left ? piece.size : body_left;
                piece = bytes_of(piece.data + taken, piece.size - taken);
                body_left -= taken;
                at += taken;
                continue;
            }
            enum sp_event event = sp_reader_step(&reader, &piece);
            CHECK(piece.size < before);
            at += before - piece.size;
            if (event == SP_MORE) {
                CHECK(piece.size == 0);
                continue;
            }
            events->all[events->count].event = event;
            events->all[events->count].body_bytes = reader.body_bytes;
            events->all[events->count].word = reader.word;
            events->all[events->count++].at = at;
            if (event == SP_BROKEN) return;
            if (event == SP_MESSAGE) {
                CHECK(reader.body_bytes <= BODY_MAX && (reader.word & SP_WORD_LAST));
                body_left = reader.body_bytes;
            }
        }
    }
}

/* Where a break is found may lie later when the bytes come at once, never earlier. */
static void compare(const struct events *whole, const struct events *cut)
{
    CHECK(whole->count == cut->count);
    for (unsigned i = 0; i < whole->count; i++) {
        CHECK(whole->all[i].event == cut->all[i].event);
        if (whole->all[i].event == SP_BROKEN) {
            CHECK(whole->all[i].at >= cut->all[i].at);
            continue;
        }
        CHECK(whole->all[i].at == cut->all[i].at && whole->all[i].word == cut->all[i].word);
        CHECK(whole->all[i].body_bytes == cut->all[i].body_bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct events whole, cut;
    static uint8_t copy[1 << 16];
    if (size < 2 || size > sizeof copy) return 0;
    memcpy(copy, data, size);
    /* With the greeting set right the fuzzer gets at what lies behind it. */
    if ((data[0] & 1) && size > SP_GREETING_BYTES) sp_greeting_write(copy + 1, SP_REQ);
    struct bytes input = bytes_of(copy + 1, size - 1);
    listen_to(input, 0, &whole);
    listen_to(input, (uint8_t)(data[0] | 1), &cut);
    compare(&whole, &cut);
    return 0;
}
