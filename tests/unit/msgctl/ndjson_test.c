#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/prng.h"
#include "common/model/snowflake.h"
#include "msgctl/iso_time.h"
#include "msgctl/ndjson.h"

#define HEAD "{\"channel_id\":\"7\",\"message_id\":\"11415512338513\",\"author_id\":\"-3\""
#define HEAD_TIMED HEAD ",\"timestamp\":\"2015-01-01T00:45:21.670Z\""

static enum status decode(
    const char *line, struct arena *arena, struct trillium_message *out, struct ndjson_error *error)
{
    return ndjson_decode(bytes_text(line), arena, out, error);
}

/* The line that comes back; freed by mem_free. */
static char *back(const char *line)
{
    struct arena arena = {0};
    struct trillium_message message;
    struct ndjson_error error = {0};
    enum status status = decode(line, &arena, &message, &error);
    cr_assert(status == STATUS_OK, "%s: %s %s", line, error.field, error.problem);
    struct buffer out = {0};
    ndjson_encode(&message, &out);
    buffer_append(&out, "", 1);
    arena_free(&arena);
    return (char *)out.data;
}

/* Import and export give the same JSON value, and the printed line is a fixed point. */
static void assert_comes_back(const char *line)
{
    char *first = back(line), *second = back(first);
    cr_expect_str_eq(first, second);
    json_t *before = json_loads(line, JSON_ALLOW_NUL, NULL), *after = json_loads(first, JSON_ALLOW_NUL, NULL);
    cr_assert(before && after, "%s gave %s", line, first);
    cr_expect(json_equal(before, after), "%s gave %s", line, first);
    cr_expect(strchr(first, '\n') == first + strlen(first) - 1);
    json_decref(before);
    json_decref(after);
    mem_free(first);
    mem_free(second);
}

static void assert_refused(const char *line, const char *field, const char *problem)
{
    struct arena arena = {0};
    struct trillium_message message;
    struct ndjson_error error = {0};
    cr_expect(decode(line, &arena, &message, &error) == STATUS_BAD_REQUEST, "%s", line);
    cr_expect_str_eq(error.field, field);
    cr_expect(strstr(error.problem, problem) != NULL, "%s: \"%s\" does not say \"%s\"", line, error.problem, problem);
    arena_free(&arena);
}

Test(ndjson, a_line_becomes_a_message)
{
    struct arena arena = {0};
    struct trillium_message message;
    struct ndjson_error error;
    cr_assert(decode(HEAD_TIMED ",\"content\":\"a\\u0000b\",\"type\":19,\"flags\":4,\"reference_id\":\"12\","
                                "\"edited_at\":\"2020-02-29T23:59:59.001Z\",\"attachments\":\"AAE=\",\"embeds\":\"\"}",
                  &arena, &message, &error) == STATUS_OK);
    cr_expect(message.channel_id == 7 && message.message_id == 11415512338513 && message.author_id == -3);
    cr_expect(message.content.size == 3 && memcmp(message.content.data, "a\0b", 3) == 0);
    cr_expect(
        message.has == (TRILLIUM_HAS_EDITED_AT | TRILLIUM_HAS_TYPE | TRILLIUM_HAS_FLAGS | TRILLIUM_HAS_REFERENCE));
    cr_expect(message.type == 19 && message.flags == 4 && message.reference_id == 12);
    cr_expect(message.edited_at_ms == 1583020799001);
    cr_expect(message.attachments.size == 2 && memcmp(message.attachments.data, "\0\1", 2) == 0);
    cr_expect(message.embeds.data != NULL && message.embeds.size == 0);
    cr_expect(message.extra.data == NULL);
    arena_free(&arena);
}

Test(ndjson, an_absent_content_is_not_an_empty_one)
{
    struct arena arena = {0};
    struct trillium_message message;
    struct ndjson_error error;
    cr_assert(decode(HEAD "}", &arena, &message, &error) == STATUS_OK);
    cr_expect(message.content.data == NULL);
    cr_assert(decode(HEAD ",\"content\":\"\"}", &arena, &message, &error) == STATUS_OK);
    cr_expect(message.content.data != NULL && message.content.size == 0);
    arena_free(&arena);
    assert_comes_back(HEAD_TIMED "}");
    assert_comes_back(HEAD_TIMED ",\"content\":\"\"}");
}

Test(ndjson, unknown_fields_come_back)
{
    assert_comes_back(HEAD_TIMED ",\"channel\":\"a/b\",\"author\":\"\\u00e9\\ud83d\\ude00 \\\" \\\\ \\/\"}");
    assert_comes_back(
        HEAD_TIMED ", \"x\" : { \"y\" : [ 1 , 2.5e3 , null , true , { } , [ ] , \" a b \" ] } , \"z\":[] }");
    assert_comes_back(HEAD_TIMED ",\"\":\"no name\"}");
    char *line = back(HEAD ",\"a\\u0000b\":1}"); /* jansson knows no such names */
    cr_expect(strstr(line, ",\"a\\u0000b\":1}") != NULL);
    mem_free(line);
    assert_comes_back(HEAD_TIMED ",\"content\":null,\"embeds\":null,\"edited_at\":null,\"type\":null}");
    assert_comes_back("{\"channel_id\":\"0\",\"message_id\":\"18446744073709551615\",\"author_id\":"
                      "\"-9223372036854775808\",\"timestamp\":null}");
}

Test(ndjson, a_timestamp_that_is_not_the_ids_time_comes_back)
{
    assert_comes_back(HEAD ",\"timestamp\":\"2015-01-01T00:45:21.671Z\"}");
    assert_comes_back(HEAD ",\"timestamp\":\"2015-01-01T01:45:21.670+01:00\"}");
    assert_comes_back(HEAD ",\"timestamp\":1420073121670}");
    assert_comes_back(HEAD_TIMED ",\"edited_at\":\"2020-01-01T00:00:00Z\"}");
    assert_comes_back(HEAD_TIMED ",\"edited_at\":\"2020-01-01T00:00:00.123456+02:00\"}");
    assert_comes_back(HEAD_TIMED ",\"edited_at\":1577836800000}");
    assert_comes_back(HEAD_TIMED ",\"edited_at\":-99999999999999999}");
}

Test(ndjson, numbers_of_unknown_fields_keep_their_digits)
{
    char *line = back(HEAD ",\"n\":123456789012345678901234567890.10e-5}");
    cr_expect(strstr(line, "\"n\":123456789012345678901234567890.10e-5}") != NULL);
    mem_free(line);
}

Test(ndjson, ids_may_be_json_numbers)
{
    char *line = back("{\"channel_id\":18446744073709551615,\"message_id\":1,\"author_id\":-5,\"reference_id\":9}");
    cr_expect_str_eq(line, "{\"channel_id\":\"18446744073709551615\",\"message_id\":\"1\",\"author_id\":\"-5\","
                           "\"timestamp\":\"2015-01-01T00:00:00.000Z\",\"reference_id\":\"9\"}\n");
    mem_free(line);
}

Test(ndjson, an_edit_wins_over_what_the_import_said)
{
    struct arena arena = {0};
    struct trillium_message message;
    struct ndjson_error error;
    cr_assert(decode(HEAD ",\"content\":null,\"edited_at\":\"2020-01-01T00:00:00Z\"}", &arena, &message, &error) ==
              STATUS_OK);
    message.edited_at_ms = 1600000000000;
    message.content = (struct trillium_bytes){"new", 3};
    struct buffer out = {0};
    ndjson_encode(&message, &out);
    buffer_append(&out, "", 1);
    cr_expect_str_eq((char *)out.data, HEAD_TIMED ",\"content\":\"new\",\"edited_at\":\"2020-09-13T12:26:40.000Z\"}\n");
    buffer_free(&out);
    arena_free(&arena);
}

Test(ndjson, an_extra_that_cannot_be_flattened_is_base64)
{
    static const char *const extras[] = {"", "[]", "{\"a\":1", "{\"a\":1}x", "{\"channel_id\":\"1\"}",
        "{\"content\":\"x\"}", "{\"extra\":1}", "{\"a\":1,\"\\u0061\":2}", "{\"a\":\"\xff\"}", "\0\1\2"};
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
        struct trillium_message message = {.message_id = 1, .extra = {extras[i], i == 9 ? 3 : strlen(extras[i])}};
        struct buffer out = {0};
        ndjson_encode(&message, &out);
        buffer_append(&out, "", 1);
        cr_expect(strstr((char *)out.data, ",\"extra\":\"") != NULL, "%s", (char *)out.data);
        buffer_free(&out);
    }
}

Test(ndjson, refusals_name_the_field_and_the_problem)
{
    assert_refused("", "", "not a JSON object");
    assert_refused("[]", "", "not a JSON object");
    assert_refused("{\"channel_id\":\"7\"", "", "no end");
    assert_refused("{\"channel_id\":\"7\"}", "message_id", "missing");
    assert_refused("{\"channel_id\":\"x\",\"message_id\":\"1\",\"author_id\":\"1\"}", "channel_id", "decimal");
    assert_refused(
        "{\"channel_id\":\"18446744073709551616\",\"message_id\":\"1\",\"author_id\":\"1\"}", "channel_id", "");
    assert_refused("{\"channel_id\":\"07\",\"message_id\":\"1\",\"author_id\":\"1\"}", "channel_id", "");
    assert_refused("{\"channel_id\":1.5,\"message_id\":\"1\",\"author_id\":\"1\"}", "channel_id", "");
    assert_refused("{\"channel_id\":\"7\",\"message_id\":\"0\",\"author_id\":\"1\"}", "message_id", "0");
    assert_refused("{\"channel_id\":\"7\",\"message_id\":\"1\",\"author_id\":null}", "author_id", "");
    assert_refused(
        "{\"channel_id\":\"7\",\"message_id\":\"1\",\"author_id\":\"9223372036854775808\"}", "author_id", "");
    assert_refused(HEAD ",\"extra\":1}", "extra", "rename");
    assert_refused(HEAD ",\"content\":5}", "content", "string");
    assert_refused(HEAD ",\"content\":\"a\",\"c\\u006fntent\":\"b\"}", "content", "twice");
    assert_refused(HEAD ",\"x\":1,\"x\":2}", "x", "twice");
    assert_refused(HEAD ",\"type\":2147483648}", "type", "32 bits");
    assert_refused(HEAD ",\"flags\":1e3}", "flags", "64 bits");
    assert_refused(HEAD ",\"edited_at\":\"yesterday\"}", "edited_at", "ISO 8601");
    assert_refused(HEAD ",\"embeds\":\"AAF=\"}", "embeds", "base64");
    assert_refused(HEAD ",\"embeds\":[]}", "embeds", "base64");
    assert_refused(HEAD ",\"content\":\"\\ud800\"}", "", "surrogate");
    assert_refused(HEAD ",\"content\":\"\xed\xa0\x80\"}", "", "UTF-8");
    assert_refused(HEAD ",\"content\":\"\n\"}", "", "control character");
    assert_refused(HEAD ",}", "", "name");
    assert_refused(HEAD "} x", "", "follows");
}

Test(ndjson, a_content_above_its_limit_is_too_big)
{
    enum { HEAD_BYTES = sizeof HEAD ",\"content\":\"" - 1 };
    struct buffer line = {0};
    struct arena arena = {0};
    struct trillium_message message;
    struct ndjson_error error;
    for (unsigned over = 0; over < 2; over++) {
        buffer_clear(&line);
        buffer_append(&line, HEAD ",\"content\":\"", HEAD_BYTES);
        for (unsigned i = 0; i < 65536 + over; i++)
            buffer_append(&line, "x", 1);
        buffer_append(&line, "\"}", 2);
        enum status status = ndjson_decode(buffer_bytes(&line), &arena, &message, &error);
        cr_expect(status == (over ? STATUS_TOO_BIG : STATUS_OK));
    }
    cr_expect_str_eq(error.field, "content");
    cr_expect_str_eq(error.problem, "is 65537 bytes long; at most 65536");
    buffer_free(&line);
    arena_free(&arena);
}

Test(ndjson, every_character_comes_back)
{
    struct buffer line = {0};
    struct arena arena = {0};
    for (uint32_t plane = 0; plane < 0x11; plane++) {
        uint8_t text[4 * 0x400];
        size_t size = 0;
        for (uint32_t low = 0; low < 0x10000; low += 64) {
            uint32_t code = plane << 16 | (low + plane);
            if (code >= 0xd800 && code < 0xe000) continue;
            if (code < 0x80) {
                text[size++] = (uint8_t)code;
            } else if (code < 0x800) {
                text[size++] = (uint8_t)(0xc0 | code >> 6);
                text[size++] = (uint8_t)(0x80 | (code & 63));
            } else {
                if (code >= 0x10000) text[size++] = (uint8_t)(0xf0 | code >> 18);
                text[size++] = (uint8_t)(code >= 0x10000 ? 0x80 | (code >> 12 & 63) : 0xe0 | code >> 12);
                text[size++] = (uint8_t)(0x80 | (code >> 6 & 63));
                text[size++] = (uint8_t)(0x80 | (code & 63));
            }
        }
        struct trillium_message message = {.message_id = 1, .content = {text, size}}, again;
        struct ndjson_error error;
        buffer_clear(&line);
        ndjson_encode(&message, &line);
        cr_assert(ndjson_decode(bytes_of(line.data, line.size - 1), &arena, &again, &error) == STATUS_OK);
        cr_expect(again.content.size == size && memcmp(again.content.data, text, size) == 0);
    }
    buffer_free(&line);
    arena_free(&arena);
}

Test(ndjson, we_and_jansson_accept_the_same_objects)
{
    static const char base[] = HEAD ",\"a\":[1,-0.5e+3,true,null,\"x\\n\\u00e9\\ud83d\\ude00\xc3\xa9\",{\"b\":{}}]}";
    static const char letters[] = "{}[]\",:\\u0123abtfn.eE+- \n\xc3\xa9\x80";
    struct prng prng = prng_seeded(7);
    struct arena arena = {0};
    unsigned accepted = 0;
    for (unsigned round = 0; round < 20000; round++) {
        char text[sizeof base];
        memcpy(text, base, sizeof base);
        for (uint64_t i = prng_between(&prng, 1, 3); i > 0; i--)
            text[prng_below(&prng, sizeof base - 1)] = letters[prng_below(&prng, sizeof letters - 1)];
        struct trillium_message message;
        struct ndjson_error error = {0};
        bool ours = decode(text, &arena, &message, &error) == STATUS_OK || error.field[0] != 0;
        json_error_t why;
        json_t *value = json_loads(text, JSON_ALLOW_NUL, &why);
        bool number = strstr(why.text, "real number overflow") || strstr(why.text, "too big");
        bool theirs = json_is_object(value);
        cr_assert(ours == theirs || (!theirs && number), "%s: we say %d %s, jansson %d %s", text, ours, error.problem,
            theirs, why.text);
        accepted += ours;
        json_decref(value);
        arena_reset(&arena);
    }
    cr_expect(accepted > 1000);
    arena_free(&arena);
}

Test(iso_time, times_are_those_of_the_c_library)
{
    struct prng prng = prng_seeded(1);
    for (unsigned i = 0; i < 20000; i++) {
        int64_t ms = (int64_t)prng_below(&prng, 315569520000000ull) - 62167219200000ll, parsed;
        char ours[ISO_TIME_BYTES], theirs[64];
        cr_assert(iso_time_print(ms, ours));
        time_t seconds = (time_t)((ms - (ms % 1000 + 1000) % 1000) / 1000);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        snprintf(theirs, sizeof theirs, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
            tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)((ms % 1000 + 1000) % 1000));
        cr_assert_str_eq(ours, theirs);
        cr_assert(iso_time_parse(bytes_text(ours), &parsed) && parsed == ms);
    }
    char out[ISO_TIME_BYTES];
    cr_expect(!iso_time_print(253402300800000ll, out) && !iso_time_print(-62167219200001ll, out));
}

Test(iso_time, nonsense_is_refused)
{
    static const char *const texts[] = {"", "2015", "2015-01-01", "2015-02-29T00:00:00Z", "2015-01-01T24:00:00Z",
        "2015-01-01T00:00:00", "2015-01-01T00:00:00.Z", "2015-01-01T00:00:00Zx", "2015-13-01T00:00:00Z",
        "2015-01-01T00:00:00+24:00", "-015-01-01T00:00:00Z"};
    int64_t ms;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_expect(!iso_time_parse(bytes_text(texts[i]), &ms), "%s", texts[i]);
    cr_expect(iso_time_parse(bytes_text("2016-02-29 12:00:00.5-0130"), &ms) && ms == 1456752600500);
}
