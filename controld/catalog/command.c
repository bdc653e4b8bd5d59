#include "controld/catalog/command.h"

#include "common/base/check.h"
#include "controld/catalog/pieces.h"

enum { COMMAND_FORMAT = 1 };

const char *command_kind_name(enum command_kind kind)
{
    static const char *const names[COMMANDS_END] = {NULL, "table", "register", "place", "makers", "import_begin",
        "import_renew", "import_end", "import_expire", "horizon", "epoch", "lapse", "rebuilt", "replace"};
    return (unsigned)kind < COMMANDS_END && names[kind] ? names[kind] : "?";
}

/* ---- encoding ---- */

void command_register_encode(const struct command_register *is, struct buffer *out)
{
    append_u8(out, is->role);
    append_uuid(out, &is->uuid);
    append_uuid(out, &is->instance);
    append_u64(out, is->boot);
    append_text(out, is->address);
    append_text(out, is->zone);
    append_text(out, is->version);
    buffer_append_varint(out, is->shards);
}

static void encode_place(const struct command_place *place, struct buffer *out)
{
    CHECK(place->ranges_count > 0 && place->ranges_count <= RANGES_PER_PLACE_MAX);
    buffer_append_varint(out, place->table.value);
    buffer_append_varint(out, place->ranges_count);
    for (unsigned i = 0; i < place->ranges_count; i++) {
        const struct command_place_range *range = &place->ranges[i];
        append_u64(out, (uint64_t)range->lo);
        append_u64(out, (uint64_t)range->hi);
        buffer_append_varint(out, range->replicas_count);
        for (unsigned r = 0; r < range->replicas_count; r++)
            buffer_append_varint(out, range->replicas[r].value);
    }
}

static void encode_import(const struct command_import *import, struct buffer *out)
{
    append_u64(out, import->import);
    buffer_append_varint(out, import->table.value);
    append_signed(out, import->deadline_us);
    append_text(out, import->label);
}

static void encode_lapse(const struct command_lapse *lapse, struct buffer *out)
{
    CHECK(lapse->ranges_count > 0 && lapse->ranges_count <= RANGES_PER_LAPSE_MAX);
    buffer_append_varint(out, lapse->node.value);
    buffer_append_varint(out, lapse->ranges_count);
    for (unsigned i = 0; i < lapse->ranges_count; i++) {
        append_u64(out, lapse->ranges[i].range.value);
        buffer_append_varint(out, lapse->ranges[i].known);
    }
}

void command_encode(const struct command *command, struct buffer *out)
{
    append_u8(out, COMMAND_FORMAT);
    append_u8(out, (uint8_t)command->kind);
    append_signed(out, command->stamp_us);
    switch (command->kind) {
    case COMMAND_TABLE:
        table_encode(&command->table, out);
        return;
    case COMMAND_REGISTER:
        command_register_encode(&command->registration, out);
        return;
    case COMMAND_PLACE:
        encode_place(&command->place, out);
        return;
    case COMMAND_MAKERS:
        buffer_append_varint(out, command->makers.router.value);
        buffer_append_varint(out, command->makers.blocks);
        return;
    case COMMAND_IMPORT_BEGIN:
    case COMMAND_IMPORT_RENEW:
    case COMMAND_IMPORT_END:
    case COMMAND_IMPORT_EXPIRE:
        encode_import(&command->import, out);
        return;
    case COMMAND_HORIZON:
        buffer_append_varint(out, command->horizon.table.value);
        append_signed(out, command->horizon.unix_ms);
        return;
    case COMMAND_EPOCH:
        append_u64(out, command->epoch.value);
        return;
    case COMMAND_LAPSE:
        encode_lapse(&command->lapse, out);
        return;
    case COMMAND_REBUILT:
        buffer_append_varint(out, command->rebuilt.node.value);
        append_u64(out, command->rebuilt.range.value);
        buffer_append_varint(out, command->rebuilt.lapsed_at);
        return;
    case COMMAND_REPLACE:
        append_uuid(out, &command->replace.uuid);
        append_u64(out, command->replace.boot);
        command_register_encode(&command->replace.registration, out);
        return;
    case COMMANDS_END:
        break;
    }
    CHECK(!"a kind of command");
}

/* ---- decoding ---- */

void command_register_decode(struct reader *reader, struct command_register *out)
{
    out->role = read_u8(reader);
    read_uuid(reader, &out->uuid);
    read_uuid(reader, &out->instance);
    out->boot = read_u64(reader);
    read_text(reader, out->address, sizeof out->address);
    read_text(reader, out->zone, sizeof out->zone);
    read_text(reader, out->version, sizeof out->version);
    out->shards = (uint16_t)read_at_most(reader, SHARDS_MAX);
    if ((out->role != DAEMON_NODE && out->role != DAEMON_ROUTER) || out->shards == 0 || uuid_is_zero(&out->uuid))
        reader_fail(reader);
}

static void decode_place(struct reader *reader, struct command_place *out)
{
    out->table.value = read_at_most(reader, UINT32_MAX);
    out->ranges_count = (uint16_t)read_at_most(reader, RANGES_PER_PLACE_MAX);
    if (out->ranges_count == 0) reader_fail(reader);
    for (unsigned i = 0; i < out->ranges_count && reader_ok(reader); i++) {
        struct command_place_range *range = &out->ranges[i];
        range->lo = (int64_t)read_u64(reader);
        range->hi = (int64_t)read_u64(reader);
        range->replicas_count = (uint8_t)read_at_most(reader, REPLICAS_MAX);
        for (unsigned r = 0; r < range->replicas_count; r++)
            range->replicas[r].value = read_at_most(reader, UINT32_MAX);
        if (range->replicas_count == 0 || range->lo >= range->hi) reader_fail(reader);
        if (range->lo != (i == 0 ? INT64_MIN : out->ranges[i - 1].hi)) reader_fail(reader);
    }
    if (reader_ok(reader) && out->ranges[out->ranges_count - 1].hi != INT64_MAX) reader_fail(reader);
}

static void decode_import(struct reader *reader, struct command_import *out)
{
    out->import = read_u64(reader);
    out->table.value = read_at_most(reader, UINT32_MAX);
    out->deadline_us = read_varint_signed(reader);
    read_text(reader, out->label, sizeof out->label);
}

static void decode_lapse(struct reader *reader, struct command_lapse *out)
{
    out->node.value = read_at_most(reader, UINT32_MAX);
    out->ranges_count = (uint16_t)read_at_most(reader, RANGES_PER_LAPSE_MAX);
    if (out->ranges_count == 0) reader_fail(reader);
    for (unsigned i = 0; i < out->ranges_count && reader_ok(reader); i++) {
        out->ranges[i].range.value = read_u64(reader);
        out->ranges[i].known = read_varint(reader);
    }
}

static void decode_kind(struct reader *reader, struct command *out)
{
    switch (out->kind) {
    case COMMAND_TABLE:
        if (table_decode(reader, &out->table) != STATUS_OK) reader_fail(reader);
        return;
    case COMMAND_REGISTER:
        command_register_decode(reader, &out->registration);
        return;
    case COMMAND_PLACE:
        decode_place(reader, &out->place);
        return;
    case COMMAND_MAKERS:
        out->makers.router.value = read_at_most(reader, UINT32_MAX);
        out->makers.blocks = (uint16_t)read_at_most(reader, UINT16_MAX);
        return;
    case COMMAND_IMPORT_BEGIN:
    case COMMAND_IMPORT_RENEW:
    case COMMAND_IMPORT_END:
    case COMMAND_IMPORT_EXPIRE:
        decode_import(reader, &out->import);
        return;
    case COMMAND_HORIZON:
        out->horizon.table.value = read_at_most(reader, UINT32_MAX);
        out->horizon.unix_ms = read_varint_signed(reader);
        return;
    case COMMAND_EPOCH:
        out->epoch.value = read_u64(reader);
        return;
    case COMMAND_LAPSE:
        decode_lapse(reader, &out->lapse);
        return;
    case COMMAND_REBUILT:
        out->rebuilt.node.value = read_at_most(reader, UINT32_MAX);
        out->rebuilt.range.value = read_u64(reader);
        out->rebuilt.lapsed_at = read_varint(reader);
        return;
    case COMMAND_REPLACE:
        read_uuid(reader, &out->replace.uuid);
        out->replace.boot = read_u64(reader);
        command_register_decode(reader, &out->replace.registration);
        if (out->replace.registration.role != DAEMON_NODE) reader_fail(reader);
        return;
    case COMMANDS_END:
        break;
    }
    reader_fail(reader);
}

enum status command_decode(struct bytes bytes, struct command *out)
{
    struct reader reader = reader_of(bytes);
    uint8_t format = read_u8(&reader), kind = read_u8(&reader);
    if (!reader_ok(&reader)) return STATUS_BAD_REQUEST;
    if (format > COMMAND_FORMAT || kind >= COMMANDS_END) return STATUS_CONFLICT;
    if (format == 0 || kind == 0) return STATUS_BAD_REQUEST;
    *out = (struct command){.kind = kind};
    out->stamp_us = read_varint_signed(&reader);
    decode_kind(&reader, out);
    return reader_done(&reader) ? STATUS_OK : STATUS_BAD_REQUEST;
}
