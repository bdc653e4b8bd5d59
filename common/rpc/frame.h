/*
 * frame: the bytes of one frame on a pipe (docs/protocols/frame.md): a header of 32 bytes and up to 256 entries, each a
 * call, an answer or a cancel. Little-endian, crc32c over the whole.
 *
 * Pure: no state, no memory, no clock; any thread. A received frame is checked whole by frame_check before any of its
 * entries acts; afterwards frame_next cannot fail. Knows nothing of windows, grants or methods.
 */
#ifndef TRILLIUM_COMMON_RPC_FRAME_H
#define TRILLIUM_COMMON_RPC_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/limits.h"

#define FRAME_MAGIC 0x314d5254u /* "TRM1"; the first byte on the wire is below 0x80 */

enum { FRAME_VERSION = 1, FRAME_ENTRY_BYTES = 28, FRAME_ROUTED_BYTES = 24 };

enum frame_flag {
    FRAME_ONE_ANSWER = 1, /* of a plain REQ client: one frame, one frame back */
    FRAME_GOODBYE = 2,    /* the sender opens no more calls on this pipe */
};

enum frame_kind { FRAME_CALL = 1, FRAME_ANSWER = 2, FRAME_CANCEL = 3 };

enum frame_entry_flag {
    FRAME_MORE = 1,   /* reserved: further parts of this body follow */
    FRAME_ROUTED = 2, /* range, epoch and stamp are present */
};

struct frame_header {
    uint8_t version;
    uint8_t flags; /* enum frame_flag */
    uint16_t count;
    int64_t sender_wall_us;
    uint32_t calls_granted, frame_no, frames_seen; /* absolute, modulo 2^32 */
};

struct frame_entry {
    uint64_t id;
    uint8_t kind;     /* enum frame_kind */
    uint8_t flags;    /* enum frame_entry_flag */
    uint16_t code;    /* method of a call, status of an answer, 0 of a cancel */
    uint32_t time_us; /* remaining budget of a call, retry-after of an answer */
    uint64_t trace;
    uint64_t range, epoch, stamp; /* 0 unless FRAME_ROUTED */
    struct bytes body;            /* points into the frame */
};

/* What is wrong with a frame; FRAME_FINE is 0. */
enum frame_fault {
    FRAME_FINE,
    FRAME_FAULT_SHORT,    /* less than a header */
    FRAME_FAULT_MAGIC,    /* not a frame of ours */
    FRAME_FAULT_VERSION,  /* a version that this program does not speak */
    FRAME_FAULT_FLAGS,    /* unknown flags */
    FRAME_FAULT_CHECKSUM, /* damaged */
    FRAME_FAULT_COUNT,    /* more than 256 entries */
    FRAME_FAULT_ENTRY,    /* an entry of unknown kind or flags, or one that ends beyond the frame */
    FRAME_FAULT_TRAILING, /* bytes after the last entry */
};

/* "its checksum is wrong", for messages. */
const char *frame_fault_text(enum frame_fault fault);

/* Checks header, checksum and the shape of every entry. Fills *out only when FRAME_FINE. */
enum frame_fault frame_check(struct bytes frame, struct frame_header *out);

/* Reads the entries of a checked frame: reader = frame_entries(frame); while (frame_next(&reader, &entry)) ... */
struct reader frame_entries(struct bytes frame);
bool frame_next(struct reader *reader, struct frame_entry *out);

/* Bytes of an entry with this body, header of the frame not counted. */
uint32_t frame_entry_size(bool routed, uint32_t body_bytes);
/* Writes the head of an entry at at (28 bytes, 52 with FRAME_ROUTED in entry->flags); entry->body.size is its length,
   the caller writes the body behind it. Returns where the body goes. */
uint8_t *frame_entry_write(uint8_t *at, const struct frame_entry *entry);
/* Replaces budget or retry-after of the entry that begins at entry. */
void frame_entry_set_time(uint8_t *entry, uint32_t time_us);
/* Writes the header with its checksum over a frame whose entries are in place; size includes the header. */
void frame_seal(uint8_t *frame, uint32_t size, const struct frame_header *header);

#endif
