/*
 * rows: the rows that the model's replicas hold, as small numbers. Every one is a real row; merging and applying go
 * through common/model once for each pair and are remembered after that.
 */
#ifndef TRILLIUM_TESTS_MODEL_ROWS_H
#define TRILLIUM_TESTS_MODEL_ROWS_H

#include "common/model/merge.h"

enum { ROWS_MAX = 200 };

/* Row 0 is the empty one. The others of this list are the writes; more come from merging them. */
enum { ROW_NONE, ROW_CREATE_A, ROW_CREATE_B, ROW_EDIT_1, ROW_EDIT_2, ROW_DELETE, ROW_HOLLOW, ROWS_WRITES };

struct rows {
    unsigned count;
    struct row row[ROWS_MAX];
    struct buffer bytes[ROWS_MAX];
    uint8_t merged[ROWS_MAX][ROWS_MAX]; /* 0xff: not known yet */
    uint8_t made_of[ROWS_MAX];          /* of visible rows: bits (1 << write) whose cells are in it */
    bool whole[ROWS_MAX];               /* of visible rows: author and content are there */
};

void rows_init(struct rows *rows);
void rows_fini(struct rows *rows);
uint8_t rows_merge(struct rows *rows, uint8_t a, uint8_t b);
enum status rows_apply_status(const struct rows *rows, uint8_t held, uint8_t incoming);

static inline bool rows_visible(const struct rows *rows, uint8_t row)
{
    return row_is_visible(&rows->row[row]);
}

static inline bool rows_deleted(const struct rows *rows, uint8_t row)
{
    return rows->row[row].is_deleted;
}

/* Merges everything that two creates, edits of two columns (one or two stamps, two values or a clear) and deletes of
   two stamps can make, and checks the three laws on all triples; returns how many failed. For rows that are not
   explored with. */
unsigned rows_check_laws(struct rows *rows, unsigned long *triples);

#endif
