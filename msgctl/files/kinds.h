/* kinds: one reader for each kind of file, and what they share. Private to msgctl/files. */
#ifndef TRILLIUM_MSGCTL_FILES_KINDS_H
#define TRILLIUM_MSGCTL_FILES_KINDS_H

#include "common/model/row.h"
#include "msgctl/files/files.h"

struct look {
    const char *path, *name; /* name: behind the last slash */
    struct bytes content;
    struct files_sink *sink; /* NULL: only judge */
    struct files_report *report;
};

enum status look_log(struct look *look);
enum status look_sstable(struct look *look);
enum status look_manifest(struct look *look);
enum status look_identity(struct look *look);
enum status look_view(struct look *look);
enum status look_snapshot(struct look *look);
enum status look_makers(struct look *look);

/* Fill why and return the status. */
enum status look_fails(struct look *look, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void look_sums_up(struct look *look, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* True when the folder that the file lies in has this name. */
bool look_is_in(const struct look *look, const char *folder);

/* Shortcuts that do nothing without a sink. */
void tell_begin(struct look *look, const char *what);
void tell_id(struct look *look, const char *name, uint64_t value);
void tell_number(struct look *look, const char *name, int64_t value);
void tell_text(struct look *look, const char *name, const char *value);
void tell_bytes(struct look *look, const char *name, struct bytes value);
void tell_uuid(struct look *look, const char *name, const struct uuid *uuid);
void tell_end(struct look *look);

/* The partition as a channel, when it is one, else as bytes. */
void tell_partition(struct look *look, struct bytes partition);
/* What a row says; CORRUPT when its bytes are none. */
enum status tell_row(struct look *look, struct bytes bytes, const struct table *table);

#endif
