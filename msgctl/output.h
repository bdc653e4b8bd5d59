/*
 * output: results for people (tables whose cells escape control characters) and for programs (JSON). One thread.
 */
#ifndef TRILLIUM_MSGCTL_OUTPUT_H
#define TRILLIUM_MSGCTL_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "common/base/bytes.h"

/* Appends text for a terminal: control and direction characters and what is no UTF-8 as escapes. */
void output_escape(struct buffer *out, struct bytes text);

/* Columns of cells, filled row by row, the headings first. Zero-initialised but for columns. */
struct output_table {
    unsigned columns;
    struct buffer text; /* all cells, escaped, each with a terminating zero */
    size_t cells;
};
void output_cell(struct output_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void output_cell_bytes(struct output_table *table, struct bytes text);
/* Several plain cells; the last argument is NULL. */
void output_cells(struct output_table *table, ...) __attribute__((sentinel));
/* Prints and empties it. */
void output_table(struct output_table *table, FILE *to);

/* Prints the value with a newline and releases it. */
void output_json(json_t *value);
/* Numbers of 64 bits are decimal strings in JSON. */
json_t *output_id(uint64_t number);

/* "1.5 GiB" into out; returns out. */
const char *output_bytes(uint64_t bytes, char out[32]);
/* "12,345" */
const char *output_count(uint64_t number, char out[32]);
/* "3 d 4 h", "5 min 6 s", "0.3 s" */
const char *output_time(uint64_t ms, char out[32]);

#endif
