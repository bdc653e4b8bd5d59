#include "common/config/config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "common/base/mem.h"

struct sample {
    char *address, *level;
    bool sync;
    int64_t shards, timeout_ms, memory;
    struct config_list peers;
    struct uuid uuid;
};

static const struct config_field fields[] = {
    {"listen.address", CONFIG_STRING, offsetof(struct sample, address), "127.0.0.1", 1, 20, NULL, "the address"},
    {"log.level", CONFIG_CHOICE, offsetof(struct sample, level), "info", 0, 0, "debug|info|warn", "the level"},
    {"storage.sync", CONFIG_BOOL, offsetof(struct sample, sync), "true", 0, 0, NULL, "whether to sync"},
    {"node.shards", CONFIG_INT, offsetof(struct sample, shards), "2", 1, 32, NULL, "threads"},
    {"limits.timeout", CONFIG_DURATION, offsetof(struct sample, timeout_ms), "2s", 1, 30000, NULL, "how long"},
    {"memory.max", CONFIG_SIZE, offsetof(struct sample, memory), "512MiB", 1 << 20, INT64_C(1) << 40, NULL, "how much"},
    {"node.peers", CONFIG_LIST, offsetof(struct sample, peers), "", 0, 3, NULL, "the others"},
    {"cluster.uuid", CONFIG_UUID, offsetof(struct sample, uuid), "", 0, 0, NULL, "which cluster"},
};
static const struct config_table table = {"sampled", fields, sizeof fields / sizeof fields[0]};

static struct sample sample;
static struct config_errors errors;

static enum status load(const char *text)
{
    struct config_input input = {.file = "x.yaml", .text = bytes_text(text)};
    return config_load(&table, &input, &sample, &errors);
}

static void end(void)
{
    config_free(&table, &sample);
    config_errors_free(&errors);
}

#define ERRORS(text) cr_assert_str_eq(config_errors_text(&errors), text)

Test(config, an_empty_file_gives_the_defaults, .fini = end)
{
    cr_assert_eq(load(""), STATUS_OK);
    cr_assert_str_eq(sample.address, "127.0.0.1");
    cr_assert_str_eq(sample.level, "info");
    cr_assert(sample.sync);
    cr_assert_eq(sample.shards, 2);
    cr_assert_eq(sample.timeout_ms, 2000);
    cr_assert_eq(sample.memory, 512 << 20);
    cr_assert_eq(sample.peers.count, 0);
    cr_assert_eq(sample.uuid.bytes[0], 0);
}

Test(config, every_type_is_read_from_the_file, .fini = end)
{
    cr_assert_eq(load("listen:\n  address: '::1'\n"
                      "log: {level: warn}\n"
                      "storage:\n  sync: no\n"
                      "node:\n  shards: 4\n  peers:\n    - 127.0.1.1\n    - 127.0.1.2\n"
                      "limits:\n  timeout: 250ms\n"
                      "memory:\n  max: 64MiB\n"
                      "cluster:\n  uuid: 01234567-89ab-cdef-0123-456789ABCDEF\n"),
        STATUS_OK, "%s", config_errors_text(&errors));
    cr_assert_str_eq(sample.address, "::1");
    cr_assert_str_eq(sample.level, "warn");
    cr_assert_not(sample.sync);
    cr_assert_eq(sample.shards, 4);
    cr_assert_eq(sample.timeout_ms, 250);
    cr_assert_eq(sample.memory, 64 << 20);
    cr_assert_eq(sample.peers.count, 2);
    cr_assert_str_eq(sample.peers.items[1], "127.0.1.2");
    cr_assert_eq(memcmp(sample.uuid.bytes, "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef", 16), 0);
}

Test(config, all_errors_are_told_at_once_with_line_and_nearest_key, .fini = end)
{
    cr_assert_eq(load("listen:\n  adress: 1.2.3.4\n"
                      "node:\n  shards: 99\n  peers: {a: b}\n"
                      "limits:\n  timeout: 5\n"
                      "colour: red\n"
                      "memory:\n  max: 64MB\n"),
        STATUS_BAD_REQUEST);
    cr_assert_eq(errors.count, 6);
    ERRORS("x.yaml:2: listen.adress: unknown key; did you mean listen.address?\n"
           "x.yaml:4: node.shards: 99 is out of range; write 1 to 32\n"
           "x.yaml:5: node.peers: is a section; write one list\n"
           "x.yaml:7: limits.timeout: '5' is not a duration; write a whole number and a unit: ms, s, m, h or d, as in "
           "250ms\n"
           "x.yaml:8: colour: unknown key; remove it (--help-config lists all keys)\n"
           "x.yaml:10: memory.max: '64MB' is not a size; write a whole number and a unit: B, KiB, MiB, GiB or TiB, as "
           "in 64MiB\n");
    cr_assert_null(sample.address);
}

Test(config, overrides_win_over_the_file_in_their_order, .fini = end)
{
    const char *overrides[] = {"node.shards=5", "node.peers=a, b,c", "node.shards=6"};
    struct config_input input = {
        .file = "x.yaml", .text = bytes_text("node: {shards: 3}"), .overrides = overrides, .overrides_count = 3};
    cr_assert_eq(config_load(&table, &input, &sample, &errors), STATUS_OK);
    cr_assert_eq(sample.shards, 6);
    cr_assert_eq(sample.peers.count, 3);
    cr_assert_str_eq(sample.peers.items[1], "b");
}

Test(config, bad_overrides_are_told, .fini = end)
{
    const char *overrides[] = {"node.shard=5", "node.shards", "log.level=loud"};
    struct config_input input = {.overrides = overrides, .overrides_count = 3};
    cr_assert_eq(config_load(&table, &input, &sample, &errors), STATUS_BAD_REQUEST);
    ERRORS("--set: node.shard: unknown key; did you mean node.shards?\n"
           "--set: node.shards: not of the form section.key=value\n"
           "--set: log.level: 'loud' is not one of the choices; write one of debug|info|warn\n");
}

Test(config, a_key_given_twice_is_an_error, .fini = end)
{
    cr_assert_eq(load("node:\n  shards: 1\n  shards: 2\n"), STATUS_BAD_REQUEST);
    ERRORS("x.yaml:3: node.shards: given twice, first in line 2; remove one\n");
}

Test(config, a_value_that_is_missing_is_told_to_write_one, .fini = end)
{
    cr_assert_eq(load("node:\n  shards:\nlisten:\n  address:\nlog:\n"), STATUS_BAD_REQUEST);
    ERRORS("x.yaml:2: node.shards: '' is not a number; write a whole number\n"
           "x.yaml:4: listen.address: is empty; give at least 1 characters\n");
}

Test(config, a_required_key_must_be_given, .fini = end)
{
    static const struct config_field one = {
        "cluster.uuid", CONFIG_UUID, offsetof(struct sample, uuid), NULL, 0, 0, NULL, "which cluster"};
    const struct config_table required = {"d", &one, 1};
    struct config_input input = {.file = "x.yaml", .text = bytes_text("cluster:\n")};
    cr_assert_eq(config_load(&required, &input, &sample, &errors), STATUS_BAD_REQUEST);
    ERRORS("x.yaml: cluster.uuid: must be given: which cluster\n");
    config_errors_free(&errors);
    input.text = bytes_text("cluster: {uuid: ''}\n");
    cr_assert_eq(config_load(&required, &input, &sample, &errors), STATUS_BAD_REQUEST);
    ERRORS("x.yaml:1: cluster.uuid: '' is not a uuid; write one as 01234567-89ab-cdef-0123-456789abcdef\n");
}

Test(config, malformed_yaml_names_the_line, .fini = end)
{
    cr_assert_eq(load("node:\n  shards: [1\nlog: x\n"), STATUS_BAD_REQUEST);
    cr_assert_eq(errors.count, 1);
    cr_assert_eq(
        strncmp(config_errors_text(&errors), "x.yaml:3: not YAML: ", 20), 0, "%s", config_errors_text(&errors));
    config_errors_free(&errors);
    cr_assert_eq(load("node: {shards: 3}\n---\nnode: {shards: 4}\n"), STATUS_BAD_REQUEST);
    ERRORS("x.yaml:3: a second document; keep one\n");
}

Test(config, aliases_that_refer_to_themselves_end, .fini = end)
{
    cr_assert_eq(load("node: &a\n  node: *a\n  shards: 3\n"), STATUS_BAD_REQUEST);
    cr_assert_eq(errors.count, 1);
}

Test(config, numbers_that_do_not_fit_are_refused, .fini = end)
{
    cr_assert_eq(load("memory: {max: 99999999999999999999}\nlimits: {timeout: 9223372036854775807d}\n"
                      "node: {shards: 0x10}\n"),
        STATUS_BAD_REQUEST);
    cr_assert_eq(errors.count, 3);
}

Test(config, more_errors_than_fit_are_still_counted, .fini = end)
{
    struct buffer text = {0};
    for (int i = 0; i < 200; i++)
        buffer_printf(&text, "key%d: 1\n", i);
    struct config_input input = {.file = "x.yaml", .text = buffer_bytes(&text)};
    cr_assert_eq(config_load(&table, &input, &sample, &errors), STATUS_BAD_REQUEST);
    cr_assert_eq(errors.count, 200);
    buffer_free(&text);
}

Test(config, a_file_that_is_not_there_is_one_error, .fini = end)
{
    struct config_input input = {.file = "/nonexistent/x.yaml"};
    cr_assert_eq(config_load(&table, &input, &sample, &errors), STATUS_IO);
    ERRORS("/nonexistent/x.yaml: cannot be opened: No such file or directory\n");
}

Test(config, the_help_text_is_itself_a_valid_configuration, .fini = end)
{
    struct buffer text = {0};
    config_help(&table, &text);
    /* Also with every example line switched on. */
    for (size_t i = 0; i + 3 < text.size; i++)
        if (memcmp(text.data + i, "  #", 3) == 0 && text.data[i + 3] != ' ') text.data[i + 2] = ' ';
    buffer_append(&text, "", 1);
    cr_assert_eq(load((const char *)text.data), STATUS_OK, "%s%s", config_errors_text(&errors), (char *)text.data);
    cr_assert_eq(sample.timeout_ms, 2000);
    buffer_free(&text);
}

Test(config, the_page_has_a_row_for_each_key)
{
    struct buffer text = {0};
    config_page(&table, &text);
    buffer_append(&text, "", 1);
    cr_assert_not_null(strstr((char *)text.data, "| `limits.timeout` | duration, 1ms to 30s | `2s` | how long |\n"));
    cr_assert_not_null(
        strstr((char *)text.data, "| `log.level` | choice of debug, info, warn | `info` | the level |\n"));
    buffer_free(&text);
}

Test(config, loading_and_freeing_leaves_nothing_allocated)
{
    struct mem_scope *scope = mem_scope_create();
    struct mem_scope *previous = mem_scope_enter(scope);
    cr_assert_eq(load("node: {peers: [a, b]}\nlog: {level: debug}\n"), STATUS_OK);
    config_free(&table, &sample);
    cr_assert_eq(load("node: {peers: [a, '']}\nlog: {level: loud}\n"), STATUS_BAD_REQUEST);
    config_errors_free(&errors);
    cr_assert_eq(mem_scope_blocks(scope), 0);
    mem_scope_enter(previous);
    mem_scope_destroy(scope);
}
