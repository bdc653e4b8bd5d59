#include "common/rpc/sp/sp_wire.h"

#include <criterion/criterion.h>
#include <string.h>

enum { BODY_MAX = 1000 };

static const uint8_t REQ_GREETING[SP_GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};

/* Steps through input in pieces of so many bytes; returns the first event but SP_MORE, and how much it took. */
static enum sp_event step_in_pieces(struct sp_reader *reader, struct bytes input, size_t piece, size_t *taken)
{
    *taken = 0;
    while (*taken < input.size) {
        size_t size = input.size - *taken < piece ? input.size - *taken : piece;
        struct bytes part = bytes_of(input.data + *taken, size);
        enum sp_event event = sp_reader_step(reader, &part);
        *taken += size - part.size;
        if (event != SP_MORE) return event;
        cr_assert_eq(part.size, 0);
    }
    return SP_MORE;
}

static struct sp_reader greeted(void)
{
    struct sp_reader reader;
    struct bytes input = bytes_of(REQ_GREETING, sizeof REQ_GREETING);
    sp_reader_init(&reader, SP_REQ, BODY_MAX);
    cr_assert_eq(sp_reader_step(&reader, &input), SP_GREETED);
    return reader;
}

static enum sp_event read_head(struct sp_reader *reader, uint64_t length, uint32_t word, size_t size, size_t *taken)
{
    uint8_t head[SP_HEAD_BYTES];
    for (int i = 0; i < 8; i++)
        head[i] = (uint8_t)(length >> (56 - 8 * i));
    for (int i = 0; i < 4; i++)
        head[8 + i] = (uint8_t)(word >> (24 - 8 * i));
    return step_in_pieces(reader, bytes_of(head, size), 1, taken);
}

Test(sp_wire, a_greeting_says_sp_and_its_protocol)
{
    uint8_t greeting[SP_GREETING_BYTES];
    sp_greeting_write(greeting, SP_REQ);
    cr_assert_arr_eq(greeting, REQ_GREETING, sizeof greeting);
    sp_greeting_write(greeting, SP_REP);
    cr_assert_eq(greeting[5], 0x31);
}

Test(sp_wire, a_greeting_is_taken_however_it_is_cut_and_no_byte_more)
{
    uint8_t input[SP_GREETING_BYTES + 3] = {0};
    memcpy(input, REQ_GREETING, sizeof REQ_GREETING);
    for (size_t piece = 1; piece <= sizeof input; piece++) {
        struct sp_reader reader;
        size_t taken;
        sp_reader_init(&reader, SP_REQ, BODY_MAX);
        cr_assert_eq(step_in_pieces(&reader, bytes_of(input, sizeof input), piece, &taken), SP_GREETED);
        cr_assert_eq(taken, SP_GREETING_BYTES);
    }
}

Test(sp_wire, a_wrong_byte_of_a_greeting_is_found_when_it_comes)
{
    for (size_t wrong = 0; wrong < SP_GREETING_BYTES; wrong++) {
        uint8_t input[SP_GREETING_BYTES];
        struct sp_reader reader;
        size_t taken;
        memcpy(input, REQ_GREETING, sizeof input);
        input[wrong] ^= 1;
        sp_reader_init(&reader, SP_REQ, BODY_MAX);
        cr_assert_eq(step_in_pieces(&reader, bytes_of(input, sizeof input), 1, &taken), SP_BROKEN);
        cr_assert_eq(taken, wrong + 1);
    }
}

Test(sp_wire, another_protocol_is_refused)
{
    struct sp_reader reader;
    struct bytes input = bytes_of(REQ_GREETING, sizeof REQ_GREETING);
    sp_reader_init(&reader, SP_REP, BODY_MAX);
    cr_assert_eq(sp_reader_step(&reader, &input), SP_BROKEN);
}

Test(sp_wire, a_head_is_read_as_it_was_written_however_it_is_cut)
{
    uint8_t head[SP_HEAD_BYTES + 2] = {0};
    sp_head_write(head, 777, 0x80001234u);
    for (size_t piece = 1; piece <= sizeof head; piece++) {
        struct sp_reader reader = greeted();
        size_t taken;
        cr_assert_eq(step_in_pieces(&reader, bytes_of(head, sizeof head), piece, &taken), SP_MESSAGE);
        cr_assert_eq(taken, SP_HEAD_BYTES);
        cr_assert_eq(reader.body_bytes, 777);
        cr_assert_eq(reader.word, 0x80001234u);
    }
}

Test(sp_wire, messages_follow_each_other)
{
    struct sp_reader reader = greeted();
    size_t taken;
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(read_head(&reader, 4 + i, SP_WORD_LAST | i, SP_HEAD_BYTES, &taken), SP_MESSAGE);
        cr_assert_eq(reader.body_bytes, i);
        cr_assert_eq(reader.word, SP_WORD_LAST | i);
    }
}

Test(sp_wire, the_largest_body_may_come_and_one_byte_more_may_not)
{
    struct sp_reader reader = greeted();
    size_t taken;
    cr_assert_eq(read_head(&reader, 4 + BODY_MAX, SP_WORD_LAST, SP_HEAD_BYTES, &taken), SP_MESSAGE);
    cr_assert_eq(reader.body_bytes, BODY_MAX);
    cr_assert_eq(read_head(&reader, 5 + BODY_MAX, SP_WORD_LAST, SP_HEAD_BYTES, &taken), SP_BROKEN);
}

Test(sp_wire, a_wrong_length_is_found_before_its_word_has_come)
{
    static const uint64_t lengths[] = {0, 3, 5 + BODY_MAX, UINT64_C(1) << 32, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct sp_reader reader = greeted();
        size_t taken;
        cr_assert_eq(read_head(&reader, lengths[i], SP_WORD_LAST, SP_LENGTH_BYTES, &taken), SP_BROKEN);
    }
}

Test(sp_wire, a_word_that_is_not_the_last_is_refused)
{
    struct sp_reader reader = greeted();
    size_t taken;
    cr_assert_eq(read_head(&reader, 100, SP_WORD_LAST - 1, SP_HEAD_BYTES, &taken), SP_BROKEN);
}
