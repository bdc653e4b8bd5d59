/* catalog_internal: what the files behind catalog.h share: records, the digest, places in the arrays. */
#ifndef TRILLIUM_CONTROLD_CATALOG_CATALOG_INTERNAL_H
#define TRILLIUM_CONTROLD_CATALOG_CATALOG_INTERNAL_H

#include "controld/catalog/catalog.h"

/* Key and value, one behind the other. Zero-initialised is empty; reused, then catalog_record_free. */
struct catalog_record {
    struct buffer bytes;
    size_t key_size;
};

static inline struct bytes catalog_record_key(const struct catalog_record *record)
{
    return bytes_of(record->bytes.data, record->key_size);
}
static inline struct bytes catalog_record_value(const struct catalog_record *record)
{
    return bytes_of(record->bytes.data + record->key_size, record->bytes.size - record->key_size);
}

/* Fill the record with the object as it is now. */
void catalog_record_head(struct catalog_record *record, const struct catalog *catalog);
void catalog_record_daemon(struct catalog_record *record, const struct catalog_daemon *daemon);
void catalog_record_table(struct catalog_record *record, const struct table *table);
void catalog_record_range(struct catalog_record *record, const struct view_range *range);
void catalog_record_import(struct catalog_record *record, const struct catalog_import *import);
void catalog_record_block(struct catalog_record *record, const struct catalog *catalog, unsigned block);
void catalog_record_free(struct catalog_record *record);

/* Into the digest, or out of it. */
void catalog_sum(struct catalog *catalog, const struct catalog_record *record, bool in);

struct catalog_daemons *catalog_daemons(struct catalog *catalog, uint8_t role);
/* Room for one more at a position; what stands there moves up. The contents are undefined. */
struct catalog_daemon *catalog_add_daemon(struct catalog *catalog, uint8_t role);
struct table *catalog_add_table(struct catalog *catalog, unsigned position);
struct view_range *catalog_add_range(struct catalog *catalog);
struct catalog_import *catalog_add_import(struct catalog *catalog);
/* Brings the ranges into their order. */
void catalog_sort_ranges(struct catalog *catalog);

#endif
