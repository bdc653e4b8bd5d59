#include "tests/model/rows.h"

#include "common/base/check.h"

enum { AUTHOR = 1, CONTENT = 2, FLAGS = 3 };

/* Which writes the cells of a visible row come from, and whether it is a whole message. */
static void describe(struct rows *rows, uint8_t at)
{
    const struct row *row = &rows->row[at];
    rows->made_of[at] = 0;
    rows->whole[at] = true;
    if (!row_is_visible(row)) return;
    for (unsigned write = ROW_CREATE_A; write < ROWS_WRITES; write++) {
        const struct row *made = &rows->row[write];
        if (made->has_create && made->create_digest == row->create_digest) rows->made_of[at] |= (uint8_t)(1 << write);
        for (unsigned i = 0; i < made->cells_count; i++) {
            const struct cell *cell = row_find(row, made->cells[i].column);
            if (cell && cell->edit && made->cells[i].edit && cell_compare(cell, &made->cells[i]) == 0)
                rows->made_of[at] |= (uint8_t)(1 << write);
        }
    }
    rows->whole[at] = row_find(row, AUTHOR) && row_find(row, CONTENT);
}

static uint8_t intern(struct rows *rows, const struct row *row)
{
    struct buffer bytes = {0};
    row_encode_buffer(row, &bytes);
    for (unsigned i = 1; i < rows->count; i++)
        if (bytes_equal(buffer_bytes(&rows->bytes[i]), buffer_bytes(&bytes))) {
            buffer_free(&bytes);
            return (uint8_t)i;
        }
    CHECK(rows->count < ROWS_MAX);
    uint8_t at = (uint8_t)rows->count++;
    rows->bytes[at] = bytes;
    CHECK(row_decode(buffer_bytes(&bytes), &rows->row[at]) == STATUS_OK);
    if (at >= ROWS_WRITES) describe(rows, at);
    return at;
}

static void add_create(struct rows *rows, const char *author, const char *content, bool flags)
{
    struct row row;
    row_begin_create(&row);
    if (author) row_put(&row, AUTHOR, bytes_text(author));
    if (content) row_put(&row, CONTENT, bytes_text(content));
    if (flags) row_put(&row, FLAGS, bytes_text("f"));
    intern(rows, &row);
}

static void add_edit(struct rows *rows, int64_t stamp, const char *content)
{
    struct row row;
    row_begin_edit(&row);
    row_put_edit(&row, CONTENT, stamp, bytes_text(content));
    intern(rows, &row);
}

void rows_init(struct rows *rows)
{
    struct row row;
    *rows = (struct rows){.count = 1};
    memset(rows->merged, 0xff, sizeof rows->merged);
    row_begin_edit(&rows->row[ROW_NONE]);
    add_create(rows, "ann", "hi", false);
    add_create(rows, "bob", "ho", true);
    add_edit(rows, 1, "x");
    add_edit(rows, 2, "a");
    row_make_delete(&row, 3);
    intern(rows, &row);
    add_create(rows, NULL, NULL, false); /* what an edit would make if edits created */
    CHECK(rows->count == ROWS_WRITES);
    for (unsigned write = ROW_NONE; write < ROWS_WRITES; write++)
        describe(rows, (uint8_t)write);
}

void rows_fini(struct rows *rows)
{
    for (unsigned i = 0; i < rows->count; i++)
        buffer_free(&rows->bytes[i]);
}

uint8_t rows_merge(struct rows *rows, uint8_t a, uint8_t b)
{
    uint8_t known = rows->merged[a][b];
    if (known != 0xff) return known;
    struct row merged;
    row_merge(&rows->row[a], &rows->row[b], &merged);
    uint8_t at = row_is_empty(&merged) ? ROW_NONE : intern(rows, &merged);
    rows->merged[a][b] = at;
    return at;
}

enum status rows_apply_status(const struct rows *rows, uint8_t held, uint8_t incoming)
{
    return row_apply_status(&rows->row[held], &rows->row[incoming]);
}

static void add_law_writes(struct rows *rows)
{
    struct row row;
    for (unsigned column = CONTENT; column <= FLAGS; column++)
        for (int64_t stamp = column == FLAGS ? 2 : 1; stamp <= 2; stamp++) {
            row_begin_edit(&row);
            row_put_clear(&row, (uint16_t)column, stamp);
            intern(rows, &row);
            for (const char *value = "xy"; *value; value++) {
                row_begin_edit(&row);
                row_put_edit(&row, (uint16_t)column, stamp, bytes_of(value, 1));
                intern(rows, &row);
            }
        }
    row_make_delete(&row, 4);
    intern(rows, &row);
}

unsigned rows_check_laws(struct rows *rows, unsigned long *triples)
{
    add_law_writes(rows);
    for (unsigned a = 0; a < rows->count; a++)
        for (unsigned b = 0; b <= a; b++) {
            rows_merge(rows, (uint8_t)a, (uint8_t)b);
            rows_merge(rows, (uint8_t)b, (uint8_t)a);
        }
    unsigned failed = 0;
    *triples = 0;
    uint8_t count = (uint8_t)rows->count;
    for (uint8_t a = 0; a < count; a++) {
        failed += rows_merge(rows, a, a) != a;
        for (uint8_t b = 0; b < count; b++) {
            uint8_t ab = rows_merge(rows, a, b);
            failed += ab != rows_merge(rows, b, a);
            for (uint8_t c = 0; c < count; c++, ++*triples)
                failed += rows_merge(rows, ab, c) != rows_merge(rows, a, rows_merge(rows, b, c));
        }
    }
    return failed;
}
