/*
 * sp_wire: the bytes of SP over TCP, as nng speaks it (docs/protocols/sp.md): a greeting of 8 bytes each way, then
 * messages, each a length, one word of a request's header, and a body that is a frame.
 *
 * Pure: no socket, no memory of its own. Source: the mapping "SP over TCP" of nanomsg's RFC, and of nng 1.5.2 the
 * header of REQ and REP with one hop.
 */
#ifndef TRILLIUM_COMMON_RPC_SP_SP_WIRE_H
#define TRILLIUM_COMMON_RPC_SP_SP_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"

enum {
    SP_GREETING_BYTES = 8,
    SP_WORD_BYTES = 4,
    SP_LENGTH_BYTES = 8,
    SP_HEAD_BYTES = SP_LENGTH_BYTES + SP_WORD_BYTES,
};
enum sp_protocol { SP_REQ = 0x30, SP_REP = 0x31 };
/* The word's top bit: no more words follow, what follows is the body. */
#define SP_WORD_LAST 0x80000000u

void sp_greeting_write(uint8_t out[SP_GREETING_BYTES], enum sp_protocol own);
/* The length counts the word. */
void sp_head_write(uint8_t out[SP_HEAD_BYTES], uint32_t body_bytes, uint32_t word);

/* What one side says, from its first byte on. Bodies are not its business: whoever takes them out of the stream
   continues behind them. */
struct sp_reader {
    enum sp_protocol peer;
    uint32_t body_bytes_max;
    bool greeted;
    uint8_t have; /* bytes of part that are there */
    uint8_t part[SP_HEAD_BYTES];
    /* Of the message that was found last. */
    uint32_t body_bytes;
    uint32_t word;
};

enum sp_event {
    SP_MORE,    /* the input is used up */
    SP_GREETED, /* the greeting was right */
    SP_MESSAGE, /* body_bytes bytes of a body follow */
    SP_BROKEN,  /* no more to be read from it: it does not speak SP, not to us, or says too much at once */
};

void sp_reader_init(struct sp_reader *reader, enum sp_protocol peer, uint32_t body_bytes_max);
/* Takes from the front of input what belongs to the next event. Wrong bytes are found as soon as they are there. */
enum sp_event sp_reader_step(struct sp_reader *reader, struct bytes *input);

#endif
