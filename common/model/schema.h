/*
 * schema: tables and their columns. A table is a plain struct without pointers. Pure functions. Encoded form:
 * docs/formats/schema.md.
 */
#ifndef TRILLIUM_COMMON_MODEL_SCHEMA_H
#define TRILLIUM_COMMON_MODEL_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/limits.h"
#include "common/base/status.h"
#include "common/model/ids.h"
#include "common/model/value.h"

/* What the engine and the merge know of a column beyond its type. */
enum column_role {
    ROLE_NONE = 0,
    ROLE_CHANNEL = 1, /* the partition of a messages table */
    ROLE_ID = 2,      /* its clustering column: a snowflake, ordered as an unsigned number */
    ROLE_AUTHOR = 3,  /* every create carries it, no edit sets or clears it */
    ROLE_CONTENT = 4, /* at most CONTENT_BYTES_MAX */
    ROLE_EXTRA = 5,   /* keeps the fields that no column has */
    ROLES_END,
};

enum table_kind { TABLE_MESSAGES = 1, TABLE_ORDINARY = 2 };

enum { SCHEMA_NAME_BYTES = 48, TABLE_NAME_BYTES = 2 * SCHEMA_NAME_BYTES, KEY_COLUMNS_MAX = 8 };

struct column {
    char name[SCHEMA_NAME_BYTES]; /* lower case, digits, underscore; zero-terminated */
    uint16_t id;                  /* regular columns: 1..COLUMNS_MAX, never reused within a table; key columns: 0 */
    uint8_t type, role;
    bool descending; /* clustering columns only */
};

struct table {
    struct table_id id;
    uint8_t kind;
    char name[TABLE_NAME_BYTES]; /* "keyspace.table" */
    uint32_t version;            /* grows with every change of this table */
    unsigned partition_count, clustering_count, columns_count;
    struct column partition[KEY_COLUMNS_MAX];
    struct column clustering[KEY_COLUMNS_MAX];
    struct column columns[COLUMNS_MAX]; /* ascending by id */
};

/* chat.messages, which exists from birth. */
enum { CHAT_MESSAGES_ID = 1 };
enum {
    CHAT_AUTHOR_ID = 1,
    CHAT_CONTENT = 2,
    CHAT_EDITED_AT = 3,
    CHAT_TYPE = 4,
    CHAT_FLAGS = 5,
    CHAT_REFERENCE_ID = 6,
    CHAT_ATTACHMENTS = 7,
    CHAT_EMBEDS = 8,
    CHAT_EXTRA = 9,
};
extern const struct table CHAT_MESSAGES;

/* NULL when absent. */
const struct column *table_column(const struct table *table, uint16_t id);
const struct column *table_column_named(const struct table *table, struct bytes name);
/* The first column with the role, among the regular ones; NULL when none has it. */
const struct column *table_column_with_role(const struct table *table, enum column_role role);

/* BAD_REQUEST when the table is not well-formed: names, ids ascending, types, the key and roles of a messages table. */
enum status table_check(const struct table *table) MUST_CHECK;

/* The table is well-formed. */
void table_encode(const struct table *table, struct buffer *out);
/* Takes exactly one table from the reader; BAD_REQUEST when malformed (whoever reads a disk calls that CORRUPT). */
enum status table_decode(struct reader *reader, struct table *out) MUST_CHECK;

#endif
