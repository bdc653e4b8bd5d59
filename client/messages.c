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

static bool take_number(const struct row *row, uint16_t column, enum column_type type, int64_t *out)
{
    struct bytes value = row_value(row, column);
    if (!value.data || !value_is_valid(type, value)) return false;
    *out = value_to_int(type, value);
    return true;
}

static struct trillium_bytes take_bytes(const struct row *row, uint16_t column)
{
    struct bytes value = row_value(row, column);
    return (struct trillium_bytes){value.data, value.size};
}

enum status messages_decode(uint64_t channel, uint64_t id, struct bytes bytes, struct trillium_message *out)
{
    struct row row;
    int64_t number;
    enum status status = row_decode(bytes, &row);
    if (status != STATUS_OK) return status;
    *out = (struct trillium_message){.channel_id = channel, .message_id = id};
    if (take_number(&row, CHAT_AUTHOR_ID, TYPE_BIGINT, &number)) out->author_id = number;
    if (take_number(&row, CHAT_EDITED_AT, TYPE_TIMESTAMP, &number)) {
        out->edited_at_ms = number;
        out->has |= TRILLIUM_HAS_EDITED_AT;
    }
    if (take_number(&row, CHAT_TYPE, TYPE_INT, &number)) {
        out->type = (int32_t)number;
        out->has |= TRILLIUM_HAS_TYPE;
    }
    if (take_number(&row, CHAT_FLAGS, TYPE_BIGINT, &number)) {
        out->flags = number;
        out->has |= TRILLIUM_HAS_FLAGS;
    }
    if (take_number(&row, CHAT_REFERENCE_ID, TYPE_BIGINT, &number)) {
        out->reference_id = number;
        out->has |= TRILLIUM_HAS_REFERENCE;
    }
    out->content = take_bytes(&row, CHAT_CONTENT);
    out->attachments = take_bytes(&row, CHAT_ATTACHMENTS);
    out->embeds = take_bytes(&row, CHAT_EMBEDS);
    out->extra = take_bytes(&row, CHAT_EXTRA);
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
