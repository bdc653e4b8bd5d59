/*
 * input: lines of a file or of standard input, plain, gzip or zstd (judged by their first bytes, not by the name).
 *
 * Lines are bounded by NDJSON_LINE_BYTES_MAX; a longer one is passed over and said. A byte order mark at the beginning
 * is passed over too. One thread.
 */
#ifndef TRILLIUM_MSGCTL_INPUT_H
#define TRILLIUM_MSGCTL_INPUT_H

#include "common/base/bytes.h"
#include "common/base/hash.h"
#include "common/base/status.h"

enum { INPUT_WHY_BYTES = 256 };

struct input;

struct input_line {
    struct bytes text; /* without its end; lives until the next call */
    uint64_t number;   /* from 1 */
    uint64_t end;      /* unpacked bytes up to and with its end: what input_seek takes */
};

/* path "-" is standard input. IO or CORRUPT with a sentence in why. */
enum status input_open(const char *path, struct input **out, char why[INPUT_WHY_BYTES]) MUST_CHECK;
void input_close(struct input *input);

/* OK; BUSY: a pipe has nothing for now (after 5 ms of waiting); NOT_FOUND at the end; TOO_BIG: this line (its number is
   set) is above the limit; IO, CORRUPT with a sentence in why, after which nothing comes any more. */
enum status input_next(struct input *input, struct input_line *out, char why[INPUT_WHY_BYTES]) MUST_CHECK;
/* Goes on behind that many unpacked bytes, which are lines_count lines. Only before the first input_next. */
enum status input_seek(
    struct input *input, uint64_t offset, uint64_t lines_count, char why[INPUT_WHY_BYTES]) MUST_CHECK;

/* Bytes of the file as it lies there, and how many of them were taken; size 0: not known (a pipe). */
uint64_t input_size(const struct input *input);
uint64_t input_position(const struct input *input);
/* Of the file's bytes as they lie there; false for what cannot be read twice. */
bool input_digest(struct input *input, struct digest *out);

#endif
