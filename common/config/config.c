#include "common/config/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/suggest.h"
#include "common/config/value.h"

enum { PATH_BYTES_MAX = 128 };

struct load {
    const struct config_table *table;
    const char *file; /* as messages name it */
    yaml_document_t *document;
    int *lines; /* per field: where the file gave it; 0: nowhere */
    bool *given;
    void *settings;
    struct config_errors *errors;
};

static void error_add(struct config_errors *errors, const char *where, const char *key, const char *what)
{
    if (errors->count++ < CONFIG_ERRORS_MAX)
        buffer_printf(&errors->text, "%s: %s%s%s\n", where, key, key[0] ? ": " : "", what);
}

static void error_at(struct load *load, size_t line, const char *key, const char *what)
{
    char where[CONFIG_TEXT_BYTES_MAX];
    snprintf(where, sizeof where, "%.4000s:%zu", load->file, line);
    error_add(load->errors, where, key, what);
}

const char *config_errors_text(struct config_errors *errors)
{
    *buffer_reserve(&errors->text, 1) = 0;
    return (const char *)errors->text.data;
}

void config_errors_free(struct config_errors *errors)
{
    buffer_free(&errors->text);
    errors->count = 0;
}

static const struct config_field *field_find(const struct config_table *table, const char *path)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->fields[i].path, path) == 0) return &table->fields[i];
    return NULL;
}

static bool section_exists(const struct config_table *table, const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < table->count; i++)
        if (strncmp(table->fields[i].path, path, length) == 0 && table->fields[i].path[length] == '.') return true;
    return false;
}

static void unknown_key(const struct config_table *table, const char *path, char *why)
{
    const char *near = suggest_path(table, path);
    if (near != NULL)
        snprintf(why, VALUE_WHY_BYTES, "unknown key; did you mean %s?", near);
    else
        snprintf(why, VALUE_WHY_BYTES, "unknown key; remove it (--help-config lists all keys)");
}

static struct bytes scalar_of(const yaml_node_t *node)
{
    return bytes_of(node->data.scalar.value, node->data.scalar.length);
}

/* Collects the items of a sequence of scalars; false (and why) when one is not. items has room for them. */
static bool sequence_read(struct load *load, const yaml_node_t *node, struct bytes *items, char *why)
{
    size_t count = 0;
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        const yaml_node_t *part = yaml_document_get_node(load->document, *item);
        if (part == NULL || part->type != YAML_SCALAR_NODE) {
            snprintf(
                why, VALUE_WHY_BYTES, "item %zu is not a plain value; write one per line, as in '- value'", count + 1);
            return false;
        }
        items[count++] = scalar_of(part);
    }
    return true;
}

static void field_take(struct load *load, const struct config_field *field, const yaml_node_t *node, size_t line)
{
    size_t index = (size_t)(field - load->table->fields);
    char why[VALUE_WHY_BYTES];
    if (load->lines[index] != 0) {
        snprintf(why, sizeof why, "given twice, first in line %d; remove one", load->lines[index]);
        error_at(load, line, field->path, why);
        return;
    }
    load->lines[index] = (int)line;
    load->given[index] = true;
    struct value_source source = {{0}};
    struct bytes *items = NULL;
    bool good = true;
    if (node->type == YAML_SEQUENCE_NODE) {
        source.items_count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
        source.items = items = mem_alloc((source.items_count + 1) * sizeof *items);
        good = sequence_read(load, node, items, why);
    } else if (node->type == YAML_SCALAR_NODE) {
        source.text = scalar_of(node);
    } else {
        snprintf(why, sizeof why, "is a section; write one %s", value_type_name(field->type));
        good = false;
    }
    if (!good || value_set(field, &source, load->settings, why) != STATUS_OK) error_at(load, line, field->path, why);
    mem_free(items);
}

/* The path of a key below prefix; false when it is no key at all or too long. */
static bool path_join(const char *prefix, const yaml_node_t *key, char path[PATH_BYTES_MAX])
{
    char text[PATH_BYTES_MAX];
    if (key == NULL || key->type != YAML_SCALAR_NODE || key->data.scalar.length >= sizeof text / 2) return false;
    log_quote(text, sizeof text, scalar_of(key));
    int size = snprintf(path, PATH_BYTES_MAX, "%s%s%s", prefix, prefix[0] ? "." : "", text);
    return size > 0 && size < PATH_BYTES_MAX;
}

/* Descends only into sections of the table, so aliases that refer to themselves cannot keep it busy. */
static void mapping_walk(struct load *load, const yaml_node_t *mapping, const char *prefix)
{
    yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
    for (; pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(load->document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(load->document, pair->value);
        size_t line = key != NULL ? key->start_mark.line + 1 : mapping->start_mark.line + 1;
        char path[PATH_BYTES_MAX], why[VALUE_WHY_BYTES];
        if (value == NULL || !path_join(prefix, key, path)) {
            error_at(load, line, prefix, "a key here is not a short plain word; remove it");
            continue;
        }
        const struct config_field *field = field_find(load->table, path);
        if (field != NULL) {
            field_take(load, field, value, line);
        } else if (section_exists(load->table, path)) {
            bool empty = value->type == YAML_SCALAR_NODE && value->data.scalar.length == 0;
            if (value->type == YAML_MAPPING_NODE)
                mapping_walk(load, value, path);
            else if (!empty)
                error_at(load, line, path, "is a section; indent its keys below it");
        } else {
            unknown_key(load->table, path, why);
            error_at(load, line, path, why);
        }
    }
}

/* libyaml's words about a malformed file. */
static void parser_error(struct load *load, const yaml_parser_t *parser)
{
    char why[VALUE_WHY_BYTES];
    const char *problem = parser->problem != NULL ? parser->problem : "cannot be read";
    snprintf(why, sizeof why, "not YAML: %s; mend this line or the one before", problem);
    size_t line = parser->problem_mark.line + 1;
    error_at(load, line, "", why);
}

static void text_parse(struct load *load, struct bytes text)
{
    yaml_parser_t parser;
    yaml_document_t document;
    CHECK(yaml_parser_initialize(&parser) == 1);
    yaml_parser_set_input_string(&parser, text.data, text.size);
    if (!yaml_parser_load(&parser, &document)) {
        parser_error(load, &parser);
        yaml_parser_delete(&parser);
        return;
    }
    load->document = &document;
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    if (root != NULL && root->type == YAML_MAPPING_NODE)
        mapping_walk(load, root, "");
    else if (root != NULL && !(root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0))
        error_at(load, root->start_mark.line + 1, "", "not a list of sections; write 'section:' and its keys below it");
    load->document = NULL;
    yaml_document_delete(&document);
    if (root != NULL) {
        /* A second document in the file would be ignored in silence. */
        if (!yaml_parser_load(&parser, &document))
            parser_error(load, &parser);
        else {
            const yaml_node_t *second = yaml_document_get_root_node(&document);
            if (second != NULL) error_at(load, second->start_mark.line + 1, "", "a second document; keep one");
            yaml_document_delete(&document);
        }
    }
    yaml_parser_delete(&parser);
}

/* The whole file; IO with why otherwise. */
static enum status file_read(const char *path, struct buffer *out, char why[VALUE_WHY_BYTES])
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(why, VALUE_WHY_BYTES, "cannot be opened: %s", strerror(errno));
        return STATUS_IO;
    }
    uint8_t *room = buffer_reserve(out, CONFIG_FILE_BYTES_MAX + 1);
    out->size = fread(room, 1, CONFIG_FILE_BYTES_MAX + 1, file);
    bool failed = ferror(file) != 0;
    if (failed) snprintf(why, VALUE_WHY_BYTES, "cannot be read: %s", strerror(errno));
    fclose(file);
    return failed ? STATUS_IO : STATUS_OK;
}

static enum status input_parse(struct load *load, const struct config_input *input)
{
    char why[VALUE_WHY_BYTES];
    struct buffer contents = {0};
    struct bytes text = input->text;
    enum status status = STATUS_OK;
    if (text.data == NULL && input->file == NULL) return STATUS_OK;
    if (text.data == NULL) {
        status = file_read(input->file, &contents, why);
        text = buffer_bytes(&contents);
    }
    if (status != STATUS_OK) {
        error_add(load->errors, load->file, "", why);
    } else if (text.size > CONFIG_FILE_BYTES_MAX) {
        snprintf(why, sizeof why, "larger than %d bytes; is this the right file?", CONFIG_FILE_BYTES_MAX);
        error_add(load->errors, load->file, "", why);
    } else {
        text_parse(load, text);
    }
    buffer_free(&contents);
    return status;
}

static void override_take(struct load *load, const char *override)
{
    char path[PATH_BYTES_MAX], why[VALUE_WHY_BYTES], shown[PATH_BYTES_MAX];
    const char *equals = strchr(override, '=');
    if (equals == NULL || equals == override || (size_t)(equals - override) >= sizeof path) {
        log_quote(shown, sizeof shown, bytes_text(override));
        error_add(load->errors, "--set", shown, "not of the form section.key=value");
        return;
    }
    size_t length = (size_t)(equals - override);
    memcpy(path, override, length);
    path[length] = 0;
    const struct config_field *field = field_find(load->table, path);
    if (field == NULL) {
        unknown_key(load->table, path, why);
        log_quote(shown, sizeof shown, bytes_text(path));
        error_add(load->errors, "--set", shown, why);
        return;
    }
    load->given[field - load->table->fields] = true;
    struct value_source source = {bytes_text(equals + 1), NULL, 0};
    if (value_set(field, &source, load->settings, why) != STATUS_OK) error_add(load->errors, "--set", path, why);
}

/* Gives every field a value: its default, or an error when it has none and was not given. */
static void defaults_take(struct load *load)
{
    char why[VALUE_WHY_BYTES];
    for (size_t i = 0; i < load->table->count; i++) {
        const struct config_field *field = &load->table->fields[i];
        if (load->given[i]) continue;
        if (field->value == NULL) {
            snprintf(why, sizeof why, "must be given: %s", field->help);
            error_add(load->errors, load->file, field->path, why);
            continue;
        }
        struct value_source source = {bytes_text(field->value), NULL, 0};
        CHECK(value_set(field, &source, load->settings, why) == STATUS_OK);
    }
}

/* The bytes that the table's fields cover. */
static size_t member_size(enum config_type type)
{
    switch (type) {
    case CONFIG_STRING:
    case CONFIG_CHOICE:
        return sizeof(char *);
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        return sizeof(int64_t);
    case CONFIG_LIST:
        return sizeof(struct config_list);
    case CONFIG_UUID:
        return sizeof(struct uuid);
    }
    return 0;
}

static void settings_clear(const struct config_table *table, void *settings)
{
    for (size_t i = 0; i < table->count; i++)
        memset((char *)settings + table->fields[i].offset, 0, member_size(table->fields[i].type));
}

enum status config_load(
    const struct config_table *table, const struct config_input *input, void *out, struct config_errors *errors)
{
    struct load load = {
        .table = table, .file = input->file ? input->file : "configuration", .settings = out, .errors = errors};
    load.lines = mem_zalloc(table->count * sizeof *load.lines);
    load.given = mem_zalloc(table->count * sizeof *load.given);
    settings_clear(table, out);
    size_t before = errors->count;
    enum status status = input_parse(&load, input);
    for (size_t i = 0; i < input->overrides_count; i++)
        override_take(&load, input->overrides[i]);
    if (status == STATUS_OK) defaults_take(&load);
    mem_free(load.lines);
    mem_free(load.given);
    if (status == STATUS_OK && errors->count > before) status = STATUS_BAD_REQUEST;
    if (status != STATUS_OK) config_free(table, out);
    return status;
}

void config_free(const struct config_table *table, void *settings)
{
    for (size_t i = 0; i < table->count; i++)
        value_free(&table->fields[i], settings);
    settings_clear(table, settings);
}
