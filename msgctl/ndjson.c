#include "msgctl/ndjson.h"

#include <stdio.h>
#include <string.h>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/model/snowflake.h"
#include "msgctl/base64.h"
#include "msgctl/iso_time.h"
#include "msgctl/json.h"

/* The fields that have a meaning, in the order in which they are printed. */
enum known {
    CHANNEL_ID,
    MESSAGE_ID,
    AUTHOR_ID,
    TIMESTAMP,
    CONTENT,
    EDITED_AT,
    TYPE,
    FLAGS,
    REFERENCE_ID,
    ATTACHMENTS,
    EMBEDS,
    EXTRA,
    KNOWN_COUNT,
};

struct known_name {
    const char *text;
    size_t size;
};

#define NAME(text)                                                                                                     \
    {                                                                                                                  \
        text, sizeof text - 1                                                                                          \
    }
static const struct known_name names[KNOWN_COUNT] = {
    NAME("channel_id"),
    NAME("message_id"),
    NAME("author_id"),
    NAME("timestamp"),
    NAME("content"),
    NAME("edited_at"),
    NAME("type"),
    NAME("flags"),
    NAME("reference_id"),
    NAME("attachments"),
    NAME("embeds"),
    NAME("extra"),
};
#undef NAME

static enum known known_of(struct bytes key)
{
    for (enum known i = 0; i < KNOWN_COUNT; i++)
        if (names[i].size == key.size && memcmp(names[i].text, key.data, key.size) == 0) return i;
    return KNOWN_COUNT;
}

/* ---- decoding ---- */

struct decoding {
    struct arena *arena;
    struct trillium_message *message;
    struct ndjson_error *error;
    struct json_value known[KNOWN_COUNT];
    bool given[KNOWN_COUNT];
    bool kept[KNOWN_COUNT]; /* goes into extra as well */
    unsigned others_count;
    size_t others_bytes;
    struct json_field others[NDJSON_FIELDS_MAX];
};

static enum status refuse(struct decoding *decoding, struct bytes field, const char *problem)
{
    struct ndjson_error *error = decoding->error;
    log_quote(error->field, sizeof error->field, field);
    if (error->problem != problem) snprintf(error->problem, sizeof error->problem, "%s", problem);
    return STATUS_BAD_REQUEST;
}

static enum status refuse_known(struct decoding *decoding, enum known which, const char *problem)
{
    return refuse(decoding, bytes_of(names[which].text, names[which].size), problem);
}

static bool is_twice(const struct decoding *decoding, struct bytes key)
{
    for (unsigned i = 0; i < decoding->others_count; i++) {
        const struct json_field *other = &decoding->others[i];
        if (bytes_equal(json_text(other->key, other->key_escaped, decoding->arena), key)) return true;
    }
    return false;
}

static enum status take_field(struct decoding *decoding, const struct json_field *field)
{
    struct bytes key = json_text(field->key, field->key_escaped, decoding->arena);
    enum known which = known_of(key);
    if (which == EXTRA) return refuse(decoding, key, "is the store's own name for what no column has; rename it");
    if (which < KNOWN_COUNT) {
        if (decoding->given[which]) return refuse(decoding, key, "appears twice");
        decoding->given[which] = true;
        decoding->known[which] = field->value;
        return STATUS_OK;
    }
    if (is_twice(decoding, key)) return refuse(decoding, key, "appears twice");
    if (decoding->others_count == NDJSON_FIELDS_MAX) return refuse(decoding, key, "is one field too many");
    decoding->others[decoding->others_count++] = *field;
    decoding->others_bytes += field->key.size + field->value.raw.size + 6;
    return STATUS_OK;
}

static enum status split(struct decoding *decoding, struct bytes line)
{
    struct json_scan scan = json_scan_of(line);
    struct json_field field;
    for (;;) {
        enum json_step step = json_next(&scan, &field);
        if (step == JSON_END) return STATUS_OK;
        if (step == JSON_BROKEN) {
            struct ndjson_error *error = decoding->error;
            snprintf(error->problem, sizeof error->problem, "%s, at byte %zu", scan.problem,
                (size_t)(scan.at - scan.start) + 1);
            return refuse(decoding, bytes_text(""), error->problem);
        }
        enum status status = take_field(decoding, &field);
        if (status != STATUS_OK) return status;
    }
}

/* Digits without a leading zero, as we print them, up to max (and down to -max - 1 when negative ones are allowed). */
static bool parse_number(struct bytes text, bool is_signed, uint64_t max, uint64_t *out)
{
    bool minus = is_signed && text.size > 0 && text.data[0] == '-';
    if (minus) {
        text.data++;
        text.size--;
        max++;
    }
    if (text.size == 0 || text.size > 20 || (text.data[0] == '0' && (text.size > 1 || minus))) return false;
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t digit = (uint8_t)(text.data[i] - '0');
        if (digit > 9 || number > (max - digit) / 10) return false;
        number = number * 10 + digit;
    }
    *out = minus ? -number : number;
    return true;
}

static bool is_absent(struct decoding *decoding, enum known which)
{
    if (!decoding->given[which]) return true;
    if (decoding->known[which].type != JSON_TYPE_NULL) return false;
    decoding->kept[which] = true;
    return true;
}

static enum status take_id(struct decoding *decoding, enum known which, bool is_signed, uint64_t *out)
{
    if (!decoding->given[which]) return refuse_known(decoding, which, "is missing");
    const struct json_value *value = &decoding->known[which];
    bool right = value->type == JSON_TYPE_STRING || value->type == JSON_TYPE_NUMBER;
    if (right && parse_number(value->raw, is_signed, is_signed ? INT64_MAX : UINT64_MAX, out)) return STATUS_OK;
    return refuse_known(decoding, which, "must be a 64-bit number in decimal digits, as a string");
}

/* An optional column with a number in it; has gets bit. */
static enum status take_number(struct decoding *decoding, enum known which, uint64_t max, unsigned bit, int64_t *out)
{
    if (is_absent(decoding, which)) return STATUS_OK;
    const struct json_value *value = &decoding->known[which];
    bool right = value->type == JSON_TYPE_STRING || value->type == JSON_TYPE_NUMBER;
    uint64_t number;
    if (!right || !parse_number(value->raw, true, max, &number))
        return refuse_known(decoding, which,
            max == INT32_MAX ? "must be a whole number of 32 bits" : "must be a whole number of 64 bits");
    decoding->message->has |= bit;
    *out = (int64_t)number;
    return STATUS_OK;
}

static bool is_printed_as(const struct json_value *value, int64_t unix_ms)
{
    char text[ISO_TIME_BYTES];
    return value->type == JSON_TYPE_STRING && iso_time_print(unix_ms, text) &&
           bytes_equal(value->raw, bytes_text(text));
}

/* A time as we print it or as others do; numbers are milliseconds since 1970. */
static bool parse_time(const struct json_value *value, int64_t *unix_ms)
{
    uint64_t number;
    if (value->type == JSON_TYPE_STRING) return iso_time_parse(value->raw, unix_ms);
    if (value->type != JSON_TYPE_NUMBER || !parse_number(value->raw, true, INT64_MAX, &number)) return false;
    *unix_ms = (int64_t)number;
    return true;
}

static enum status take_times(struct decoding *decoding)
{
    struct trillium_message *message = decoding->message;
    decoding->kept[TIMESTAMP] = decoding->given[TIMESTAMP] &&
                                !is_printed_as(&decoding->known[TIMESTAMP], snowflake_unix_ms(message->message_id));
    if (is_absent(decoding, EDITED_AT)) return STATUS_OK;
    const struct json_value *value = &decoding->known[EDITED_AT];
    if (!parse_time(value, &message->edited_at_ms))
        return refuse_known(decoding, EDITED_AT, "must be an ISO 8601 time, \"2015-01-01T00:45:21.670Z\"");
    message->has |= TRILLIUM_HAS_EDITED_AT;
    decoding->kept[EDITED_AT] = !is_printed_as(value, message->edited_at_ms);
    return STATUS_OK;
}

static enum status take_content(struct decoding *decoding)
{
    if (is_absent(decoding, CONTENT)) return STATUS_OK;
    const struct json_value *value = &decoding->known[CONTENT];
    if (value->type != JSON_TYPE_STRING) return refuse_known(decoding, CONTENT, "must be a string");
    struct bytes text = json_text(value->raw, value->escaped, decoding->arena);
    if (text.size > CONTENT_BYTES_MAX) {
        struct ndjson_error *error = decoding->error;
        snprintf(error->problem, sizeof error->problem, "is %zu bytes long; at most %d", text.size, CONTENT_BYTES_MAX);
        (void)refuse_known(decoding, CONTENT, error->problem);
        return STATUS_TOO_BIG;
    }
    decoding->message->content = (struct trillium_bytes){text.data, text.size};
    return STATUS_OK;
}

static enum status take_blob(struct decoding *decoding, enum known which, struct trillium_bytes *out)
{
    if (is_absent(decoding, which)) return STATUS_OK;
    const struct json_value *value = &decoding->known[which];
    if (value->type != JSON_TYPE_STRING) return refuse_known(decoding, which, "must be a base64 string");
    struct bytes text = json_text(value->raw, value->escaped, decoding->arena);
    uint8_t *data = arena_alloc(decoding->arena, text.size / 4 * 3 + 1);
    size_t size;
    if (!base64_decode(text, data, &size)) return refuse_known(decoding, which, "is not base64");
    *out = (struct trillium_bytes){data, size};
    return STATUS_OK;
}

static void append_field(struct buffer *out, struct bytes key, struct bytes value, bool is_string)
{
    buffer_append(out, out->size == 1 ? "\"" : ",\"", out->size == 1 ? 1 : 2);
    buffer_append(out, key.data, key.size);
    buffer_append(out, "\":", 2);
    if (is_string) {
        buffer_append(out, "\"", 1);
        buffer_append(out, value.data, value.size);
        buffer_append(out, "\"", 1);
    } else {
        json_append_compact(out, value);
    }
}

/* One JSON object of what no column has. */
static void collect_extra(struct decoding *decoding)
{
    bool any = decoding->others_count > 0;
    for (enum known i = 0; i < KNOWN_COUNT; i++)
        any = any || decoding->kept[i];
    if (!any) return;
    struct buffer out = {0};
    buffer_append(&out, "{", 1);
    for (enum known i = 0; i < KNOWN_COUNT; i++) {
        const struct json_value *value = &decoding->known[i];
        if (decoding->kept[i])
            append_field(&out, bytes_of(names[i].text, names[i].size), value->raw, value->type == JSON_TYPE_STRING);
    }
    for (unsigned i = 0; i < decoding->others_count; i++) {
        const struct json_field *other = &decoding->others[i];
        append_field(&out, other->key, other->value.raw, other->value.type == JSON_TYPE_STRING);
    }
    buffer_append(&out, "}", 1);
    decoding->message->extra = (struct trillium_bytes){arena_copy(decoding->arena, out.data, out.size), out.size};
    buffer_free(&out);
}

static enum status take_columns(struct decoding *decoding)
{
    struct trillium_message *message = decoding->message;
    uint64_t author = 0;
    int64_t type = 0;
    enum status status = take_id(decoding, CHANNEL_ID, false, &message->channel_id);
    if (status == STATUS_OK) status = take_id(decoding, MESSAGE_ID, false, &message->message_id);
    if (status == STATUS_OK && message->message_id == 0) status = refuse_known(decoding, MESSAGE_ID, "must not be 0");
    if (status == STATUS_OK) status = take_id(decoding, AUTHOR_ID, true, &author);
    message->author_id = (int64_t)author;
    if (status == STATUS_OK) status = take_times(decoding);
    if (status == STATUS_OK) status = take_content(decoding);
    if (status == STATUS_OK) status = take_number(decoding, TYPE, INT32_MAX, TRILLIUM_HAS_TYPE, &type);
    message->type = (int32_t)type;
    if (status == STATUS_OK) status = take_number(decoding, FLAGS, INT64_MAX, TRILLIUM_HAS_FLAGS, &message->flags);
    if (status == STATUS_OK)
        status = take_number(decoding, REFERENCE_ID, INT64_MAX, TRILLIUM_HAS_REFERENCE, &message->reference_id);
    if (status == STATUS_OK) status = take_blob(decoding, ATTACHMENTS, &message->attachments);
    if (status == STATUS_OK) status = take_blob(decoding, EMBEDS, &message->embeds);
    return status;
}

enum status ndjson_decode(
    struct bytes line, struct arena *arena, struct trillium_message *out, struct ndjson_error *error)
{
    struct trillium_message message = {0};
    struct decoding decoding;
    memset(&decoding, 0, offsetof(struct decoding, others));
    decoding.arena = arena;
    decoding.message = &message;
    decoding.error = error;
    enum status status = split(&decoding, line);
    if (status == STATUS_OK) status = take_columns(&decoding);
    if (status != STATUS_OK) return status;
    collect_extra(&decoding);
    *out = message;
    return STATUS_OK;
}

/* ---- encoding ---- */

/* The fields that were kept in extra, when it may be flattened. */
struct flat {
    bool is_flat;
    unsigned count;
    struct json_field fields[NDJSON_FIELDS_MAX + KNOWN_COUNT];
    const struct json_field *known[KNOWN_COUNT]; /* those that stand for a known field */
};

/* True when the field may lie in a flattened extra of the message. */
static bool may_flatten(struct flat *flat, const struct json_field *field, enum known which)
{
    if (which == KNOWN_COUNT) return true;
    if (which <= AUTHOR_ID || which == EXTRA || flat->known[which]) return false;
    flat->known[which] = field;
    return which == TIMESTAMP || which == EDITED_AT || field->value.type == JSON_TYPE_NULL;
}

static void flatten(struct flat *flat, struct bytes extra, struct arena *arena)
{
    struct json_scan scan = json_scan_of(extra);
    memset(flat->known, 0, sizeof flat->known);
    flat->is_flat = false;
    for (flat->count = 0;; flat->count++) {
        struct json_field *field = &flat->fields[flat->count];
        if (flat->count == NDJSON_FIELDS_MAX + KNOWN_COUNT) return;
        enum json_step step = json_next(&scan, field);
        if (step == JSON_BROKEN) return;
        if (step == JSON_END) break;
        struct bytes key = json_text(field->key, field->key_escaped, arena);
        if (!may_flatten(flat, field, known_of(key))) return;
        for (unsigned i = 0; i < flat->count; i++)
            if (bytes_equal(json_text(flat->fields[i].key, flat->fields[i].key_escaped, arena), key)) return;
    }
    flat->is_flat = true;
}

static void begin_field(struct buffer *out, enum known which)
{
    buffer_append(out, out->data[out->size - 1] == '{' ? "\"" : ",\"", out->data[out->size - 1] == '{' ? 1 : 2);
    buffer_append(out, names[which].text, names[which].size);
    buffer_append(out, "\":", 2);
}

static void append_id(struct buffer *out, enum known which, uint64_t id, bool is_signed)
{
    begin_field(out, which);
    buffer_append(out, "\"", 1);
    if (is_signed)
        json_append_i64(out, (int64_t)id);
    else
        json_append_u64(out, id);
    buffer_append(out, "\"", 1);
}

static void append_number(struct buffer *out, enum known which, bool has, int64_t number)
{
    if (!has) return;
    begin_field(out, which);
    json_append_i64(out, number);
}

static void append_raw(struct buffer *out, enum known which, const struct json_value *value)
{
    begin_field(out, which);
    bool is_string = value->type == JSON_TYPE_STRING;
    if (is_string) buffer_append(out, "\"", 1);
    if (is_string)
        buffer_append(out, value->raw.data, value->raw.size);
    else
        json_append_compact(out, value->raw);
    if (is_string) buffer_append(out, "\"", 1);
}

static void append_time(struct buffer *out, enum known which, int64_t unix_ms)
{
    char text[ISO_TIME_BYTES];
    begin_field(out, which);
    if (iso_time_print(unix_ms, text))
        buffer_printf(out, "\"%s\"", text);
    else
        json_append_i64(out, unix_ms);
}

static void append_blob(struct buffer *out, enum known which, struct trillium_bytes blob)
{
    if (!blob.data) return;
    begin_field(out, which);
    buffer_append(out, "\"", 1);
    size_t size = base64_encoded_size(blob.size);
    base64_encode(bytes_of(blob.data, blob.size), (char *)buffer_reserve(out, size));
    out->size += size;
    buffer_append(out, "\"", 1);
}

static void append_timestamp(struct buffer *out, const struct trillium_message *message, const struct flat *flat)
{
    const struct json_field *kept = flat->is_flat ? flat->known[TIMESTAMP] : NULL;
    if (kept)
        append_raw(out, TIMESTAMP, &kept->value);
    else
        append_time(out, TIMESTAMP, snowflake_unix_ms(message->message_id));
}

static void append_edited_at(struct buffer *out, const struct trillium_message *message, const struct flat *flat)
{
    if (!(message->has & TRILLIUM_HAS_EDITED_AT)) return;
    /* The words of the import, as long as they still say what the column says. */
    int64_t unix_ms;
    const struct json_field *kept = flat->is_flat ? flat->known[EDITED_AT] : NULL;
    if (kept && parse_time(&kept->value, &unix_ms) && unix_ms == message->edited_at_ms)
        append_raw(out, EDITED_AT, &kept->value);
    else
        append_time(out, EDITED_AT, message->edited_at_ms);
}

/* True when the message has a value for the field, which then is printed instead of what extra says. */
static bool has_column(const struct trillium_message *message, enum known which)
{
    switch (which) {
    case CONTENT:
        return message->content.data != NULL;
    case EDITED_AT:
        return message->has & TRILLIUM_HAS_EDITED_AT;
    case TYPE:
        return message->has & TRILLIUM_HAS_TYPE;
    case FLAGS:
        return message->has & TRILLIUM_HAS_FLAGS;
    case REFERENCE_ID:
        return message->has & TRILLIUM_HAS_REFERENCE;
    case ATTACHMENTS:
        return message->attachments.data != NULL;
    case EMBEDS:
        return message->embeds.data != NULL;
    default:
        return true;
    }
}

static void append_extra(struct buffer *out, const struct trillium_message *message, const struct flat *flat)
{
    if (!message->extra.data) return;
    if (!flat->is_flat) {
        append_blob(out, EXTRA, message->extra);
        return;
    }
    for (unsigned i = 0; i < flat->count; i++) {
        const struct json_field *field = &flat->fields[i];
        bool shadowed = false;
        for (enum known which = 0; which < KNOWN_COUNT; which++)
            shadowed = shadowed || (flat->known[which] == field && has_column(message, which));
        if (shadowed) continue;
        buffer_append(out, ",\"", 2);
        buffer_append(out, field->key.data, field->key.size);
        buffer_append(out, "\":", 2);
        bool is_string = field->value.type == JSON_TYPE_STRING;
        if (is_string) buffer_append(out, "\"", 1);
        if (is_string)
            buffer_append(out, field->value.raw.data, field->value.raw.size);
        else
            json_append_compact(out, field->value.raw);
        if (is_string) buffer_append(out, "\"", 1);
    }
}

void ndjson_encode(const struct trillium_message *message, struct buffer *out)
{
    struct arena arena = {0};
    struct flat flat;
    flat.is_flat = false;
    if (message->extra.data) flatten(&flat, bytes_of(message->extra.data, message->extra.size), &arena);
    buffer_append(out, "{", 1);
    append_id(out, CHANNEL_ID, message->channel_id, false);
    append_id(out, MESSAGE_ID, message->message_id, false);
    append_id(out, AUTHOR_ID, (uint64_t)message->author_id, true);
    append_timestamp(out, message, &flat);
    if (message->content.data) {
        begin_field(out, CONTENT);
        json_append_string(out, bytes_of(message->content.data, message->content.size));
    }
    append_edited_at(out, message, &flat);
    append_number(out, TYPE, message->has & TRILLIUM_HAS_TYPE, message->type);
    append_number(out, FLAGS, message->has & TRILLIUM_HAS_FLAGS, message->flags);
    if (message->has & TRILLIUM_HAS_REFERENCE) append_id(out, REFERENCE_ID, (uint64_t)message->reference_id, true);
    append_blob(out, ATTACHMENTS, message->attachments);
    append_blob(out, EMBEDS, message->embeds);
    append_extra(out, message, &flat);
    buffer_append(out, "}\n", 2);
    arena_free(&arena);
}
