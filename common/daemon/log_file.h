/*
 * log_file: a log sink that appends lines to a file of bounded size. When the file would pass its limit it is renamed
 * to NAME.1 (replacing the one before) and a new one begins, so a log never takes more than twice the limit. A line
 * that cannot be written is dropped and counted; logging never stops the daemon.
 * Threads: any, guarded by a lock inside.
 */
#ifndef TRILLIUM_COMMON_DAEMON_LOG_FILE_H
#define TRILLIUM_COMMON_DAEMON_LOG_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

struct log_file;

/* path "" or NULL: standard error, without a limit. IO when the file cannot be opened (errno says why). */
MUST_CHECK enum status log_file_open(const char *path, int64_t bytes_max, struct log_file **out);
/* Fits struct log's sink with the log_file as context. */
void log_file_sink(void *context, const char *line, size_t size);
uint64_t log_file_dropped(const struct log_file *log);
void log_file_close(struct log_file *log);

#endif
