#include "common/model/merge.h"

#include <criterion/criterion.h>

#include "tests/unit/common/model/random.h"

static struct bytes merged(struct bytes a, struct bytes b, struct buffer *out)
{
    buffer_clear(out);
    cr_assert_eq(row_merge_bytes(a, b, out), STATUS_OK);
    return buffer_bytes(out);
}

Test(merge, is_commutative_associative_and_idempotent)
{
    struct prng prng = prng_seeded(3);
    struct buffer in[3] = {{0}}, ab = {0}, ba = {0}, bc = {0}, left = {0}, right = {0};
    for (int i = 0; i < 30000; i++) {
        struct bytes rows[3];
        for (int k = 0; k < 3; k++) {
            buffer_clear(&in[k]);
            rows[k] = random_row(&prng, &in[k]);
        }
        struct bytes a = rows[0], b = rows[1], c = rows[2];
        cr_assert(bytes_equal(merged(a, b, &ab), merged(b, a, &ba)));
        cr_assert(bytes_equal(merged(buffer_bytes(&ab), c, &left), merged(a, merged(b, c, &bc), &right)));
        cr_assert(bytes_equal(merged(buffer_bytes(&ab), a, &left), buffer_bytes(&ab)));
        struct row row, same;
        cr_assert_eq(row_decode(a, &row), STATUS_OK);
        struct row copy = row;
        row_merge(&row, &copy, &same);
        buffer_clear(&left);
        cr_assert(bytes_equal(row_encode_buffer(&same, &left), a));
    }
    for (int k = 0; k < 3; k++)
        buffer_free(&in[k]);
    buffer_free(&ab);
    buffer_free(&ba);
    buffer_free(&bc);
    buffer_free(&left);
    buffer_free(&right);
}

/* A row in a buffer of its own, decoded. */
struct made {
    struct buffer space;
    struct row row;
};

static void make(struct made *made, const struct row *row)
{
    made->space = (struct buffer){0};
    cr_assert_eq(row_decode(row_encode_buffer(row, &made->space), &made->row), STATUS_OK);
}

static void make_create(struct made *made, const char *author, const char *content)
{
    struct row row;
    row_begin_create(&row);
    row_put(&row, 1, bytes_text(author));
    if (content) row_put(&row, 2, bytes_text(content));
    make(made, &row);
}

static void make_edit(struct made *made, uint16_t column, int64_t stamp, const char *value)
{
    struct row row;
    row_begin_edit(&row);
    if (value)
        row_put_edit(&row, column, stamp, bytes_text(value));
    else
        row_put_clear(&row, column, stamp);
    make(made, &row);
}

static void make_delete(struct made *made, int64_t stamp)
{
    struct row row;
    row_make_delete(&row, stamp);
    make(made, &row);
}

Test(merge, the_empty_row_is_neutral)
{
    struct row empty, out;
    struct made create;
    row_begin_edit(&empty);
    make_create(&create, "ann", "hi");
    row_merge(&empty, &create.row, &out);
    cr_assert_eq(out.cells_count, 2);
    cr_assert_eq(out.create_digest, create.row.create_digest);
    row_merge(&create.row, &empty, &out);
    cr_assert_eq(out.cells_count, 2);
    row_merge(&empty, &empty, &create.row);
    cr_assert(row_is_empty(&create.row));
    buffer_free(&create.space);
}

Test(merge, an_edit_beats_the_create_however_old_its_stamp)
{
    struct made create, edit;
    struct row out;
    make_create(&create, "ann", "hi");
    make_edit(&edit, 2, INT64_MIN, "yo");
    row_merge(&create.row, &edit.row, &out);
    cr_assert(row_is_visible(&out));
    cr_assert(bytes_equal(row_value(&out, 2), bytes_text("yo")));
    cr_assert(bytes_equal(row_value(&out, 1), bytes_text("ann")));
    cr_assert_eq(out.create_digest, create.row.create_digest);
    buffer_free(&create.space);
    buffer_free(&edit.space);
}

Test(merge, an_edit_never_creates)
{
    struct made edit;
    make_edit(&edit, 2, 1, "yo");
    cr_assert_not(row_is_visible(&edit.row));
    cr_assert_not(row_is_empty(&edit.row));
    buffer_free(&edit.space);
}

Test(merge, edits_go_by_stamp_then_clear_then_value)
{
    static const struct {
        int64_t stamp;
        const char *value;
    } ascending[] = {{1, ""}, {1, "a"}, {1, "aa"}, {1, "b"}, {1, NULL}, {2, "a"}};
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 6; j++) {
            struct made a, b;
            struct row out;
            make_edit(&a, 2, ascending[i].stamp, ascending[i].value);
            make_edit(&b, 2, ascending[j].stamp, ascending[j].value);
            row_merge(&a.row, &b.row, &out);
            const struct cell *expected = i > j ? &a.row.cells[0] : &b.row.cells[0];
            cr_assert_eq(cell_compare(&out.cells[0], expected), 0);
            cr_assert_eq(out.cells_count, 1);
            buffer_free(&a.space);
            buffer_free(&b.space);
        }
}

Test(merge, of_two_creates_one_stays_whole)
{
    struct made a, b;
    struct row ab, ba;
    make_create(&a, "ann", "hi");
    make_create(&b, "bob", NULL);
    row_merge(&a.row, &b.row, &ab);
    row_merge(&b.row, &a.row, &ba);
    const struct made *winner = a.row.create_digest > b.row.create_digest ? &a : &b;
    cr_assert_eq(ab.create_digest, winner->row.create_digest);
    cr_assert_eq(ab.cells_count, winner->row.cells_count);
    cr_assert(bytes_equal(row_value(&ab, 1), row_value(&winner->row, 1)));
    cr_assert_eq(ba.create_digest, ab.create_digest);
    cr_assert_eq(row_apply_status(&a.row, &b.row), STATUS_ID_TAKEN);
    cr_assert_eq(row_apply_status(&b.row, &a.row), STATUS_ID_TAKEN);
    buffer_free(&a.space);
    buffer_free(&b.space);
}

Test(merge, a_delete_leaves_only_its_newest_stamp)
{
    struct made create, first, second;
    struct row once, twice;
    make_create(&create, "ann", "hi");
    make_delete(&first, 5);
    make_delete(&second, 3);
    row_merge(&create.row, &first.row, &once);
    row_merge(&second.row, &once, &twice);
    cr_assert(twice.is_deleted && !twice.has_create && twice.cells_count == 0 && twice.deleted_at == 5);
    row_merge(&once, &create.row, &twice);
    cr_assert_not(row_is_visible(&twice));
    buffer_free(&create.space);
    buffer_free(&first.space);
    buffer_free(&second.space);
}

Test(merge, a_delete_of_the_smallest_stamp_is_a_delete)
{
    struct made create, gone;
    struct row out;
    make_create(&create, "ann", "hi");
    make_delete(&gone, INT64_MIN);
    row_merge(&create.row, &gone.row, &out);
    cr_assert(out.is_deleted && out.deleted_at == INT64_MIN);
    buffer_free(&create.space);
    buffer_free(&gone.space);
}

Test(merge, apply_tells_what_became_of_a_write)
{
    struct made create, old_edit, new_edit, gone;
    struct row nothing, edited;
    row_begin_edit(&nothing);
    make_create(&create, "ann", "hi");
    make_edit(&old_edit, 2, 1, "x");
    make_edit(&new_edit, 2, 2, "a");
    make_delete(&gone, 9);
    row_merge(&create.row, &new_edit.row, &edited);

    cr_assert_eq(row_apply_status(&nothing, &create.row), STATUS_OK);
    cr_assert_eq(row_apply_status(&nothing, &old_edit.row), STATUS_PENDING);
    cr_assert_eq(row_apply_status(&nothing, &gone.row), STATUS_OK);
    cr_assert_eq(row_apply_status(&create.row, &create.row), STATUS_OK);
    cr_assert_eq(row_apply_status(&create.row, &old_edit.row), STATUS_OK);
    cr_assert_eq(row_apply_status(&edited, &old_edit.row), STATUS_DOMINATED);
    cr_assert_eq(row_apply_status(&edited, &new_edit.row), STATUS_OK);
    cr_assert_eq(row_apply_status(&edited, &create.row), STATUS_OK);
    cr_assert_eq(row_apply_status(&new_edit.row, &old_edit.row), STATUS_DOMINATED);
    cr_assert_eq(row_apply_status(&new_edit.row, &create.row), STATUS_OK);
    cr_assert_eq(row_apply_status(&gone.row, &create.row), STATUS_DEAD);
    cr_assert_eq(row_apply_status(&gone.row, &new_edit.row), STATUS_DEAD);
    cr_assert_eq(row_apply_status(&gone.row, &gone.row), STATUS_DEAD);
    buffer_free(&create.space);
    buffer_free(&old_edit.space);
    buffer_free(&new_edit.space);
    buffer_free(&gone.space);
}

Test(merge, an_edit_of_two_columns_is_dominated_when_one_of_them_loses)
{
    struct made held, both;
    struct row row;
    make_edit(&held, 3, 5, "newer");
    row_begin_edit(&row);
    row_put_edit(&row, 2, 4, bytes_text("x"));
    row_put_edit(&row, 3, 4, bytes_text("y"));
    make(&both, &row);
    cr_assert_eq(row_apply_status(&held.row, &both.row), STATUS_DOMINATED);
    buffer_free(&held.space);
    buffer_free(&both.space);
}
