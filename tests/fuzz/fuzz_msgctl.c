// links: fuzz_doors msgctl_core
/*
 * fuzz_msgctl: commands of msgctl, as typed, with a cluster that answers anything. Each ends with one of its exit
 * codes.
 *
 * The first byte chooses a command, a line of further words follows (only words: no command here writes files; import
 * looks at three lines without sending them), then answers (doors/doors.h).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/check.h"
#include "msgctl/cli.h"
#include "tests/fuzz/doors/doors.h"

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WORDS_MAX = 40, LINE_MAX_BYTES = 400, IMPORTED_FD = 77 };

static const char *const commands[] = {"status", "status --check", "cluster info", "node list", "node info 1",
    "ring owners 1", "channel list", "channel inspect 1", "channel purge 1", "message send 1 hi", "message list 1",
    "message get 1 7", "message edit 1 7 yo", "message delete 1 7", "message status 1 7", "flush", "compact run",
    "compact status", "message list", "channel purge", "message send", "node info", "ring owners", "message delete",
    "import /proc/self/fd/77"};
enum { COMMANDS = sizeof commands / sizeof *commands };

/* What msgctl prints would bury what libFuzzer says. */
int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    static char mask[] = "-close_fd_mask=3";
    static char *all[256];
    CHECK(*count < 250);
    memcpy(all, *arguments, (size_t)*count * sizeof *all);
    all[(*count)++] = mask;
    *arguments = all;
    static const char lines[] = "{\"channel_id\":1,\"message_id\":5,\"author_id\":2,\"content\":\"hi\"}\n{}\n\n";
    int file = memfd_create("lines", 0);
    CHECK(
        write(file, lines, sizeof lines - 1) == (ssize_t)(sizeof lines - 1) && dup2(file, IMPORTED_FD) == IMPORTED_FD);
    /* No settings of this machine, and no checkpoints on it. */
    return setenv("TRILLIUM_CONFIG", "/dev/null", 1) || setenv("XDG_STATE_HOME", "/dev/null", 1);
}

/* Words are separated by blanks; line is changed. */
static int split(char *line, char **words, int count)
{
    char *rest = line;
    for (char *word; count < WORDS_MAX && (word = strsep(&rest, " ")) != NULL;)
        if (*word) words[count++] = word;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char head[] = "msgctl", routers[] = "--routers=127.0.3.1", controllers[] = "--controllers=127.0.1.1";
    static char deadline[] = "--deadline=2s";
    char line[2 * LINE_MAX_BYTES] = {0};
    char *words[WORDS_MAX + 4] = {head};
    if (size == 0) return 0;
    const uint8_t *end = memchr(data + 1, '\n', size - 1);
    size_t further = end ? (size_t)(end - data - 1) : size - 1;
    if (further > LINE_MAX_BYTES) return 0;
    strcpy(line, commands[data[0] % COMMANDS]);
    size_t at = strlen(line);
    line[at++] = ' ';
    memcpy(line + at, data + 1, further);
    int count = split(line, words, 1);
    words[count++] = routers;
    words[count++] = controllers;
    words[count++] = deadline;
    struct reader reader = reader_of(bytes_of(data + 1 + further, size - 1 - further));
    if (end) (void)read_u8(&reader);
    doors_begin(&reader);
    int code = cli_main(count, words);
    CHECK(code >= EXIT_DONE && code <= EXIT_UNREACHABLE);
    doors_end();
    return 0;
}
