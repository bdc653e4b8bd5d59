#include "client/messages.h"

#include "common/model/page.h"
#include "common/model/row.h"

/* Numbers need a place until the row is encoded. */
struct number {
    uint8_t bytes[8];
};

static struct bytes view(struct trillium_bytes bytes)
{
    return bytes_of(bytes.data, bytes.size);
}

static enum status finish(struct row *row, bool is_edit, struct buffer *out)
{
    size_t before = out->size;
    if (row_encoded_size(row) > ROW_BYTES_MAX) return STATUS_TOO_BIG;
    row_encode_buffer(row, out);
    struct row checked;
    enum status status = row_decode(bytes_of(out->data + before, out->size - before), &checked);
    if (status == STATUS_OK)
        status = is_edit ? row_check_edit(&CHAT_MESSAGES, &checked) : row_check_create(&CHAT_MESSAGES, &checked);
    if (status != STATUS_OK) out->size = before;
    return status;
}

enum status messages_encode(const struct trillium_message *message, struct buffer *out)
{
    struct row row;
    struct number author, edited, type, flags, reference;
    if (message->content.size > CONTENT_BYTES_MAX) return STATUS_TOO_BIG;
    row_begin_create(&row);
    row_put(&row, CHAT_AUTHOR_ID, value_of_int(TYPE_BIGINT, message->author_id, author.bytes));
    if (message->content.data) row_put(&row, CHAT_CONTENT, view(message->content));
    if (message->has & TRILLIUM_HAS_EDITED_AT)
        row_put(&row, CHAT_EDITED_AT, value_of_int(TYPE_TIMESTAMP, message->edited_at_ms, edited.bytes));
    if (message->has & TRILLIUM_HAS_TYPE) row_put(&row, CHAT_TYPE, value_of_int(TYPE_INT, message->type, type.bytes));
    if (message->has & TRILLIUM_HAS_FLAGS)
        row_put(&row, CHAT_FLAGS, value_of_int(TYPE_BIGINT, message->flags, flags.bytes));
    if (message->has & TRILLIUM_HAS_REFERENCE)
        row_put(&row, CHAT_REFERENCE_ID, value_of_int(TYPE_BIGINT, message->reference_id, reference.bytes));
    if (message->attachments.data) row_put(&row, CHAT_ATTACHMENTS, view(message->attachments));
    if (message->embeds.data) row_put(&row, CHAT_EMBEDS, view(message->embeds));
    if (message->extra.data) row_put(&row, CHAT_EXTRA, view(message->extra));
    return finish(&row, false, out);
}

enum status messages_encode_edit(struct trillium_bytes content, int64_t stamp_us, struct buffer *out)
{
    struct row row;
    struct number edited;
    if (content.size > CONTENT_BYTES_MAX) return STATUS_TOO_BIG;
    row_begin_edit(&row);
    row_put_edit(&row, CHAT_CONTENT, stamp_us, content.data ? view(content) : bytes_of("", 0));
    row_put_edit(&row, CHAT_EDITED_AT, stamp_us, value_of_int(TYPE_TIMESTAMP, stamp_us / 1000, edited.bytes));
    return finish(&row, true, out);
}

static bool take_number(const struct cell *cell, enum column_type type, int64_t *out)
{
    if (!value_is_valid(type, cell->value)) return false;
    *out = value_to_int(type, cell->value);
    return true;
}

static void take_cell(const struct cell *cell, struct trillium_message *out)
{
    struct trillium_bytes bytes = {cell->value.data, cell->value.size};
    int64_t number;
    switch (cell->column) {
    case CHAT_AUTHOR_ID:
        if (take_number(cell, TYPE_BIGINT, &number)) out->author_id = number;
        break;
    case CHAT_EDITED_AT:
        if (!take_number(cell, TYPE_TIMESTAMP, &out->edited_at_ms)) break;
        out->has |= TRILLIUM_HAS_EDITED_AT;
        break;
    case CHAT_TYPE:
        if (!take_number(cell, TYPE_INT, &number)) break;
        out->type = (int32_t)number;
        out->has |= TRILLIUM_HAS_TYPE;
        break;
    case CHAT_FLAGS:
        if (!take_number(cell, TYPE_BIGINT, &out->flags)) break;
        out->has |= TRILLIUM_HAS_FLAGS;
        break;
    case CHAT_REFERENCE_ID:
        if (!take_number(cell, TYPE_BIGINT, &out->reference_id)) break;
        out->has |= TRILLIUM_HAS_REFERENCE;
        break;
    case CHAT_CONTENT:
        out->content = bytes;
        break;
    case CHAT_ATTACHMENTS:
        out->attachments = bytes;
        break;
    case CHAT_EMBEDS:
        out->embeds = bytes;
        break;
    case CHAT_EXTRA:
        out->extra = bytes;
        break;
    }
}

enum status messages_decode(uint64_t channel, uint64_t id, struct bytes bytes, struct trillium_message *out)
{
    struct row row;
    enum status status = row_decode(bytes, &row);
    if (status != STATUS_OK) return status;
    *out = (struct trillium_message){.channel_id = channel, .message_id = id};
    for (unsigned i = 0; i < row.cells_count; i++)
        if (!row.cells[i].deleted) take_cell(&row.cells[i], out);
    return STATUS_OK;
}

enum status messages_decode_page(
    uint64_t channel, struct bytes page, bool reverse, struct arena *arena, struct trillium_page *out)
{
    struct page_reader reader;
    struct page_entry entry;
    struct bytes copy = bytes_of(arena_copy(arena, page.data, page.size), page.size);
    size_t count = 0;
    if (page_open(copy, &reader) != STATUS_OK) return STATUS_BAD_REQUEST;
    while (page_next(&reader, &entry))
        count++;
    if (reader.status != STATUS_OK) return STATUS_BAD_REQUEST;
    struct trillium_message *messages = arena_alloc(arena, count * sizeof *messages + 1);
    if (page_open(copy, &reader) != STATUS_OK) return STATUS_BAD_REQUEST;
    for (size_t i = 0; page_next(&reader, &entry); i++) {
        struct trillium_message *message = &messages[reverse ? count - 1 - i : i];
        enum status status = messages_decode(channel, entry.id, entry.row, message);
        if (status != STATUS_OK) return status;
    }
    *out = (struct trillium_page){.count = count, .messages = messages, .more = reader.more};
    return STATUS_OK;
}
