#include "common/model/schema.h"

#include "common/base/check.h"
#include "common/model/wire.h"

enum { TABLE_FORMAT_VERSION = 1, COLUMN_DESCENDING = 1 };

const struct table CHAT_MESSAGES = {
    .id = {CHAT_MESSAGES_ID},
    .kind = TABLE_MESSAGES,
    .name = "chat.messages",
    .version = 1,
    .partition_count = 1,
    .clustering_count = 1,
    .columns_count = 9,
    .partition = {{.name = "channel_id", .type = TYPE_BIGINT, .role = ROLE_CHANNEL}},
    .clustering = {{.name = "message_id", .type = TYPE_BIGINT, .role = ROLE_ID, .descending = true}},
    .columns =
        {
            {.name = "author_id", .id = CHAT_AUTHOR_ID, .type = TYPE_BIGINT, .role = ROLE_AUTHOR},
            {.name = "content", .id = CHAT_CONTENT, .type = TYPE_TEXT, .role = ROLE_CONTENT},
            {.name = "edited_at", .id = CHAT_EDITED_AT, .type = TYPE_TIMESTAMP},
            {.name = "type", .id = CHAT_TYPE, .type = TYPE_INT},
            {.name = "flags", .id = CHAT_FLAGS, .type = TYPE_BIGINT},
            {.name = "reference_id", .id = CHAT_REFERENCE_ID, .type = TYPE_BIGINT},
            {.name = "attachments", .id = CHAT_ATTACHMENTS, .type = TYPE_BLOB},
            {.name = "embeds", .id = CHAT_EMBEDS, .type = TYPE_BLOB},
            {.name = "extra", .id = CHAT_EXTRA, .type = TYPE_BLOB, .role = ROLE_EXTRA},
        },
};

const struct column *table_column(const struct table *table, uint16_t id)
{
    /* Ids are dense as a rule, so the column is where its id says, or before. */
    unsigned at = id < table->columns_count ? id : table->columns_count;
    while (at > 0 && table->columns[at - 1].id > id)
        at--;
    return at > 0 && table->columns[at - 1].id == id ? &table->columns[at - 1] : NULL;
}

const struct column *table_column_named(const struct table *table, struct bytes name)
{
    for (unsigned i = 0; i < table->columns_count; i++)
        if (bytes_equal(bytes_text(table->columns[i].name), name)) return &table->columns[i];
    return NULL;
}

const struct column *table_column_with_role(const struct table *table, enum column_role role)
{
    for (unsigned i = 0; i < table->columns_count; i++)
        if (table->columns[i].role == role) return &table->columns[i];
    return NULL;
}

/* Lower case, digits and underscores, not starting with a digit. Returns where the name ends, NULL when it is none. */
static const char *name_end(const char *name)
{
    if (*name >= '0' && *name <= '9') return NULL;
    const char *at = name;
    while ((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '_')
        at++;
    return at == name ? NULL : at;
}

static bool column_is_valid(const struct column *column)
{
    const char *end = name_end(column->name);
    return end && *end == 0 && column->type > 0 && column->type < TYPES_END && column->role < ROLES_END;
}

static bool table_name_is_valid(const char *name)
{
    const char *end = name_end(name);
    if (!end || *end != '.') return false;
    end = name_end(end + 1);
    return end && *end == 0;
}

/* The i-th of all columns: partition, clustering, regular. NULL behind the last. */
static const struct column *column_at(const struct table *table, unsigned i)
{
    if (i < table->partition_count) return &table->partition[i];
    i -= table->partition_count;
    if (i < table->clustering_count) return &table->clustering[i];
    i -= table->clustering_count;
    return i < table->columns_count ? &table->columns[i] : NULL;
}

static bool columns_are_valid(const struct table *table)
{
    const struct column *column, *other;
    for (unsigned i = 0; (column = column_at(table, i)); i++) {
        if (!column_is_valid(column)) return false;
        for (unsigned j = 0; j < i; j++) {
            other = column_at(table, j);
            if (strcmp(column->name, other->name) == 0) return false;
            if (column->role != ROLE_NONE && column->role == other->role) return false;
        }
    }
    for (unsigned i = 0; i < table->partition_count; i++)
        if (table->partition[i].id != 0 || table->partition[i].descending) return false;
    for (unsigned i = 0; i < table->clustering_count; i++)
        if (table->clustering[i].id != 0) return false;
    for (unsigned i = 0; i < table->columns_count; i++) {
        column = &table->columns[i];
        if (column->id > COLUMNS_MAX || column->descending) return false;
        if (column->id <= (i == 0 ? 0 : table->columns[i - 1].id)) return false;
    }
    return true;
}

/* Roles stand where the merge and the keys of a messages table look for them, and nowhere else. */
static bool roles_are_valid(const struct table *table)
{
    bool messages = table->kind == TABLE_MESSAGES, author = false;
    for (unsigned i = 0; i < table->columns_count; i++) {
        const struct column *column = &table->columns[i];
        if (column->role == ROLE_CHANNEL || column->role == ROLE_ID) return false;
        if (column->role != ROLE_NONE && !messages) return false;
        if (column->role == ROLE_AUTHOR && column->type != TYPE_BIGINT) return false;
        if (column->role == ROLE_CONTENT && column->type != TYPE_TEXT) return false;
        if (column->role == ROLE_EXTRA && column->type != TYPE_BLOB) return false;
        author |= column->role == ROLE_AUTHOR;
    }
    if (messages) {
        const struct column *channel = &table->partition[0], *id = &table->clustering[0];
        return author && table->partition_count == 1 && table->clustering_count == 1 && channel->type == TYPE_BIGINT &&
               channel->role == ROLE_CHANNEL && id->type == TYPE_BIGINT && id->role == ROLE_ID && id->descending;
    }
    for (unsigned i = 0; i < table->partition_count; i++)
        if (table->partition[i].role != ROLE_NONE) return false;
    for (unsigned i = 0; i < table->clustering_count; i++)
        if (table->clustering[i].role != ROLE_NONE) return false;
    return true;
}

enum status table_check(const struct table *table)
{
    bool shape = table->id.value > 0 && (table->kind == TABLE_MESSAGES || table->kind == TABLE_ORDINARY) &&
                 table->partition_count >= 1 && table->partition_count <= KEY_COLUMNS_MAX &&
                 table->clustering_count <= KEY_COLUMNS_MAX && table->columns_count <= COLUMNS_MAX;
    if (!shape || !table_name_is_valid(table->name)) return STATUS_BAD_REQUEST;
    return columns_are_valid(table) && roles_are_valid(table) ? STATUS_OK : STATUS_BAD_REQUEST;
}

void table_encode(const struct table *table, struct buffer *out)
{
    CHECK(table_check(table) == STATUS_OK);
    append_u8(out, TABLE_FORMAT_VERSION);
    buffer_append_varint(out, table->id.value);
    append_u8(out, table->kind);
    append_text(out, table->name, sizeof table->name);
    buffer_append_varint(out, table->version);
    append_u8(out, (uint8_t)table->partition_count);
    append_u8(out, (uint8_t)table->clustering_count);
    append_u8(out, (uint8_t)table->columns_count);
    const struct column *column;
    for (unsigned i = 0; (column = column_at(table, i)); i++) {
        append_text(out, column->name, sizeof column->name);
        buffer_append_varint(out, column->id);
        append_u8(out, column->type);
        append_u8(out, column->role);
        append_u8(out, column->descending ? COLUMN_DESCENDING : 0);
    }
}

static void decode_column(struct reader *reader, struct column *out)
{
    decode_text(reader, out->name, sizeof out->name);
    uint64_t id = read_varint(reader);
    if (id > COLUMNS_MAX) reader_fail(reader);
    out->id = (uint16_t)id;
    out->type = read_u8(reader);
    out->role = read_u8(reader);
    uint8_t flags = read_u8(reader);
    if (flags & ~COLUMN_DESCENDING) reader_fail(reader);
    out->descending = flags & COLUMN_DESCENDING;
}

enum status table_decode(struct reader *reader, struct table *out)
{
    struct table table = {0};
    if (read_u8(reader) != TABLE_FORMAT_VERSION) return STATUS_BAD_REQUEST;
    table.id.value = decode_u32(reader);
    table.kind = read_u8(reader);
    decode_text(reader, table.name, sizeof table.name);
    table.version = decode_u32(reader);
    table.partition_count = read_u8(reader);
    table.clustering_count = read_u8(reader);
    table.columns_count = read_u8(reader);
    if (table.partition_count > KEY_COLUMNS_MAX || table.clustering_count > KEY_COLUMNS_MAX ||
        table.columns_count > COLUMNS_MAX)
        return STATUS_BAD_REQUEST;
    for (unsigned i = 0; i < table.partition_count; i++)
        decode_column(reader, &table.partition[i]);
    for (unsigned i = 0; i < table.clustering_count; i++)
        decode_column(reader, &table.clustering[i]);
    for (unsigned i = 0; i < table.columns_count; i++)
        decode_column(reader, &table.columns[i]);
    if (!reader_ok(reader) || table_check(&table) != STATUS_OK) return STATUS_BAD_REQUEST;
    *out = table;
    return STATUS_OK;
}
