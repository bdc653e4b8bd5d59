/* config_help: the texts that a table of settings explains itself with. */
#include "common/config/config.h"

#include <string.h>

#include "common/config/value.h"

/* "duration, 1ms to 1m", "one of a, b", ... */
static void range_append(const struct config_field *field, struct buffer *out)
{
    char low[32], high[32];
    buffer_printf(out, "%s", value_type_name(field->type));
    if (field->type == CONFIG_CHOICE) {
        buffer_printf(out, " of ");
        for (const char *at = field->choices; *at; at++) {
            if (*at == '|')
                buffer_printf(out, ", ");
            else
                buffer_append(out, at, 1);
        }
    }
    bool ranged = field->min != 0 || field->max != 0;
    if (!ranged) return;
    if (field->type == CONFIG_INT || field->type == CONFIG_DURATION || field->type == CONFIG_SIZE)
        buffer_printf(out, ", %s to %s", value_show(field, field->min, low), value_show(field, field->max, high));
    else if (field->type == CONFIG_LIST)
        buffer_printf(out, " of %d to %d", (int)field->min, (int)field->max);
}

static size_t section_size(const char *path)
{
    return strcspn(path, ".");
}

/* True for the first field of its section: sections may be spread over the table. */
static bool begins_section(const struct config_table *table, size_t index)
{
    size_t size = section_size(table->fields[index].path);
    for (size_t i = 0; i < index; i++)
        if (section_size(table->fields[i].path) == size &&
            strncmp(table->fields[i].path, table->fields[index].path, size) == 0)
            return false;
    return true;
}

static void help_field(const struct config_field *field, struct buffer *out)
{
    const char *key = field->path + section_size(field->path) + 1;
    buffer_printf(out, "  # %s\n  # (", field->help);
    range_append(field, out);
    buffer_printf(out, "%s)\n", field->value ? "" : "; must be given");
    if (field->value == NULL)
        buffer_printf(out, "  #%s:\n", key);
    else
        buffer_printf(out, "  #%s: %s\n", key, field->value[0] ? field->value : "\"\"");
}

void config_help(const struct config_table *table, struct buffer *out)
{
    buffer_printf(out, "# Configuration of %s. Every key with its default.\n", table->daemon);
    for (size_t i = 0; i < table->count; i++) {
        if (!begins_section(table, i)) continue;
        const char *section = table->fields[i].path;
        size_t size = section_size(section);
        buffer_printf(out, "\n%.*s:\n", (int)size, section);
        for (size_t j = i; j < table->count; j++)
            if (section_size(table->fields[j].path) == size && strncmp(table->fields[j].path, section, size) == 0)
                help_field(&table->fields[j], out);
    }
}

void config_page(const struct config_table *table, struct buffer *out)
{
    buffer_printf(out, "## %s\n\n| key | value | default | meaning |\n|---|---|---|---|\n", table->daemon);
    for (size_t i = 0; i < table->count; i++) {
        const struct config_field *field = &table->fields[i];
        buffer_printf(out, "| `%s` | ", field->path);
        range_append(field, out);
        if (field->value == NULL)
            buffer_printf(out, " | must be given");
        else if (field->value[0] == 0)
            buffer_printf(out, " | empty");
        else
            buffer_printf(out, " | `%s`", field->value);
        buffer_printf(out, " | %s |\n", field->help);
    }
}
