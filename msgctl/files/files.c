#include "msgctl/files/files.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/model/key.h"
#include "msgctl/files/kinds.h"

/* ---- for the readers ---- */

enum status look_fails(struct look *look, enum status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(look->report->why, FILES_WHY_BYTES, format, arguments);
    va_end(arguments);
    return status;
}

void look_sums_up(struct look *look, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(look->report->summary, FILES_SUMMARY_BYTES, format, arguments);
    va_end(arguments);
}

bool look_is_in(const struct look *look, const char *folder)
{
    size_t size = strlen(folder), before = (size_t)(look->name - look->path);
    if (before < size + 1 || strncmp(look->name - size - 1, folder, size) != 0) return false;
    return before == size + 1 || look->name[-(ptrdiff_t)size - 2] == '/';
}

void tell_begin(struct look *look, const char *what)
{
    if (look->sink) look->sink->begin(look->sink, what);
}

void tell_id(struct look *look, const char *name, uint64_t value)
{
    if (look->sink) look->sink->id(look->sink, name, value);
}

void tell_number(struct look *look, const char *name, int64_t value)
{
    if (look->sink) look->sink->number(look->sink, name, value);
}

void tell_text(struct look *look, const char *name, const char *value)
{
    if (look->sink) look->sink->text(look->sink, name, bytes_text(value));
}

void tell_bytes(struct look *look, const char *name, struct bytes value)
{
    if (look->sink) look->sink->bytes(look->sink, name, value);
}

void tell_uuid(struct look *look, const char *name, const struct uuid *uuid)
{
    char text[UUID_TEXT_BYTES];
    uuid_text(uuid, text);
    tell_text(look, name, text);
}

void tell_end(struct look *look)
{
    if (look->sink) look->sink->end(look->sink);
}

/* ---- rows ---- */

void tell_partition(struct look *look, struct bytes partition)
{
    uint8_t key[KEY_MESSAGE_BYTES];
    uint64_t channel, id;
    if (partition.size == KEY_CHANNEL_BYTES) {
        memcpy(key, partition.data, KEY_CHANNEL_BYTES);
        key_message_id(0, key + KEY_CHANNEL_BYTES);
        if (key_message_parse(bytes_of(key, sizeof key), &channel, &id)) {
            tell_id(look, "channel", channel);
            return;
        }
    }
    tell_bytes(look, "partition", partition);
}

static void tell_value(struct look *look, const char *name, const struct column *column, struct bytes value)
{
    if (!look->sink) return;
    if (!column || !value_is_valid((enum column_type)column->type, value)) {
        tell_bytes(look, name, value);
        return;
    }
    switch (column->type) {
    case TYPE_TEXT:
        look->sink->text(look->sink, name, value);
        break;
    case TYPE_BIGINT:
        tell_id(look, name, (uint64_t)value_to_int(TYPE_BIGINT, value));
        break;
    case TYPE_TIMESTAMP:
    case TYPE_INT:
    case TYPE_SMALLINT:
    case TYPE_TINYINT:
    case TYPE_BOOLEAN:
        tell_number(look, name, value_to_int((enum column_type)column->type, value));
        break;
    default:
        tell_bytes(look, name, value);
    }
}

enum status tell_row(struct look *look, struct bytes bytes, const struct table *table)
{
    struct row row;
    if (row_decode(bytes, &row) != STATUS_OK) return STATUS_CORRUPT;
    tell_text(look, "state",
        row.is_deleted                       ? "deleted"
        : !row.has_create                    ? "pending edit"
        : row_newest_edit(&row) != INT64_MIN ? "edited"
                                             : "created");
    if (row.is_deleted) tell_number(look, "deleted_at_us", row.deleted_at);
    for (unsigned i = 0; i < row.cells_count; i++) {
        const struct cell *cell = &row.cells[i];
        const struct column *column = table ? table_column(table, cell->column) : NULL;
        char name[SCHEMA_NAME_BYTES + 16], other[SCHEMA_NAME_BYTES + 32];
        if (column)
            snprintf(name, sizeof name, "%s", column->name);
        else
            snprintf(name, sizeof name, "column_%u", cell->column);
        if (cell->deleted)
            tell_text(look, name, "(cleared)");
        else
            tell_value(look, name, column, cell->value);
        snprintf(other, sizeof other, "%s_edited_us", name);
        if (cell->edit) tell_number(look, other, cell->timestamp);
    }
    return STATUS_OK;
}

/* ---- which kind it is ---- */

static enum status look_by_kind(struct look *look)
{
    switch (look->report->header.kind) {
    case FILE_LOG:
        return look_log(look);
    case FILE_SSTABLE:
        return look_sstable(look);
    case FILE_MANIFEST:
        return look_manifest(look);
    case FILE_IDENTITY:
        return look_identity(look);
    case FILE_VIEW:
        return look_view(look);
    case FILE_SNAPSHOT:
        return look_snapshot(look);
    case FILE_MAKERS:
        return look_makers(look);
    default:
        return look_fails(look, STATUS_BAD_REQUEST, "is a %s file, which this program cannot read yet",
            file_kind_name(look->report->header.kind));
    }
}

/* Names that only a file of ours has: one of these without a readable header is damaged, not somebody else's. */
static bool is_our_name(const struct look *look)
{
    const char *name = look->name, *dot = strrchr(name, '.');
    return strcmp(name, "identity") == 0 || strcmp(name, "view") == 0 || strcmp(name, "makers") == 0 ||
           strncmp(name, "snapshot-", 9) == 0 || (dot && strcmp(dot, ".sst") == 0 && strlen(name) == 20) ||
           (strncmp(name, "MANIFEST-", 9) == 0 && !look_is_in(look, "meta")) ||
           (look_is_in(look, "log") && strlen(name) == 11) || (look_is_in(look, "raft") && strlen(name) == 11);
}

static enum file_kind kind_of(struct bytes content)
{
    struct reader reader = reader_of(content);
    read_u64(&reader);
    return (enum file_kind)read_u16(&reader);
}

/* A copy of the header: identities and log segments begin with two. */
static enum status read_header(struct look *look)
{
    static const size_t places[] = {0, 2048, 4096};
    enum status status = STATUS_CORRUPT;
    for (unsigned i = 0; i < 3 && status == STATUS_CORRUPT; i++) {
        if (look->content.size < places[i] + FILE_HEADER_BYTES) break;
        struct bytes content = bytes_of(look->content.data + places[i], look->content.size - places[i]);
        enum file_kind kind = kind_of(content);
        struct file_header_expected expected = {kind, UINT16_MAX, NULL};
        if (places[i] == 2048 && kind != FILE_LOG) continue;
        if (places[i] == 4096 && kind != FILE_IDENTITY) continue;
        status = file_header_decode(content, &expected, &look->report->header, NULL, 0);
    }
    return status;
}

enum status files_inspect(const char *path, struct bytes content, struct files_sink *sink, struct files_report *report)
{
    const char *slash = strrchr(path, '/');
    struct look look = {path, slash ? slash + 1 : path, content, sink, report};
    memset(report, 0, sizeof *report);
    if (read_header(&look) != STATUS_OK) {
        report->header.kind = 0;
        if (is_our_name(&look)) return look_fails(&look, STATUS_CORRUPT, "its header is damaged or cut short");
        return look_fails(&look, STATUS_NOT_FOUND, "is not a file of Trillium's own");
    }
    tell_begin(&look, "file");
    tell_text(&look, "kind", file_kind_name(report->header.kind));
    tell_number(&look, "major", report->header.major);
    tell_number(&look, "minor", report->header.minor);
    tell_uuid(&look, "cluster", &report->header.cluster);
    tell_id(&look, "file_id", report->header.file_id);
    tell_number(&look, "file_bytes", (int64_t)content.size);
    tell_end(&look);
    return look_by_kind(&look);
}
