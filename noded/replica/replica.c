#include "noded/replica/replica.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/key.h"
#include "common/model/merge.h"
#include "common/model/snowflake.h"
#include "common/model/token.h"

enum { STATE_VERSION = 1, STATE_LAPSED = 1, STATE_HAS_RECORD = 2, STATE_HAS_REBUILD = 4, STATE_FLAGS_KNOWN = 7 };

/* ---- state ---- */

void replica_state_encode(const struct replica *replica, struct buffer *out)
{
    bool has_record = replica->record.epoch > 0, has_rebuild = replica->self.value || replica->cleared_at;
    uint8_t head[2] = {
        STATE_VERSION, (uint8_t)((replica->lapsed ? STATE_LAPSED : 0) | (has_record ? STATE_HAS_RECORD : 0) |
                                 (has_rebuild ? STATE_HAS_REBUILD : 0))};
    buffer_append(out, head, sizeof head);
    if (has_record) view_range_encode(&replica->record, out);
    if (!has_rebuild) return;
    buffer_append_varint(out, replica->self.value);
    buffer_append_varint(out, replica->cleared_at);
    copy_position_encode(&replica->copied, out);
}

bool replica_would_adopt(const struct replica *replica, const struct view_range *record)
{
    if (record->epoch != replica->record.epoch) return record->epoch > replica->record.epoch;
    return record->horizon_ms > replica->record.horizon_ms;
}

static enum status decode_state(struct bytes bytes, struct replica *out)
{
    struct reader reader = reader_of(bytes);
    uint8_t version = read_u8(&reader), flags = read_u8(&reader);
    if (version != STATE_VERSION || (flags & ~STATE_FLAGS_KNOWN)) return STATUS_CORRUPT;
    if ((flags & STATE_HAS_RECORD) && view_range_decode(&reader, &out->record) != STATUS_OK) return STATUS_CORRUPT;
    out->lapsed = flags & STATE_LAPSED;
    if (flags & STATE_HAS_REBUILD) {
        uint64_t self = read_varint(&reader);
        if (self > UINT32_MAX) reader_fail(&reader);
        out->self.value = (uint32_t)self;
        out->cleared_at = read_varint(&reader);
        copy_position_decode(&reader, &out->copied);
    }
    return reader_done(&reader) ? STATUS_OK : STATUS_CORRUPT;
}

enum status replica_state_take(struct replica *replica, struct bytes state)
{
    struct replica told = {0};
    enum status status = decode_state(state, &told);
    if (status == STATUS_OK) {
        bool later = told.cleared_at > replica->cleared_at, same = told.cleared_at == replica->cleared_at;
        if (later || (same && told.lapsed)) replica->lapsed = told.lapsed;
        if (later || (same && copy_position_compare(&told.copied, &replica->copied) > 0))
            copy_position_assign(&replica->copied, &told.copied);
        if (later) replica->cleared_at = told.cleared_at;
        replica->lapsed |= replica->state_lost;
        if (told.self.value) replica->self = told.self;
        if (told.record.epoch > 0 && replica_would_adopt(replica, &told.record)) replica->record = told.record;
        replica_judge_health(replica);
    }
    copy_position_free(&told.copied);
    return status;
}

uint64_t replica_lapsed_at(const struct replica *replica)
{
    unsigned place = view_range_place(&replica->record, replica->self);
    if (replica->record.epoch == 0 || place == replica->record.replicas_count) return 0;
    return view_range_is_lapsed(&replica->record, place) ? replica->record.lapsed_at[place] : 0;
}

void replica_judge_health(struct replica *replica)
{
    uint64_t lapsed_at = replica_lapsed_at(replica);
    if (replica->state_lost)
        replica->health = REPLICA_LAPSED;
    else if (lapsed_at > replica->cleared_at)
        replica->health = REPLICA_DOOMED;
    else if (replica->lapsed)
        replica->health = REPLICA_LAPSED;
    else
        replica->health = lapsed_at ? REPLICA_REBUILDING : REPLICA_WHOLE;
}

uint32_t replica_copied_percent(const struct replica *replica)
{
    const struct copy_position *copied = &replica->copied;
    if (copied->done) return 100;
    if (copied->partition.size < KEY_TOKEN_BYTES) return 0;
    uint64_t width = (uint64_t)replica->record.hi - (uint64_t)replica->record.lo;
    uint64_t past = (uint64_t)token_read(copied->partition.data) - (uint64_t)replica->record.lo;
    return past >= width ? 99 : (uint32_t)((double)past / (double)width * 100);
}

/* ---- judging ---- */

enum status replica_admit(const struct replica *replica, uint64_t epoch, enum replica_call call)
{
    bool served = replica->health == REPLICA_WHOLE || (replica->health == REPLICA_REBUILDING && call == REPLICA_WRITES);
    if (!served || replica->clearing || replica->record.epoch == 0) return STATUS_UNAVAILABLE;
    if (epoch == replica->record.epoch) return STATUS_OK;
    if (epoch < replica->record.epoch && PLANT(stale_epoch_accepted)) return STATUS_OK;
    return STATUS_STALE_EPOCH;
}

bool replica_owns(const struct replica *replica, struct bytes partition)
{
    if (partition.size <= KEY_TOKEN_BYTES || partition.size > KEY_BYTES_MAX - 8) return false;
    int64_t token = token_read(partition.data);
    const struct view_range *range = &replica->record;
    bool first = token == INT64_MIN && range->lo == INT64_MIN;
    return (range->lo < token || first) && token <= range->hi;
}

bool replica_is_below_horizon(const struct replica *replica, uint64_t id)
{
    return snowflake_unix_ms(id) < replica->record.horizon_ms;
}

static enum status check_row(enum replica_write kind, struct bytes bytes, struct row *row)
{
    if (bytes.size > ROW_BYTES_MAX) return STATUS_TOO_BIG;
    if (row_decode(bytes, row) != STATUS_OK) return STATUS_BAD_REQUEST;
    bool create = row->has_create && !row->is_deleted, edit = !row->has_create && !row->is_deleted;
    switch (kind) {
    case REPLICA_CREATE:
        return create ? STATUS_OK : STATUS_BAD_REQUEST;
    case REPLICA_EDIT:
        return edit ? STATUS_OK : STATUS_BAD_REQUEST;
    case REPLICA_DELETE:
        return row->is_deleted ? STATUS_OK : STATUS_BAD_REQUEST;
    }
    return STATUS_BAD_REQUEST;
}

enum status replica_check_row(enum replica_write kind, struct bytes row)
{
    struct row decoded;
    return check_row(kind, row, &decoded);
}

static void widen(uint64_t *lo, uint64_t *hi, uint64_t from, uint64_t to)
{
    if (from < *lo) *lo = from;
    if (to > *hi) *hi = to;
}

enum status replica_check_page(struct bytes page, uint64_t *lo, uint64_t *hi)
{
    enum status status = page_check(page);
    if (status != STATUS_OK) return status;
    struct page_reader reader;
    struct page_entry entry;
    if (page_open(page, &reader) != STATUS_OK || !reader.raw) return STATUS_BAD_REQUEST;
    *lo = UINT64_MAX;
    *hi = 0;
    while (page_next(&reader, &entry)) {
        if (entry.kind == PAGE_ROW && entry.row.size > ROW_BYTES_MAX) return STATUS_TOO_BIG;
        if (entry.kind == PAGE_SPAN)
            widen(lo, hi, entry.span.lo, entry.span.hi);
        else
            widen(lo, hi, entry.id, entry.id);
    }
    return STATUS_OK;
}

bool replica_page_has_rows(struct bytes page)
{
    struct page_reader reader;
    struct page_entry entry;
    if (page_open(page, &reader) != STATUS_OK) CHECK(false); /* it was checked */
    while (page_next(&reader, &entry))
        if (entry.kind == PAGE_ROW) return true;
    return false;
}

/* ---- changes ---- */

enum status replica_verdict(const struct lsm_row *held, struct bytes row)
{
    if (held && held->covered) return STATUS_DEAD;
    struct row incoming, known = {0};
    if (row_decode(row, &incoming) != STATUS_OK) CHECK(false); /* it was checked before it was logged */
    if (held && held->row.size > 0 && row_decode(held->row, &known) != STATUS_OK) return STATUS_CORRUPT;
    return row_apply_status(&known, &incoming);
}

/* The planted bug: an edit of an unknown id is stored as a create. */
static struct bytes edit_as_create(struct bytes bytes, struct buffer *out)
{
    struct row edit, create;
    if (row_decode(bytes, &edit) != STATUS_OK || edit.has_create || edit.is_deleted) return bytes;
    row_begin_create(&create);
    for (unsigned i = 0; i < edit.cells_count; i++)
        if (!edit.cells[i].deleted) row_put(&create, edit.cells[i].column, edit.cells[i].value);
    return create.cells_count ? row_encode_buffer(&create, out) : bytes;
}

static void apply_row(struct replica *replica, const struct record *record, struct lsm_position position)
{
    struct buffer planted = {0};
    struct bytes row = record->body;
    if (PLANT(edit_creates)) row = edit_as_create(row, &planted);
    lsm_apply(replica->lsm, record->partition, &(struct lsm_change){record->lo, row, true}, position);
    buffer_free(&planted);
}

static enum status apply_page(struct replica *replica, const struct record *record, struct lsm_position position)
{
    struct page_reader reader;
    struct page_entry entry;
    if (page_check(record->body) != STATUS_OK || page_open(record->body, &reader) != STATUS_OK) return STATUS_CORRUPT;
    while (page_next(&reader, &entry)) {
        if (entry.kind == PAGE_SPAN) {
            lsm_apply_span(replica->lsm, record->partition, entry.span, position);
        } else if (entry.kind == PAGE_ROW) {
            if (entry.row.size > ROW_BYTES_MAX) return STATUS_CORRUPT;
            struct lsm_change change = {entry.id, entry.row, true};
            lsm_apply(replica->lsm, record->partition, &change, position);
        } else {
            uint8_t bytes[32];
            struct row row;
            row_make_delete(&row, entry.stamp);
            struct writer writer = writer_of(bytes, sizeof bytes);
            row_encode(&row, &writer);
            CHECK(writer_ok(&writer));
            struct lsm_change change = {entry.id, writer_bytes(&writer), entry.open};
            lsm_apply(replica->lsm, record->partition, &change, position);
        }
    }
    return STATUS_OK;
}

static enum status apply_closed(struct replica *replica, const struct record *record, struct lsm_position position)
{
    struct closed closed;
    enum status status = closed_decode(record->body, &closed);
    if (status != STATUS_OK) return status;
    for (uint32_t i = 0; i < closed.ids_count; i++)
        lsm_close_delete(replica->lsm, record->partition, closed_id(&closed, i), position);
    for (size_t i = 0; i < closed.spans.count; i++)
        lsm_close_span(replica->lsm, record->partition, closed.spans.spans[i].lo, closed.spans.spans[i].hi, position);
    closed_free(&closed);
    return STATUS_OK;
}

static enum status apply_state(struct replica *replica, const struct record *record, struct lsm_position position)
{
    enum status status = replica_state_take(replica, record->body);
    if (status != STATUS_OK) return status;
    /* What is taken may be newer than the record: state only grows. */
    struct buffer state = {0};
    replica_state_encode(replica, &state);
    lsm_set_state(replica->lsm, buffer_bytes(&state), position);
    buffer_free(&state);
    return STATUS_OK;
}

enum status replica_apply(struct replica *replica, const struct record *record, struct lsm_position position)
{
    CHECK(record->range.value == replica->id.value);
    switch (record->kind) {
    case RECORD_ROW:
        if (record->body.size > ROW_BYTES_MAX) return STATUS_CORRUPT;
        apply_row(replica, record, position);
        return STATUS_OK;
    case RECORD_SPAN:
        lsm_apply_span(
            replica->lsm, record->partition, (struct span){record->lo, record->hi, record->stamp, true}, position);
        return STATUS_OK;
    case RECORD_PAGE:
        return apply_page(replica, record, position);
    case RECORD_CLOSED:
        return apply_closed(replica, record, position);
    case RECORD_STATE:
        return apply_state(replica, record, position);
    }
    return STATUS_CORRUPT;
}
