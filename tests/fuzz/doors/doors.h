/*
 * doors: clock, reactor's backend and link door for fuzz targets that run a client program as it ships. They take the
 * places of posix_env, uv_backend and link_nng at link time, and libtrillium starts no thread. Nothing outside the
 * process is reached, time passes only where the program waits, and every address has a daemon that answers what the
 * input says.
 *
 * An input's answers are a list: to which method, status, length (16 bits), body. Answers to one method are given in
 * their order, the last again and again; to other methods it says OK and nothing. Method FRAME_METHOD stands for whole
 * frames: its first body that is left goes out, with the checksum set right, instead of the next answer.
 * One thread.
 */
#ifndef TRILLIUM_TESTS_FUZZ_DOORS_DOORS_H
#define TRILLIUM_TESTS_FUZZ_DOORS_DOORS_H

#include "common/base/bytes.h"

enum { DOORS_FRAME_METHOD = 0xff };

/* Before the program begins: time starts anew, answers are read to the end of the reader. */
void doors_begin(struct reader *answers);
/* Time passes. */
void doors_pass(uint64_t ns);
/* After it: nothing is open, and it did not ask without end. */
void doors_end(void);

#endif
