/* The bytes of commands and records, as docs/formats/catalog.md has them: a change of these breaks logs that exist. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "controld/catalog/catalog.h"

static void expect_hex(struct bytes bytes, const char *hex)
{
    char text[1024] = "";
    cr_assert_lt(bytes.size * 2, sizeof text);
    for (size_t i = 0; i < bytes.size; i++)
        snprintf(text + 2 * i, sizeof text - 2 * i, "%02x", bytes.data[i]);
    cr_expect_str_eq(text, hex);
}

static void expect_command(const struct command *command, const char *hex)
{
    struct buffer bytes = {0};
    command_encode(command, &bytes);
    expect_hex(buffer_bytes(&bytes), hex);
    struct command decoded;
    cr_assert_eq(command_decode(buffer_bytes(&bytes), &decoded), STATUS_OK);
    struct buffer again = {0};
    command_encode(&decoded, &again);
    cr_expect(bytes_equal(buffer_bytes(&bytes), buffer_bytes(&again)));
    buffer_free(&bytes);
    buffer_free(&again);
}

static const struct command REGISTER = {.kind = COMMAND_REGISTER,
    .stamp_us = 300,
    .registration = {.role = DAEMON_NODE,
        .uuid = {{0xaa}},
        .instance = {{0xbb}},
        .boot = 2,
        .address = "h:73",
        .zone = "z",
        .version = "0.1",
        .shards = 2}};

#define UUID_AA "aa000000000000000000000000000000"
#define UUID_BB "bb000000000000000000000000000000"

Test(command, golden_bytes)
{
    expect_command(&REGISTER, "0102d804"
                              "01" UUID_AA UUID_BB "0200000000000000"
                              "04683a3733"
                              "017a"
                              "03302e31"
                              "02");
    expect_command(&(struct command){.kind = COMMAND_PLACE,
                       .place = {.table = {1},
                           .ranges_count = 2,
                           .ranges = {{INT64_MIN, 0, 2, {{1}, {2}}}, {0, INT64_MAX, 1, {{3}}}}}},
        "0103000102"
        "000000000000008000000000000000000201"
        "02"
        "0000000000000000ffffffffffffff7f0103");
    expect_command(&(struct command){.kind = COMMAND_MAKERS, .makers = {{5}, 1}}, "0104000501");
    expect_command(&(struct command){.kind = COMMAND_IMPORT_BEGIN, .import = {0, {1}, 7, "a"}}, "010500"
                                                                                                "0000000000000000"
                                                                                                "01"
                                                                                                "0e"
                                                                                                "0161");
    expect_command(&(struct command){.kind = COMMAND_HORIZON, .horizon = {{1}, -1}}, "0109000101");
    expect_command(&(struct command){.kind = COMMAND_EPOCH, .epoch = {9}}, "010a000900000000000000");
    expect_command(&(struct command){.kind = COMMAND_LAPSE, .lapse = {{2}, 2, {{{9}, 5}, {{10}, 0}}}},
        "010b0002020900000000000000050a0000000000000000");
    expect_command(&(struct command){.kind = COMMAND_REBUILT, .rebuilt = {{2}, {9}, 6}}, "010c0002090000000000000006");
    expect_command(&(struct command){.kind = COMMAND_REPLACE,
                       .replace = {.uuid = {{0xaa}}, .boot = 1, .registration = REGISTER.registration}},
        "010d00" UUID_AA "0100000000000000"
        "01" UUID_AA UUID_BB "0200000000000000"
        "04683a3733"
        "017a"
        "03302e31"
        "02");
}

Test(command, what_is_not_within_its_limits_is_refused)
{
    struct buffer bytes = {0};
    struct command decoded, command = REGISTER;
    command.registration.role = 3;
    command_encode(&command, &bytes);
    cr_expect_eq(command_decode(buffer_bytes(&bytes), &decoded), STATUS_BAD_REQUEST);
    command = REGISTER;
    command.registration.shards = 33;
    buffer_clear(&bytes);
    command_encode(&command, &bytes);
    cr_expect_eq(command_decode(buffer_bytes(&bytes), &decoded), STATUS_BAD_REQUEST);
    buffer_clear(&bytes);
    command_encode(&REGISTER, &bytes);
    for (size_t size = 0; size < bytes.size; size++)
        cr_expect_eq(command_decode(bytes_of(bytes.data, size), &decoded), STATUS_BAD_REQUEST, "%zu", size);
    buffer_append(&bytes, "", 1);
    cr_expect_eq(command_decode(buffer_bytes(&bytes), &decoded), STATUS_BAD_REQUEST);
    buffer_free(&bytes);
}

/* The records that a few commands leave, one behind the other: key, "=", value. */
static void add_record(void *context, struct bytes key, struct bytes value)
{
    struct buffer *out = context;
    buffer_append(out, key.data, key.size);
    buffer_append(out, "=", 1);
    buffer_append(out, value.data, value.size);
}

Test(catalog, golden_records)
{
    struct catalog catalog;
    struct meta_batch batch = {0};
    struct catalog_answer answer;
    struct buffer bytes = {0};
    catalog_init(&catalog, &(struct uuid){{0xcc}});
    command_encode(&REGISTER, &bytes);
    cr_assert_eq(catalog_apply(&catalog, 258, buffer_bytes(&bytes), &answer, &batch), STATUS_OK);
    buffer_clear(&bytes);
    catalog_records(&catalog, add_record, &bytes);
    expect_hex(buffer_bytes(&bytes), "680000000000000000"
                                     "3d01cc0000000000000000000000000000000201000000000000"
                                     "6e0000000000000001"
                                     "3d010201" UUID_AA UUID_BB "0200000000000000"
                                     "04683a3733017a03302e3102");
    buffer_free(&bytes);
    meta_batch_free(&batch);
    catalog_fini(&catalog);
}
