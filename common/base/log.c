#include "common/base/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_time(char out[28], int64_t wall_us)
{
    int64_t seconds = wall_us / 1000000, micros = wall_us % 1000000;
    if (micros < 0) {
        micros += 1000000;
        seconds--;
    }
    time_t time = (time_t)seconds;
    struct tm tm;
    if (!gmtime_r(&time, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099) {
        snprintf(out, 28, "%s", "0000-00-00T00:00:00.000000Z");
        return;
    }
    char text[64];
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
        tm.tm_hour, tm.tm_min, tm.tm_sec, (int)micros);
    memcpy(out, text, 27);
    out[27] = 0;
}

void log_event(struct log *log, enum log_level level, const char *event, const char *format, ...)
{
    char line[2048], time[28];
    log_time(time, log->wall_us ? log->wall_us(log->context) : 0);
    int head = snprintf(line, sizeof line, "%s %-5s %s %s ", time, level_names[level], log->daemon, event);
    if (head < 0 || (size_t)head >= sizeof line - 2) return;
    va_list arguments;
    va_start(arguments, format);
    int tail = vsnprintf(line + head, sizeof line - 2 - (size_t)head, format, arguments);
    va_end(arguments);
    size_t size = (size_t)head + (tail > 0 ? (size_t)tail : 0);
    if (size > sizeof line - 2) size = sizeof line - 2;
    line[size++] = '\n';
    log->sink(log->context, line, size);
}

const char *log_quote(char *out, size_t size, struct bytes text)
{
    size_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        char piece[8];
        if (byte == '"' || byte == '\\')
            snprintf(piece, sizeof piece, "\\%c", byte);
        else if (byte == '\n')
            snprintf(piece, sizeof piece, "\\n");
        else if (byte < 0x20 || byte >= 0x7f)
            snprintf(piece, sizeof piece, "\\x%02x", byte);
        else
            snprintf(piece, sizeof piece, "%c", byte);
        size_t length = strlen(piece);
        if (used + length + 4 >= size) {
            memcpy(out + used, "...", 4);
            return out;
        }
        memcpy(out + used, piece, length);
        used += length;
    }
    out[used] = 0;
    return out;
}

int log_level_parse(const char *text)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(text, level_names[i]) == 0) return i;
    return -1;
}
