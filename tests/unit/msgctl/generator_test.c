#include <criterion/criterion.h>

#include "common/base/limits.h"
#include "msgctl/generator.h"
#include "msgctl/ndjson.h"

enum { COUNT = 20000, CHANNELS = 300 };

Test(generator, the_same_seed_gives_the_same_messages)
{
    struct generator a, b, other;
    struct arena arena = {0};
    struct buffer lines[3] = {{0}};
    generator_init(&a, 7, CHANNELS, 1704067200000);
    generator_init(&b, 7, CHANNELS, 1704067200000);
    generator_init(&other, 8, CHANNELS, 1704067200000);
    struct generator *generators[] = {&a, &b, &other};
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 500; k++) {
            struct trillium_message message;
            generator_next(generators[i], &arena, &message);
            ndjson_encode(&message, &lines[i]);
        }
    cr_expect(bytes_equal(buffer_bytes(&lines[0]), buffer_bytes(&lines[1])));
    cr_expect(!bytes_equal(buffer_bytes(&lines[0]), buffer_bytes(&lines[2])));
    for (unsigned i = 0; i < 3; i++) {
        generator_fini(generators[i]);
        buffer_free(&lines[i]);
    }
    arena_free(&arena);
}

Test(generator, ids_ascend_and_every_line_can_be_imported)
{
    struct generator generator;
    struct arena arena = {0};
    struct buffer line = {0};
    uint64_t newest = 0, first_channel = 0;
    unsigned of_first = 0, longest = 0, empty = 0, edited = 0;
    generator_init(&generator, 1, CHANNELS, 1704067200000);
    for (unsigned i = 0; i < COUNT; i++) {
        struct trillium_message message, again;
        struct ndjson_error error = {0};
        generator_next(&generator, &arena, &message);
        cr_assert(message.message_id > newest);
        newest = message.message_id;
        buffer_clear(&line);
        ndjson_encode(&message, &line);
        enum status status = ndjson_decode(bytes_of(line.data, line.size - 1), &arena, &again, &error);
        cr_assert(status == STATUS_OK, "%s %s", error.field, error.problem);
        cr_assert(again.content.size == message.content.size && again.extra.size == message.extra.size);
        if (i == 0) first_channel = message.channel_id;
        of_first += message.channel_id == first_channel;
        empty += message.content.size == 0;
        edited += (message.has & TRILLIUM_HAS_EDITED_AT) != 0;
        longest += message.content.size == CONTENT_BYTES_MAX;
        arena_reset(&arena);
    }
    cr_expect(longest > 0 && empty > 10 && edited > 100 && of_first > 0 && of_first < COUNT / 2);
    generator_fini(&generator);
    buffer_free(&line);
    arena_free(&arena);
}
