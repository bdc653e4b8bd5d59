#include "tests/unit/controld/raft/corpus.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

FILE *corpus_open(const char *name)
{
    const char *folder = getenv("TRILLIUM_RAFT_CORPUS");
    char path[1024];
    if (folder) {
        snprintf(path, sizeof path, "%s/%s", folder, name);
    } else {
        snprintf(path, sizeof path, "%s/../shared/data/raft-corpus/%s", TRILLIUM_ROOT, name);
    }
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "skipped: no %s (set TRILLIUM_RAFT_CORPUS)\n", path);
        cr_skip_test("no corpus");
    }
    return file;
}

/* Copies one word that ends before any of the stops; returns where it ended. */
static const char *take_word(const char *at, const char *stops, char out[CORPUS_WORD_MAX])
{
    size_t size = strcspn(at, stops);
    cr_assert_lt(size, CORPUS_WORD_MAX);
    memcpy(out, at, size);
    out[size] = 0;
    return at + size;
}

static const char *take_argument(const char *at, struct corpus_argument *argument)
{
    memset(argument, 0, sizeof *argument);
    at = take_word(at, " =", argument->key);
    if (*at != '=') return at;
    at++;
    if (*at != '(') return take_word(at, " ", argument->values[argument->values_count++]);
    at++;
    while (*at && *at != ')') {
        at += strspn(at, ", ");
        cr_assert_lt(argument->values_count, CORPUS_VALUES_MAX);
        at = take_word(at, ",) ", argument->values[argument->values_count++]);
        at += strspn(at, ", ");
    }
    return *at ? at + 1 : at;
}

static void parse_command(struct corpus_block *block, const char *line)
{
    const char *at = take_word(line, " ", block->command);
    block->arguments_count = 0;
    for (at += strspn(at, " "); *at; at += strspn(at, " ")) {
        cr_assert_lt(block->arguments_count, CORPUS_ARGUMENTS_MAX);
        at = take_argument(at, &block->arguments[block->arguments_count++]);
    }
}

static void append_line(char text[CORPUS_TEXT_MAX], const char *line)
{
    size_t size = strlen(text);
    int added = snprintf(text + size, CORPUS_TEXT_MAX - size, "%s\n", line);
    cr_assert_lt(size + (size_t)added, CORPUS_TEXT_MAX);
}

bool corpus_next(FILE *file, struct corpus_block *block)
{
    char line[4096];
    enum { BEFORE, INPUT, EXPECTED } part = BEFORE;
    block->command[0] = block->input[0] = block->expected[0] = 0;
    while (fgets(line, sizeof line, file)) {
        block->lines_read++;
        line[strcspn(line, "\n")] = 0;
        if (part == BEFORE) {
            if (line[0] == '#' || line[0] == 0) continue;
            block->line = block->lines_read;
            parse_command(block, line);
            part = INPUT;
        } else if (part == INPUT) {
            if (strcmp(line, "----") == 0)
                part = EXPECTED;
            else
                append_line(block->input, line);
        } else {
            if (line[0] == 0) break;
            append_line(block->expected, line);
        }
    }
    return part == EXPECTED;
}

const struct corpus_argument *corpus_argument(const struct corpus_block *block, const char *key)
{
    for (int i = 0; i < block->arguments_count; i++)
        if (strcmp(block->arguments[i].key, key) == 0) return &block->arguments[i];
    return NULL;
}
