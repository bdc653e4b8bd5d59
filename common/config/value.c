#include "common/config/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/mem.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* From large to small, for value_show. */
static const struct unit durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit sizes[] = {
    {"TiB", INT64_C(1) << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}};

enum { DURATIONS = sizeof durations / sizeof durations[0], SIZES = sizeof sizes / sizeof sizes[0] };

static const char *const type_names[] = {
    "text", "choice", "true or false", "number", "duration", "size", "list", "uuid"};

const char *value_type_name(enum config_type type)
{
    CHECK(type <= CONFIG_UUID);
    return type_names[type];
}

const char *value_show(const struct config_field *field, int64_t number, char out[32])
{
    const struct unit *units = field->type == CONFIG_DURATION ? durations : sizes;
    size_t count = field->type == CONFIG_DURATION ? DURATIONS : field->type == CONFIG_SIZE ? SIZES - 1 : 0;
    for (size_t i = 0; i < count; i++) {
        if (number == 0 || number % units[i].factor != 0) continue;
        snprintf(out, 32, "%" PRId64 "%s", number / units[i].factor, units[i].name);
        return out;
    }
    snprintf(out, 32, "%" PRId64, number);
    return out;
}

/* Reads an optional sign and digits; false when there is none or it does not fit. */
static bool read_number(struct reader *text, int64_t *out)
{
    bool negative = reader_left(text) > 0 && *text->at == '-';
    if (negative) text->at++;
    const uint8_t *start = text->at;
    int64_t number = 0;
    while (reader_left(text) > 0 && *text->at >= '0' && *text->at <= '9')
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *text->at++ - '0', &number))
            return false;
    *out = negative ? -number : number;
    return text->at > start;
}

/* Reads "number unit" (a space between is allowed); false when it is malformed or does not fit. */
static bool read_with_unit(struct bytes text, const struct unit *units, size_t count, int64_t *out)
{
    struct reader reader = reader_of(text);
    int64_t number;
    if (!read_number(&reader, &number)) return false;
    while (reader_left(&reader) > 0 && *reader.at == ' ')
        reader.at++;
    struct bytes unit = bytes_of(reader.at, reader_left(&reader));
    if (number == 0 && unit.size == 0) {
        *out = 0;
        return true;
    }
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(unit, bytes_text(units[i].name))) return !__builtin_mul_overflow(number, units[i].factor, out);
    return false;
}

static const char *quoted(struct bytes text, char out[80])
{
    return log_quote(out, 80, text);
}

static enum status set_number(const struct config_field *field, struct bytes text, int64_t *out, char *why)
{
    char shown[80], low[32], high[32];
    int64_t number = 0;
    bool good;
    const char *remedy = "write a whole number";
    if (field->type == CONFIG_DURATION) {
        good = read_with_unit(text, durations, DURATIONS, &number);
        remedy = "write a whole number and a unit: ms, s, m, h or d, as in 250ms";
    } else if (field->type == CONFIG_SIZE) {
        good = read_with_unit(text, sizes, SIZES, &number);
        remedy = "write a whole number and a unit: B, KiB, MiB, GiB or TiB, as in 64MiB";
    } else {
        struct reader reader = reader_of(text);
        good = read_number(&reader, &number) && reader_done(&reader);
    }
    if (!good) {
        snprintf(
            why, VALUE_WHY_BYTES, "'%s' is not a %s; %s", quoted(text, shown), value_type_name(field->type), remedy);
        return STATUS_BAD_REQUEST;
    }
    if ((field->min != 0 || field->max != 0) && (number < field->min || number > field->max)) {
        snprintf(why, VALUE_WHY_BYTES, "%s is out of range; write %s to %s", quoted(text, shown),
            value_show(field, field->min, low), value_show(field, field->max, high));
        return STATUS_BAD_REQUEST;
    }
    *out = number;
    return STATUS_OK;
}

static enum status set_bool(struct bytes text, bool *out, char *why)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    char shown[80];
    for (size_t i = 0; i < 6; i++)
        if (bytes_equal(text, bytes_text(words[i]))) {
            *out = i % 2 == 1;
            return STATUS_OK;
        }
    snprintf(why, VALUE_WHY_BYTES, "'%s' is neither true nor false; write one of them", quoted(text, shown));
    return STATUS_BAD_REQUEST;
}

static bool is_choice(const char *choices, struct bytes text)
{
    for (const char *at = choices;; at++) {
        size_t length = strcspn(at, "|");
        if (bytes_equal(text, bytes_of(at, length))) return true;
        at += length;
        if (*at == 0) return false;
    }
}

static char *text_copy(struct bytes text)
{
    char *copy = mem_alloc(text.size + 1);
    if (text.size > 0) memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    return copy;
}

/* Whether length is within the field's range, else why. */
static bool length_fits(const struct config_field *field, size_t length, const char *unit, char *why)
{
    if (field->min == 0 && field->max == 0) return true;
    if (length >= (size_t)field->min && length <= (size_t)field->max) return true;
    if (length == 0)
        snprintf(why, VALUE_WHY_BYTES, "is empty; give at least %" PRId64 " %s", field->min, unit);
    else
        snprintf(
            why, VALUE_WHY_BYTES, "has %zu %s; give %" PRId64 " to %" PRId64, length, unit, field->min, field->max);
    return false;
}

/* Whether text may stand in a string: bounded, no NUL. */
static bool text_is_sound(struct bytes text, char *why)
{
    if (text.size > CONFIG_TEXT_BYTES_MAX) {
        snprintf(why, VALUE_WHY_BYTES, "is %zu bytes long; at most %d are allowed", text.size, CONFIG_TEXT_BYTES_MAX);
        return false;
    }
    if (text.size > 0 && memchr(text.data, 0, text.size) != NULL) {
        snprintf(why, VALUE_WHY_BYTES, "contains a NUL character; remove it");
        return false;
    }
    return true;
}

static enum status set_text(const struct config_field *field, struct bytes text, char **out, char *why)
{
    char shown[80];
    if (!text_is_sound(text, why)) return STATUS_BAD_REQUEST;
    if (field->type == CONFIG_CHOICE && !is_choice(field->choices, text)) {
        snprintf(why, VALUE_WHY_BYTES, "'%s' is not one of the choices; write one of %s", quoted(text, shown),
            field->choices);
        return STATUS_BAD_REQUEST;
    }
    if (field->type == CONFIG_STRING && !length_fits(field, text.size, "characters", why)) return STATUS_BAD_REQUEST;
    *out = text_copy(text);
    return STATUS_OK;
}

static enum status set_uuid(const struct config_field *field, struct bytes text, struct uuid *out, char *why)
{
    char shown[80], copy[UUID_TEXT_BYTES] = "";
    if (text.size == UUID_TEXT_BYTES - 1) memcpy(copy, text.data, text.size);
    if (text.size == 0 && field->value != NULL && field->value[0] == 0) {
        *out = (struct uuid){{0}};
        return STATUS_OK;
    }
    if (uuid_parse(copy, out)) return STATUS_OK;
    snprintf(why, VALUE_WHY_BYTES, "'%s' is not a uuid; write one as 01234567-89ab-cdef-0123-456789abcdef",
        quoted(text, shown));
    return STATUS_BAD_REQUEST;
}

static struct bytes trimmed(struct bytes text)
{
    while (text.size > 0 && text.data[0] == ' ')
        text.data++, text.size--;
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    return text;
}

/* Splits "a, b,c" into items[CONFIG_LIST_ITEMS_MAX]; one more than fit when there are too many. */
static size_t split(struct bytes text, struct bytes *items)
{
    size_t count = 0;
    struct reader reader = reader_of(text);
    while (reader_left(&reader) > 0) {
        const uint8_t *comma = memchr(reader.at, ',', reader_left(&reader));
        const uint8_t *end = comma != NULL ? comma : reader.end;
        if (count == CONFIG_LIST_ITEMS_MAX) return count + 1;
        items[count++] = trimmed(bytes_of(reader.at, (size_t)(end - reader.at)));
        reader.at = comma != NULL ? comma + 1 : end;
    }
    return count;
}

static void list_free(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        mem_free(list->items[i]);
    mem_free(list->items);
    *list = (struct config_list){0};
}

static enum status list_copy(
    const struct config_field *field, const struct value_source *source, struct config_list *out, char *why)
{
    if (source->items_count > CONFIG_LIST_ITEMS_MAX) {
        snprintf(why, VALUE_WHY_BYTES, "has more than %d items; shorten it", CONFIG_LIST_ITEMS_MAX);
        return STATUS_BAD_REQUEST;
    }
    if (!length_fits(field, source->items_count, "items", why)) return STATUS_BAD_REQUEST;
    for (size_t i = 0; i < source->items_count; i++) {
        if (!text_is_sound(source->items[i], why)) return STATUS_BAD_REQUEST;
        if (source->items[i].size > 0) continue;
        snprintf(why, VALUE_WHY_BYTES, "item %zu is empty; remove it", i + 1);
        return STATUS_BAD_REQUEST;
    }
    struct config_list list = {mem_zalloc((source->items_count + 1) * sizeof(char *)), source->items_count};
    for (size_t i = 0; i < list.count; i++)
        list.items[i] = text_copy(source->items[i]);
    *out = list;
    return STATUS_OK;
}

static enum status set_list(
    const struct config_field *field, const struct value_source *source, struct config_list *out, char *why)
{
    if (source->items != NULL) return list_copy(field, source, out, why);
    struct bytes *items = mem_alloc(CONFIG_LIST_ITEMS_MAX * sizeof *items);
    struct value_source parts = {{0}, items, split(source->text, items)};
    enum status status = list_copy(field, &parts, out, why);
    mem_free(items);
    return status;
}

void value_free(const struct config_field *field, void *settings)
{
    void *member = (char *)settings + field->offset;
    if (field->type == CONFIG_STRING || field->type == CONFIG_CHOICE) {
        mem_free(*(char **)member);
        *(char **)member = NULL;
    } else if (field->type == CONFIG_LIST) {
        list_free(member);
    }
}

enum status value_set(const struct config_field *field, const struct value_source *source, void *settings, char *why)
{
    void *member = (char *)settings + field->offset;
    char *text = NULL;
    struct config_list list;
    enum status status;
    if (source->items != NULL && field->type != CONFIG_LIST) {
        snprintf(why, VALUE_WHY_BYTES, "is a list; write one %s", value_type_name(field->type));
        return STATUS_BAD_REQUEST;
    }
    switch (field->type) {
    case CONFIG_BOOL:
        return set_bool(source->text, member, why);
    case CONFIG_UUID:
        return set_uuid(field, source->text, member, why);
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        return set_number(field, source->text, member, why);
    case CONFIG_LIST:
        status = set_list(field, source, &list, why);
        if (status != STATUS_OK) return status;
        list_free(member);
        *(struct config_list *)member = list;
        return STATUS_OK;
    case CONFIG_STRING:
    case CONFIG_CHOICE:
        status = set_text(field, source->text, &text, why);
        if (status != STATUS_OK) return status;
        mem_free(*(char **)member);
        *(char **)member = text;
        return STATUS_OK;
    }
    CHECK(!"a known type");
    return STATUS_BAD_REQUEST;
}
