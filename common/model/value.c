#include "common/model/value.h"

#include "common/base/check.h"

static const struct {
    const char *name;
    unsigned width;
} types[TYPES_END] = {
    [TYPE_BIGINT] = {"bigint", 8},
    [TYPE_INT] = {"int", 4},
    [TYPE_SMALLINT] = {"smallint", 2},
    [TYPE_TINYINT] = {"tinyint", 1},
    [TYPE_BOOLEAN] = {"boolean", 1},
    [TYPE_TEXT] = {"text", 0},
    [TYPE_BLOB] = {"blob", 0},
    [TYPE_TIMESTAMP] = {"timestamp", 8},
    [TYPE_UUID] = {"uuid", 16},
    [TYPE_FLOAT] = {"float", 4},
    [TYPE_DOUBLE] = {"double", 8},
};

static bool type_is_known(enum column_type type)
{
    return type > 0 && type < TYPES_END;
}

const char *column_type_name(enum column_type type)
{
    return type_is_known(type) ? types[type].name : "?";
}

unsigned column_type_width(enum column_type type)
{
    CHECK(type_is_known(type));
    return types[type].width;
}

bool value_is_valid(enum column_type type, struct bytes value)
{
    if (!type_is_known(type)) return false;
    unsigned width = types[type].width;
    if (width > 0 && value.size != width) return false;
    if (type == TYPE_TEXT) return utf8_is_valid(value);
    if (type == TYPE_BOOLEAN) return value.data[0] <= 1;
    return true;
}

/* The bytes of the sequence at text, 0 when it is malformed. The ranges are those of Unicode's table 3-7. */
static size_t utf8_sequence(const uint8_t *text, size_t left)
{
    uint8_t lead = text[0];
    if (lead < 0x80) return 1;
    size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || left < size) return 0;
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (text[1] < low || text[1] > high) return 0;
    for (size_t i = 2; i < size; i++)
        if (text[i] < 0x80 || text[i] > 0xbf) return 0;
    return size;
}

bool utf8_is_valid(struct bytes text)
{
    size_t at = 0;
    while (at < text.size) {
        uint64_t word;
        if (text.size - at >= 8 && (memcpy(&word, text.data + at, 8), (word & 0x8080808080808080ull) == 0)) {
            at += 8;
            continue;
        }
        size_t size = utf8_sequence(text.data + at, text.size - at);
        if (size == 0) return false;
        at += size;
    }
    return true;
}

static bool type_is_integer(enum column_type type)
{
    return (type >= TYPE_BIGINT && type <= TYPE_BOOLEAN) || type == TYPE_TIMESTAMP;
}

int64_t value_to_int(enum column_type type, struct bytes value)
{
    CHECK(type_is_integer(type) && value.size == types[type].width);
    uint64_t number = type == TYPE_BOOLEAN || value.data[0] < 0x80 ? 0 : UINT64_MAX;
    for (size_t i = 0; i < value.size; i++)
        number = number << 8 | value.data[i];
    return (int64_t)number;
}

struct bytes value_of_int(enum column_type type, int64_t number, uint8_t out[8])
{
    CHECK(type_is_integer(type));
    unsigned width = types[type].width;
    for (unsigned i = 0; i < width; i++)
        out[i] = (uint8_t)((uint64_t)number >> (8 * (width - 1 - i)));
    struct bytes value = bytes_of(out, width);
    CHECK(value_to_int(type, value) == number && value_is_valid(type, value));
    return value;
}
