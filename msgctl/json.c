#include "msgctl/json.h"

#include <string.h>

#include "common/model/value.h"

const char *json_type_name(enum json_type type)
{
    static const char *const names[] = {"null", "false", "true", "a number", "a string", "an object", "an array"};
    return names[type];
}

/* ---- reading ---- */

static bool broken(struct json_scan *scan, const char *problem)
{
    if (!scan->problem) scan->problem = problem;
    return false;
}

static void skip_blanks(struct json_scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\r' || *scan->at == '\n'))
        scan->at++;
}

static bool take(struct json_scan *scan, uint8_t byte)
{
    if (scan->at == scan->end || *scan->at != byte) return false;
    scan->at++;
    return true;
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

/* The four hex digits at data; -1 when they are none. */
static int32_t hex_unit(const uint8_t *data, const uint8_t *end)
{
    if (end - data < 4) return -1;
    int32_t unit = 0;
    for (unsigned i = 0; i < 4; i++) {
        int digit = hex_digit(data[i]);
        if (digit < 0) return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static bool is_high(int32_t unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low(int32_t unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

/* After the backslash. */
static bool scan_escape(struct json_scan *scan)
{
    if (scan->at == scan->end) return broken(scan, "a string without its end");
    uint8_t kind = *scan->at++;
    if (kind != 'u') return kind && strchr("\"\\/bfnrt", kind) ? true : broken(scan, "an unknown escape in a string");
    int32_t unit = hex_unit(scan->at, scan->end);
    if (unit < 0) return broken(scan, "\\u without four hex digits");
    scan->at += 4;
    if (is_low(unit)) return broken(scan, "half of a surrogate pair");
    if (!is_high(unit)) return true;
    if (scan->end - scan->at < 6 || scan->at[0] != '\\' || scan->at[1] != 'u' ||
        !is_low(hex_unit(scan->at + 2, scan->end)))
        return broken(scan, "half of a surrogate pair");
    scan->at += 6;
    return true;
}

/* At the opening quote. */
static bool scan_string(struct json_scan *scan, struct bytes *raw, bool *escaped)
{
    if (!take(scan, '"')) return broken(scan, "a name in quotes is missing");
    const uint8_t *start = scan->at;
    uint8_t high = 0;
    *escaped = false;
    for (;;) {
        const uint8_t *at = scan->at;
        while (at < scan->end && *at != '"' && *at != '\\' && *at >= 0x20)
            high |= *at++;
        scan->at = at;
        if (at == scan->end) return broken(scan, "a string without its end");
        if (*at < 0x20) return broken(scan, "a control character in a string; write it as \\u00XX");
        if (*at == '"') break;
        scan->at++;
        *escaped = true;
        if (!scan_escape(scan)) return false;
    }
    *raw = bytes_of(start, (size_t)(scan->at - start));
    scan->at++;
    if (high >= 0x80 && !utf8_is_valid(*raw)) return broken(scan, "a string that is not UTF-8");
    return true;
}

static bool scan_digits(struct json_scan *scan)
{
    const uint8_t *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at > start;
}

static bool scan_number(struct json_scan *scan)
{
    take(scan, '-');
    if (!take(scan, '0') && !scan_digits(scan)) return broken(scan, "not JSON");
    if (take(scan, '.') && !scan_digits(scan)) return broken(scan, "a number without digits after its point");
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+')) take(scan, '-');
        if (!scan_digits(scan)) return broken(scan, "a number without digits in its exponent");
    }
    return true;
}

static bool scan_word(struct json_scan *scan, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(scan->end - scan->at) < size || memcmp(scan->at, word, size) != 0) return broken(scan, "not JSON");
    scan->at += size;
    return true;
}

/* A value that is neither object nor array. */
static bool scan_scalar(struct json_scan *scan, struct json_value *out)
{
    const uint8_t *start = scan->at;
    bool ok;
    out->escaped = false;
    switch (*start) {
    case '"':
        out->type = JSON_TYPE_STRING;
        return scan_string(scan, &out->raw, &out->escaped);
    case 't':
        out->type = JSON_TYPE_TRUE;
        ok = scan_word(scan, "true");
        break;
    case 'f':
        out->type = JSON_TYPE_FALSE;
        ok = scan_word(scan, "false");
        break;
    case 'n':
        out->type = JSON_TYPE_NULL;
        ok = scan_word(scan, "null");
        break;
    default:
        out->type = JSON_TYPE_NUMBER;
        ok = scan_number(scan);
    }
    out->raw = bytes_of(start, (size_t)(scan->at - start));
    return ok;
}

static bool scan_key(struct json_scan *scan, struct json_field *out)
{
    skip_blanks(scan);
    if (!scan_string(scan, &out->key, &out->key_escaped)) return false;
    skip_blanks(scan);
    if (!take(scan, ':')) return broken(scan, "a colon is missing after a name");
    skip_blanks(scan);
    return true;
}

/* After a value inside the innermost of depth brackets: leaves those that end here. True when a further value follows,
   false when none does (*depth 0) or the text is broken. */
static bool scan_closings(struct json_scan *scan, const uint8_t *closing, unsigned *depth)
{
    struct json_field field;
    while (*depth > 0) {
        skip_blanks(scan);
        uint8_t close = closing[*depth - 1];
        if (take(scan, ',')) {
            if (close == '}') return scan_key(scan, &field);
            skip_blanks(scan);
            return true;
        }
        if (!take(scan, close)) return broken(scan, "a comma or a closing bracket is missing");
        (*depth)--;
    }
    return false;
}

enum scan_open { OPEN_BROKEN, OPEN_ENTERED, OPEN_WHOLE };

/* At a value: enters a bracket that holds something, up to its first value; anything else is read whole. */
static enum scan_open scan_open(struct json_scan *scan, uint8_t *closing, unsigned *depth)
{
    struct json_field field;
    if (scan->at == scan->end) {
        broken(scan, "a value is missing");
        return OPEN_BROKEN;
    }
    uint8_t open = *scan->at;
    if (open != '{' && open != '[') return scan_scalar(scan, &field.value) ? OPEN_WHOLE : OPEN_BROKEN;
    if (*depth == JSON_DEPTH_MAX) {
        broken(scan, "nested too deep");
        return OPEN_BROKEN;
    }
    uint8_t close = open == '{' ? '}' : ']';
    scan->at++;
    skip_blanks(scan);
    if (take(scan, close)) return OPEN_WHOLE;
    closing[(*depth)++] = close;
    if (open == '{' && !scan_key(scan, &field)) return OPEN_BROKEN;
    return OPEN_ENTERED;
}

static bool scan_value(struct json_scan *scan, struct json_value *out)
{
    if (scan->at == scan->end) return broken(scan, "a value is missing");
    const uint8_t *start = scan->at;
    if (*start != '{' && *start != '[') return scan_scalar(scan, out);
    uint8_t closing[JSON_DEPTH_MAX];
    unsigned depth = 0;
    enum scan_open open;
    do
        open = scan_open(scan, closing, &depth);
    while (open == OPEN_ENTERED || (open == OPEN_WHOLE && scan_closings(scan, closing, &depth)));
    if (scan->problem) return false;
    *out = (struct json_value){
        *start == '{' ? JSON_TYPE_OBJECT : JSON_TYPE_ARRAY, false, bytes_of(start, (size_t)(scan->at - start))};
    return true;
}

static enum json_step stop(struct json_scan *scan, const char *problem)
{
    broken(scan, problem);
    return JSON_BROKEN;
}

enum json_step json_next(struct json_scan *scan, struct json_field *out)
{
    bool first = !scan->begun;
    if (first) {
        scan->begun = true;
        skip_blanks(scan);
        if (!take(scan, '{')) return stop(scan, "not a JSON object");
    }
    skip_blanks(scan);
    if (take(scan, '}')) {
        skip_blanks(scan);
        return scan->at == scan->end ? JSON_END : stop(scan, "something follows the JSON object");
    }
    if (scan->at == scan->end) return stop(scan, "the JSON object has no end");
    if (!first && !take(scan, ',')) return stop(scan, "a comma is missing between two fields");
    if (!scan_key(scan, out) || !scan_value(scan, &out->value)) return JSON_BROKEN;
    return JSON_FIELD;
}

/* ---- text ---- */

static uint8_t *put_utf8(uint8_t *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (uint8_t)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (uint8_t)(0xc0 | code >> 6);
    } else if (code < 0x10000) {
        *out++ = (uint8_t)(0xe0 | code >> 12);
        *out++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    } else {
        *out++ = (uint8_t)(0xf0 | code >> 18);
        *out++ = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        *out++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    }
    *out++ = (uint8_t)(0x80 | (code & 0x3f));
    return out;
}

/* The unit after "\u"; moves *at behind it, and behind its second half when it is a pair. */
static uint32_t take_unit(const uint8_t **at, const uint8_t *end)
{
    int32_t unit = hex_unit(*at, end);
    *at += 4;
    if (!is_high(unit)) return (uint32_t)unit;
    int32_t low = hex_unit(*at + 2, end);
    *at += 6;
    return 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
}

struct bytes json_text(struct bytes raw, bool escaped, struct arena *arena)
{
    if (!escaped) return raw;
    uint8_t *start = arena_alloc(arena, raw.size), *out = start; /* no escape is shorter than what it stands for */
    const uint8_t *at = raw.data, *end = raw.data + raw.size;
    while (at < end) {
        const uint8_t *slash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((slash ? slash : end) - at);
        memcpy(out, at, plain);
        out += plain;
        if (!slash) break;
        at = slash + 2;
        switch (slash[1]) {
        case 'b':
            *out++ = '\b';
            break;
        case 'f':
            *out++ = '\f';
            break;
        case 'n':
            *out++ = '\n';
            break;
        case 'r':
            *out++ = '\r';
            break;
        case 't':
            *out++ = '\t';
            break;
        case 'u':
            out = put_utf8(out, take_unit(&at, end));
            break;
        default:
            *out++ = slash[1];
        }
    }
    return bytes_of(start, (size_t)(out - start));
}

/* ---- writing ---- */

void json_append_compact(struct buffer *out, struct bytes text)
{
    uint8_t *start = buffer_reserve(out, text.size), *to = start;
    bool inside = false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (!inside && (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n')) continue;
        *to++ = byte;
        if (byte == '"')
            inside = !inside;
        else if (inside && byte == '\\')
            *to++ = text.data[++i];
    }
    out->size += (size_t)(to - start);
}

/* Length of the well-formed UTF-8 character at data; 0 when there is none. */
static size_t utf8_length(const uint8_t *data, size_t size)
{
    size_t length = data[0] < 0x80 ? 1 : data[0] < 0xe0 ? 2 : data[0] < 0xf0 ? 3 : 4;
    return length <= size && utf8_is_valid(bytes_of(data, length)) ? length : 0;
}

static uint8_t *put_escaped(uint8_t *out, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    const char *short_form = byte == '\b'   ? "\\b"
                             : byte == '\f' ? "\\f"
                             : byte == '\n' ? "\\n"
                             : byte == '\r' ? "\\r"
                             : byte == '\t' ? "\\t"
                             : byte == '"'  ? "\\\""
                             : byte == '\\' ? "\\\\"
                                            : NULL;
    if (short_form) {
        memcpy(out, short_form, 2);
        return out + 2;
    }
    out[0] = '\\';
    out[1] = 'u';
    out[2] = out[3] = '0';
    out[4] = (uint8_t)hex[byte >> 4];
    out[5] = (uint8_t)hex[byte & 15];
    return out + 6;
}

static inline bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f;
}

void json_append_string(struct buffer *out, struct bytes text)
{
    bool valid = utf8_is_valid(text);
    uint8_t *start = buffer_reserve(out, 2 + 6 * text.size), *to = start;
    *to++ = '"';
    size_t i = 0;
    while (i < text.size) {
        uint8_t byte = text.data[i];
        if (byte >= 0x80 && !valid) {
            size_t length = utf8_length(text.data + i, text.size - i);
            if (length)
                memcpy(to, text.data + i, length);
            else
                to = put_utf8(to, 0xfffd);
            to += length;
            i += length ? length : 1;
            continue;
        }
        if (is_plain(byte))
            *to++ = byte;
        else
            to = put_escaped(to, byte);
        i++;
    }
    *to++ = '"';
    out->size += (size_t)(to - start);
}

void json_append_u64(struct buffer *out, uint64_t number)
{
    uint8_t digits[20];
    unsigned count = 0;
    do
        digits[sizeof digits - ++count] = (uint8_t)('0' + number % 10);
    while (number /= 10);
    buffer_append(out, digits + sizeof digits - count, count);
}

void json_append_i64(struct buffer *out, int64_t number)
{
    if (number < 0) buffer_append(out, "-", 1);
    json_append_u64(out, number < 0 ? -(uint64_t)number : (uint64_t)number);
}
