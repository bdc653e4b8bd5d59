/*
 * snowflake: ids of messages. 42 bits of milliseconds since 2015-01-01T00:00Z, 16 bits of maker, 6 bits of sequence.
 *
 * Order is that of unsigned numbers. *Id time* is the milliseconds part as Unix time; the create of a message is
 * stamped with it. Pure functions. Every uint64_t is a snowflake; which ones a call accepts is the caller's rule.
 */
#ifndef TRILLIUM_COMMON_MODEL_SNOWFLAKE_H
#define TRILLIUM_COMMON_MODEL_SNOWFLAKE_H

#include <stdbool.h>
#include <stdint.h>

#define SNOWFLAKE_EPOCH_MS 1420070400000ll

enum {
    SNOWFLAKE_SEQUENCE_BITS = 6,
    SNOWFLAKE_MAKER_BITS = 16,
    SNOWFLAKE_TIME_SHIFT = SNOWFLAKE_SEQUENCE_BITS + SNOWFLAKE_MAKER_BITS,
    SNOWFLAKE_SEQUENCES = 1 << SNOWFLAKE_SEQUENCE_BITS,
};

/* unix_ms lies between 2015 and 2154, sequence is below SNOWFLAKE_SEQUENCES (checked: both are ours). */
uint64_t snowflake_make(int64_t unix_ms, uint16_t maker, uint8_t sequence);
int64_t snowflake_unix_ms(uint64_t id);
/* The timestamp of the create of this id, in microseconds since 1970. */
int64_t snowflake_unix_us(uint64_t id);
uint16_t snowflake_maker(uint64_t id);
uint8_t snowflake_sequence(uint64_t id);
/* The lowest and the highest id of a millisecond; times outside the 42 bits give 0 and UINT64_MAX. */
uint64_t snowflake_first_of_ms(int64_t unix_ms);
uint64_t snowflake_last_of_ms(int64_t unix_ms);
/* True when the id lies more than SKEW_AHEAD_MS_MAX after now (TOO_NEW). */
bool snowflake_is_too_new(uint64_t id, int64_t now_unix_ms);

#endif
