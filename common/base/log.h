/*
 * log: structured event lines that a person reads.
 *
 *   LOG(log, INFO, "node.up", "node=%u address=%s", node, address);
 * prints "2026-11-22T09:30:00.123456Z info  node1 node.up node=3 address=127.0.2.3:7300".
 * An event name is a noun and a verb; fields are key=value; values from outside go through log_quote. A struct log is
 * used from any thread; its sink must be thread-safe. Debug lines cost one comparison when off.
 */
#ifndef TRILLIUM_COMMON_BASE_LOG_H
#define TRILLIUM_COMMON_BASE_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log {
    enum log_level level;                                       /* lines below it are dropped */
    const char *daemon;                                         /* "node1" */
    int64_t (*wall_us)(void *context);                          /* time of a line */
    void (*sink)(void *context, const char *line, size_t size); /* size includes the newline */
    void *context;
};

#define LOG(target, severity, event, ...)                                                                              \
    do {                                                                                                               \
        struct log *log_to_ = (target);                                                                                \
        if (log_to_ && LOG_LEVEL_##severity >= log_to_->level)                                                         \
            log_event(log_to_, LOG_LEVEL_##severity, event, __VA_ARGS__);                                              \
    } while (0)

void log_event(struct log *log, enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Escapes control characters, quotes and non-UTF-8 into out (size at least 8), cut with "..." where needed; returns
 * out. */
const char *log_quote(char *out, size_t size, struct bytes text);

/* "2026-11-22T09:30:00.123456Z" of microseconds since 1970 into out[28]. */
void log_time(char out[28], int64_t wall_us);

/* Parses "debug", "info", "warn", "error"; -1 otherwise. */
int log_level_parse(const char *text);

#endif
