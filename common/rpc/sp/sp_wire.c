#include "common/rpc/sp/sp_wire.h"

#include <string.h>

#include "common/base/check.h"

static void word_write(uint8_t out[SP_WORD_BYTES], uint32_t word)
{
    for (int i = 0; i < SP_WORD_BYTES; i++)
        out[i] = (uint8_t)(word >> (24 - 8 * i));
}

static uint32_t word_read(const uint8_t in[SP_WORD_BYTES])
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

void sp_greeting_write(uint8_t out[SP_GREETING_BYTES], enum sp_protocol own)
{
    const uint8_t greeting[SP_GREETING_BYTES] = {0, 'S', 'P', 0, 0, (uint8_t)own, 0, 0};
    memcpy(out, greeting, sizeof greeting);
}

void sp_head_write(uint8_t out[SP_HEAD_BYTES], uint32_t body_bytes, uint32_t word)
{
    uint64_t length = (uint64_t)body_bytes + SP_WORD_BYTES;
    word_write(out, (uint32_t)(length >> 32));
    word_write(out + 4, (uint32_t)length);
    word_write(out + SP_LENGTH_BYTES, word);
}

void sp_reader_init(struct sp_reader *reader, enum sp_protocol peer, uint32_t body_bytes_max)
{
    *reader = (struct sp_reader){.peer = peer, .body_bytes_max = body_bytes_max};
}

/* Fills part up to size bytes. */
static void gather(struct sp_reader *reader, struct bytes *input, uint32_t size)
{
    uint32_t lacking = size - reader->have;
    uint32_t taken = input->size < lacking ? (uint32_t)input->size : lacking;
    if (taken == 0) return;
    memcpy(reader->part + reader->have, input->data, taken);
    reader->have = (uint8_t)(reader->have + taken);
    *input = bytes_of(input->data + taken, input->size - taken);
}

static enum sp_event take_greeting(struct sp_reader *reader, struct bytes *input)
{
    uint8_t right[SP_GREETING_BYTES];
    sp_greeting_write(right, reader->peer);
    gather(reader, input, SP_GREETING_BYTES);
    if (memcmp(reader->part, right, reader->have) != 0) return SP_BROKEN;
    if (reader->have < SP_GREETING_BYTES) return SP_MORE;
    reader->have = 0;
    reader->greeted = true;
    return SP_GREETED;
}

/* The length as soon as it is there: nobody waits for the rest of what will be refused. */
static bool length_is_fine(struct sp_reader *reader)
{
    uint64_t length = (uint64_t)word_read(reader->part) << 32 | word_read(reader->part + 4);
    if (length < SP_WORD_BYTES || length - SP_WORD_BYTES > reader->body_bytes_max) return false;
    reader->body_bytes = (uint32_t)(length - SP_WORD_BYTES);
    return true;
}

enum sp_event sp_reader_step(struct sp_reader *reader, struct bytes *input)
{
    if (!reader->greeted) return take_greeting(reader, input);
    if (reader->have < SP_LENGTH_BYTES) {
        gather(reader, input, SP_LENGTH_BYTES);
        if (reader->have < SP_LENGTH_BYTES) return SP_MORE;
        if (!length_is_fine(reader)) return SP_BROKEN;
    }
    gather(reader, input, SP_HEAD_BYTES);
    if (reader->have < SP_HEAD_BYTES) return SP_MORE;
    reader->have = 0;
    reader->word = word_read(reader->part + SP_LENGTH_BYTES);
    /* More words would mean a device between us and the client; nng's raw REP takes them, we answer one hop. */
    return reader->word & SP_WORD_LAST ? SP_MESSAGE : SP_BROKEN;
}
