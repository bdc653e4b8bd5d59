#include "common/model/merge.h"

#include "common/base/check.h"

int cell_compare(const struct cell *a, const struct cell *b)
{
    if (a->timestamp != b->timestamp) return a->timestamp < b->timestamp ? -1 : 1;
    if (a->deleted != b->deleted) return a->deleted ? 1 : -1;
    return a->deleted ? 0 : bytes_compare(a->value, b->value);
}

/* The cell that stays of one column, NULL when none does. a and b: what each side has of it, or NULL.
   order: of the two creates, by digest; equal creates keep what both still have (the values are equal too: the larger
   one is taken so that not even a forged digest can make the merge depend on the order). */
static const struct cell *merge_cells(const struct cell *a, const struct cell *b, int order)
{
    const struct cell *edit_a = a && a->edit ? a : NULL, *edit_b = b && b->edit ? b : NULL;
    if (edit_a && edit_b) return cell_compare(edit_a, edit_b) >= 0 ? edit_a : edit_b;
    if (edit_a || edit_b) return edit_a ? edit_a : edit_b;
    if (order == 0) return !a || !b ? NULL : bytes_compare(a->value, b->value) >= 0 ? a : b;
    return order > 0 ? a : b;
}

void row_merge(const struct row *a, const struct row *b, struct row *out)
{
    CHECK(out != a && out != b);
    CHECK(a->has_create == (a->create_digest != 0) && b->has_create == (b->create_digest != 0));
    if (a->is_deleted || b->is_deleted) {
        const struct row *newest = !b->is_deleted || (a->is_deleted && a->deleted_at >= b->deleted_at) ? a : b;
        row_make_delete(out, newest->deleted_at);
        return;
    }
    int order = a->create_digest < b->create_digest ? -1 : a->create_digest > b->create_digest;
    unsigned i = 0, j = 0;
    row_begin_edit(out);
    while (i < a->cells_count || j < b->cells_count) {
        const struct cell *cell_a = i < a->cells_count ? &a->cells[i] : NULL;
        const struct cell *cell_b = j < b->cells_count ? &b->cells[j] : NULL;
        if (cell_a && cell_b && cell_a->column != cell_b->column) {
            if (cell_a->column < cell_b->column)
                cell_b = NULL;
            else
                cell_a = NULL;
        }
        i += cell_a != NULL;
        j += cell_b != NULL;
        const struct cell *kept = merge_cells(cell_a, cell_b, order);
        if (!kept) continue;
        CHECK(out->cells_count < COLUMNS_MAX);
        out->cells[out->cells_count++] = *kept;
    }
    out->has_create = a->has_create || b->has_create;
    out->create_digest = order >= 0 ? a->create_digest : b->create_digest;
}

enum status row_merge_bytes(struct bytes a, struct bytes b, struct buffer *out)
{
    struct row row_a, row_b, merged;
    enum status status = row_decode(a, &row_a);
    if (status != STATUS_OK) return status;
    if (bytes_equal(a, b)) {
        buffer_append(out, a.data, a.size);
        return STATUS_OK;
    }
    status = row_decode(b, &row_b);
    if (status != STATUS_OK) return status;
    row_merge(&row_a, &row_b, &merged);
    row_encode_buffer(&merged, out);
    return STATUS_OK;
}

enum status row_apply_status(const struct row *held, const struct row *incoming)
{
    if (held->is_deleted) return STATUS_DEAD;
    if (incoming->is_deleted) return STATUS_OK;
    if (incoming->has_create && held->has_create && incoming->create_digest != held->create_digest)
        return STATUS_ID_TAKEN;
    for (unsigned i = 0; i < incoming->cells_count; i++) {
        const struct cell *cell = &incoming->cells[i];
        const struct cell *other = cell->edit ? row_find(held, cell->column) : NULL;
        if (other && other->edit && cell_compare(cell, other) < 0) return STATUS_DOMINATED;
    }
    return incoming->has_create || held->has_create ? STATUS_OK : STATUS_PENDING;
}
