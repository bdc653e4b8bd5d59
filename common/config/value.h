/*
 * value: one setting's value between its written form and the caller's struct. Knows types, units and ranges; knows
 * neither files nor YAML. Pure but for the strings and lists that it allocates.
 */
#ifndef TRILLIUM_COMMON_CONFIG_VALUE_H
#define TRILLIUM_COMMON_CONFIG_VALUE_H

#include "common/config/config.h"

enum { VALUE_WHY_BYTES = 400 };

/* A written value: one text, or the items of a sequence. */
struct value_source {
    struct bytes text;
    const struct bytes *items; /* not NULL: a sequence */
    size_t items_count;
};

/*
 * Puts the value into settings at the field's offset, releasing what was there. BAD_REQUEST otherwise, settings
 * unchanged and why[VALUE_WHY_BYTES] filled: what is wrong; what to write.
 */
MUST_CHECK enum status value_set(
    const struct config_field *field, const struct value_source *source, void *settings, char *why);

/* Releases the field's string or list in settings, leaving it empty. */
void value_free(const struct config_field *field, void *settings);

/* The number as people write it for the field's type ("64MiB", "250ms", "3") into out[32]; returns out. */
const char *value_show(const struct config_field *field, int64_t number, char out[32]);

/* "duration", "size", ...: for help texts. */
const char *value_type_name(enum config_type type);

#endif
