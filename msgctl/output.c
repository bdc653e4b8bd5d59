#include "msgctl/output.h"

#include <stdarg.h>
#include <string.h>
#include <wchar.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/value.h"

static size_t sequence_size(uint8_t lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

static uint32_t code_of(const uint8_t *data, size_t size)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = data[0] & masks[size];
    for (size_t i = 1; i < size; i++)
        code = code << 6 | (data[i] & 0x3f);
    return code;
}

/* Characters that would move the cursor, change its colours or turn the text round. */
static bool is_harmful(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

void output_escape(struct buffer *out, struct bytes text)
{
    size_t at = 0;
    while (at < text.size) {
        size_t size = sequence_size(text.data[at]);
        if (size > text.size - at || !utf8_is_valid(bytes_of(text.data + at, size))) {
            buffer_printf(out, "\\x%02x", text.data[at]);
            at++;
            continue;
        }
        uint32_t code = code_of(text.data + at, size);
        if (code == '\n')
            buffer_append(out, "\\n", 2);
        else if (code == '\t')
            buffer_append(out, "\\t", 2);
        else if (is_harmful(code))
            buffer_printf(out, code < 0x100 ? "\\x%02x" : "\\u%04x", code);
        else
            buffer_append(out, text.data + at, size);
        at += size;
    }
}

/* Columns that the text takes on a terminal. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    const uint8_t *at = (const uint8_t *)text;
    while (*at) {
        size_t size = sequence_size(*at);
        int columns = wcwidth((wchar_t)code_of(at, size));
        width += columns < 0 ? 1 : (size_t)columns;
        at += size;
    }
    return width;
}

void output_cell_bytes(struct output_table *table, struct bytes text)
{
    output_escape(&table->text, text);
    buffer_append(&table->text, "", 1);
    table->cells++;
}

void output_cell(struct output_table *table, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    output_cell_bytes(table, bytes_text(text));
}

void output_cells(struct output_table *table, ...)
{
    va_list arguments;
    va_start(arguments, table);
    for (const char *text; (text = va_arg(arguments, const char *));)
        output_cell_bytes(table, bytes_text(text));
    va_end(arguments);
}

void output_table(struct output_table *table, FILE *to)
{
    CHECK(table->columns > 0 && table->cells % table->columns == 0);
    size_t *widths = mem_zalloc(table->columns * sizeof *widths);
    const char *cell = (const char *)table->text.data;
    for (size_t i = 0; i < table->cells; i++, cell += strlen(cell) + 1) {
        size_t width = width_of(cell);
        if (width > widths[i % table->columns]) widths[i % table->columns] = width;
    }
    cell = (const char *)table->text.data;
    for (size_t i = 0; i < table->cells; i++, cell += strlen(cell) + 1) {
        bool last = i % table->columns == table->columns - 1;
        fputs(cell, to);
        if (last)
            fputc('\n', to);
        else
            for (size_t width = width_of(cell); width < widths[i % table->columns] + 2; width++)
                fputc(' ', to);
    }
    mem_free(widths);
    buffer_free(&table->text);
    table->cells = 0;
}

void output_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    fputc('\n', stdout);
    json_decref(value);
}

json_t *output_id(uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return json_string(text);
}

const char *output_bytes(uint64_t bytes, char out[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double number = (double)bytes;
    unsigned unit = 0;
    for (; number >= 1024 && unit < 5; unit++)
        number /= 1024;
    snprintf(out, 32, unit && number < 10 ? "%.1f %s" : "%.0f %s", number, units[unit]);
    return out;
}

const char *output_count(uint64_t number, char out[32])
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    char *to = out;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) *to++ = ',';
        *to++ = digits[i];
    }
    *to = 0;
    return out;
}

const char *output_time(uint64_t ms, char out[32])
{
    unsigned long long seconds = ms / 1000;
    if (seconds < 10)
        snprintf(out, 32, "%.1f s", (double)ms / 1000);
    else if (seconds < 60)
        snprintf(out, 32, "%llu s", seconds);
    else if (seconds < 3600)
        snprintf(out, 32, "%llu min %llu s", seconds / 60, seconds % 60);
    else if (seconds < 86400)
        snprintf(out, 32, "%llu h %llu min", seconds / 3600, seconds / 60 % 60);
    else
        snprintf(out, 32, "%llu d %llu h", seconds / 86400, seconds / 3600 % 24);
    return out;
}
