/*
 * corpus: reads the published data-driven Raft tests: blocks of a command, "----", and the expected output.
 * The files are not part of the project: they are read from TRILLIUM_RAFT_CORPUS (default ../shared/data/raft-corpus
 * beside the project's root) and the tests that need them are skipped, with a message, when they are absent.
 */
#ifndef TRILLIUM_TESTS_UNIT_CONTROLD_RAFT_CORPUS_H
#define TRILLIUM_TESTS_UNIT_CONTROLD_RAFT_CORPUS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { CORPUS_ARGUMENTS_MAX = 32, CORPUS_VALUES_MAX = 32, CORPUS_WORD_MAX = 64, CORPUS_TEXT_MAX = 32768 };

/* "cfg=(1,2)" is a key with values "1" and "2"; "prevote=true" one value; "3" a key without values. */
struct corpus_argument {
    char key[CORPUS_WORD_MAX];
    char values[CORPUS_VALUES_MAX][CORPUS_WORD_MAX];
    int values_count;
};

struct corpus_block {
    int line; /* of the command */
    int lines_read;
    char command[CORPUS_WORD_MAX];
    struct corpus_argument arguments[CORPUS_ARGUMENTS_MAX];
    int arguments_count;
    char input[CORPUS_TEXT_MAX];
    char expected[CORPUS_TEXT_MAX];
};

/* Opens FOLDER/NAME of the corpus; skips the running test when the corpus is absent. */
FILE *corpus_open(const char *name);
/* False at the end of the file. Start with a zeroed block and go on with the same one: it counts lines. */
bool corpus_next(FILE *file, struct corpus_block *block);
const struct corpus_argument *corpus_argument(const struct corpus_block *block, const char *key);

#endif
