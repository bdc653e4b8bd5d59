/* The commands for tests and demonstrations; not in the lists of help. */
#include <stdio.h>

#include "msgctl/commands.h"
#include "msgctl/generator.h"
#include "msgctl/ndjson.h"

enum { MESSAGES_PER_CHANNEL = 60 };
/* 2024-01-01T00:00Z */
static const uint64_t start_default_ms = 1704067200000;

static const struct cli_option generate_options[] = {
    {"--seed", "N", "the same seed gives the same messages (default 1)"},
    {"--channels", "N", "how many channels (default: one for every 60 messages)"},
    {"--start", "MS", "time of the first message, ms since 1970 (default: 2024)"},
    CLI_OPTIONS_END,
};

static enum exit_code run_generate(struct cli *cli)
{
    uint64_t count, seed = 1, channels = 0, start_ms = start_default_ms;
    if (!cli_u64(cli, "COUNT", cli->arguments[0], &count) || !cli_option_u64(cli, "--seed", UINT64_MAX, &seed) ||
        !cli_option_u64(cli, "--channels", GENERATOR_CHANNELS_MAX, &channels) ||
        !cli_option_u64(cli, "--start", INT64_C(4000000000000), &start_ms))
        return EXIT_USAGE;
    if (start_ms < 1420070400000) return cli_usage(cli, "--start lies before 2015");
    if (channels == 0) channels = count / MESSAGES_PER_CHANNEL + 1;
    if (channels > GENERATOR_CHANNELS_MAX) channels = GENERATOR_CHANNELS_MAX;
    struct generator generator;
    struct arena arena = {0};
    struct buffer line = {0};
    generator_init(&generator, seed, (unsigned)channels, (int64_t)start_ms);
    bool ok = true;
    for (uint64_t i = 0; i < count && ok; i++) {
        struct trillium_message message;
        generator_next(&generator, &arena, &message);
        buffer_clear(&line);
        ndjson_encode(&message, &line);
        ok = fwrite(line.data, 1, line.size, stdout) == line.size;
        arena_reset(&arena);
    }
    generator_fini(&generator);
    buffer_free(&line);
    arena_free(&arena);
    if (!ok) cli_say(cli, "standard output cannot be written");
    return ok ? EXIT_DONE : EXIT_FAILED;
}

const struct command demo_commands[] = {
    {.name = "generate",
        .arguments = "COUNT",
        .summary = "Prints a generated conversation as NDJSON",
        .arguments_min = 1,
        .arguments_max = 1,
        .options = generate_options,
        .run = run_generate,
        .is_hidden = true,
        .is_offline = true},
    COMMANDS_END,
};
