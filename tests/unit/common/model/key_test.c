#include "common/model/key.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "common/model/token.h"
#include "tests/unit/common/model/random.h"

Test(key, golden_message_key)
{
    uint8_t key[KEY_MESSAGE_BYTES], space[32];
    key_message(42, 0x0123456789abcdef, key);
    /* token 8623491988607824794, sign flipped | channel, sign flipped | complement of the id */
    struct bytes expected = from_hex("f7accc464065739a 800000000000002a fedcba9876543210", space, sizeof space);
    cr_assert(bytes_equal(bytes_of(key, sizeof key), expected));
}

Test(key, of_a_message_sorts_newest_first_within_its_channel)
{
    static const uint64_t ids[] = {UINT64_MAX, UINT64_C(1) << 63, INT64_MAX, 256, 255, 1, 0};
    uint8_t before[KEY_MESSAGE_BYTES], after[KEY_MESSAGE_BYTES], prefix[KEY_CHANNEL_BYTES];
    uint64_t channel, id;
    key_channel(7, prefix);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        key_message(7, ids[i], after);
        cr_assert_eq(memcmp(after, prefix, sizeof prefix), 0);
        cr_assert(key_message_parse(bytes_of(after, sizeof after), &channel, &id));
        cr_assert(channel == 7 && id == ids[i]);
        if (i > 0) cr_assert_lt(memcmp(before, after, sizeof after), 0);
        memcpy(before, after, sizeof after);
    }
    after[0] ^= 1;
    cr_assert_not(key_message_parse(bytes_of(after, sizeof after), &channel, &id));
    cr_assert_not(key_message_parse(bytes_of(before, sizeof before - 1), &channel, &id));
}

Test(key, of_a_message_is_what_the_table_says)
{
    uint8_t direct[KEY_MESSAGE_BYTES], general[64], channel[8], id[8];
    struct bytes partition = value_of_int(TYPE_BIGINT, -5, channel), clustering = value_of_int(TYPE_BIGINT, 99, id);
    struct writer out = writer_of(general, sizeof general);
    cr_assert_eq(key_encode_partition(&CHAT_MESSAGES, &partition, &out), STATUS_OK);
    cr_assert_eq(key_encode_clustering(&CHAT_MESSAGES, &clustering, 1, &out), STATUS_OK);
    key_message((uint64_t)-5, 99, direct);
    cr_assert(bytes_equal(writer_bytes(&out), bytes_of(direct, sizeof direct)));
}

/* Orders as Cassandra's types do, written apart from the encoder. */

static int sign_of(double a, double b)
{
    return a < b ? -1 : a > b;
}

static double load_float(enum column_type type, struct bytes value)
{
    if (type == TYPE_FLOAT) {
        uint32_t bits;
        float number;
        memcpy(&bits, value.data, 4);
        bits = __builtin_bswap32(bits);
        memcpy(&number, &bits, 4);
        return number;
    }
    uint64_t bits;
    double number;
    memcpy(&bits, value.data, 8);
    bits = __builtin_bswap64(bits);
    memcpy(&number, &bits, 8);
    return number;
}

static int compare_floats(double a, double b)
{
    if (a != a || b != b) return (a != a) - (b != b);
    if (a == 0 && b == 0) return (__builtin_signbit(b) != 0) - (__builtin_signbit(a) != 0);
    return sign_of(a, b);
}

static int compare_uuids(const uint8_t *a, const uint8_t *b)
{
    static const uint8_t by_time[8] = {6, 7, 4, 5, 0, 1, 2, 3};
    int version_a = a[6] >> 4, version_b = b[6] >> 4;
    if (version_a != version_b) return version_a < version_b ? -1 : 1;
    for (int i = 0; i < 16; i++) {
        int at = i < 8 && version_a == 1 ? by_time[i] : i;
        if (a[at] != b[at]) return a[at] < b[at] ? -1 : 1;
    }
    return 0;
}

static int compare_values(enum column_type type, struct bytes a, struct bytes b)
{
    if (type == TYPE_TEXT || type == TYPE_BLOB) return bytes_compare(a, b);
    if (type == TYPE_UUID) return compare_uuids(a.data, b.data);
    if (type == TYPE_FLOAT || type == TYPE_DOUBLE) return compare_floats(load_float(type, a), load_float(type, b));
    int64_t x = value_to_int(type, a), y = value_to_int(type, b);
    return x < y ? -1 : x > y;
}

static int signum(int order)
{
    return (order > 0) - (order < 0);
}

Test(key, every_type_sorts_as_cassandra_sorts_it)
{
    struct prng prng = prng_seeded(5);
    for (enum column_type type = TYPE_BIGINT; type < TYPES_END; type++)
        for (int i = 0; i < 4000; i++) {
            uint8_t space_a[64], space_b[64], key_a[128], key_b[128];
            struct bytes a = random_value(&prng, type, space_a), b = random_value(&prng, type, space_b);
            if (i % 4 == 0 && type != TYPE_TEXT && type != TYPE_BLOB && type != TYPE_BOOLEAN) {
                memcpy(space_b, space_a, a.size); /* neighbours: one byte differs */
                space_b[prng_below(&prng, a.size)] ^= (uint8_t)(1 << prng_below(&prng, 8));
            }
            struct writer out_a = writer_of(key_a, sizeof key_a), out_b = writer_of(key_b, sizeof key_b);
            key_write_value(type, ROLE_NONE, a, &out_a);
            key_write_value(type, ROLE_NONE, b, &out_b);
            cr_assert(writer_ok(&out_a) && writer_ok(&out_b));
            int order = bytes_compare(writer_bytes(&out_a), writer_bytes(&out_b));
            cr_assert_eq(signum(order), signum(compare_values(type, a, b)), "%s", column_type_name(type));
        }
}

static struct table table_of_all_types(void)
{
    struct table table = {.id = {7}, .kind = TABLE_ORDINARY, .name = "test.all", .version = 1};
    static const enum column_type partition[] = {TYPE_BIGINT, TYPE_TEXT, TYPE_UUID};
    static const enum column_type clustering[] = {
        TYPE_TEXT, TYPE_INT, TYPE_BLOB, TYPE_DOUBLE, TYPE_BOOLEAN, TYPE_FLOAT, TYPE_TIMESTAMP, TYPE_SMALLINT};
    for (unsigned i = 0; i < 3; i++) {
        table.partition[i].type = (uint8_t)partition[i];
        snprintf(table.partition[i].name, SCHEMA_NAME_BYTES, "p%u", i);
    }
    for (unsigned i = 0; i < 8; i++) {
        table.clustering[i].type = (uint8_t)clustering[i];
        table.clustering[i].descending = i % 2 == 0;
        snprintf(table.clustering[i].name, SCHEMA_NAME_BYTES, "c%u", i);
    }
    table.partition_count = 3;
    table.clustering_count = 8;
    cr_assert_eq(table_check(&table), STATUS_OK);
    return table;
}

struct random_key {
    uint8_t space[KEY_COLUMNS_MAX * 2][64];
    struct bytes partition[KEY_COLUMNS_MAX], clustering[KEY_COLUMNS_MAX];
    uint8_t bytes[KEY_BYTES_MAX];
    struct bytes key;
};

static bool is_nan(enum column_type type, struct bytes value)
{
    return (type == TYPE_FLOAT || type == TYPE_DOUBLE) && load_float(type, value) != load_float(type, value);
}

static void make_key(struct prng *prng, const struct table *table, struct random_key *out)
{
    for (unsigned i = 0; i < table->partition_count; i++)
        out->partition[i] = random_value(prng, table->partition[i].type, out->space[i]);
    for (unsigned i = 0; i < table->clustering_count; i++)
        do
            out->clustering[i] = random_value(prng, table->clustering[i].type, out->space[KEY_COLUMNS_MAX + i]);
        while (is_nan(table->clustering[i].type, out->clustering[i]));
    struct writer writer = writer_of(out->bytes, sizeof out->bytes);
    cr_assert_eq(key_encode_partition(table, out->partition, &writer), STATUS_OK);
    cr_assert_eq(key_encode_clustering(table, out->clustering, table->clustering_count, &writer), STATUS_OK);
    out->key = writer_bytes(&writer);
}

Test(key, of_many_columns_comes_back)
{
    struct table table = table_of_all_types();
    struct prng prng = prng_seeded(6);
    struct arena arena = {0};
    for (int i = 0; i < 3000; i++) {
        struct random_key key;
        struct key_values values;
        make_key(&prng, &table, &key);
        cr_assert_eq(key_decode(&table, key.key, &arena, &values), STATUS_OK);
        cr_assert_eq(values.clustering_count, table.clustering_count);
        for (unsigned k = 0; k < table.partition_count; k++)
            cr_assert(bytes_equal(values.partition[k], key.partition[k]));
        for (unsigned k = 0; k < table.clustering_count; k++)
            cr_assert(bytes_equal(values.clustering[k], key.clustering[k]));
        key.bytes[prng_below(&prng, key.key.size)] ^= (uint8_t)(1 + prng_below(&prng, 255));
        if (key_decode(&table, key.key, &arena, &values) == STATUS_OK)
            cr_assert_eq(values.token, token_read(key.bytes));
        arena_reset(&arena);
    }
    arena_free(&arena);
}

Test(key, of_many_columns_sorts_column_by_column)
{
    struct table table = table_of_all_types();
    struct prng prng = prng_seeded(7);
    for (int i = 0; i < 5000; i++) {
        struct random_key a, b;
        make_key(&prng, &table, &a);
        make_key(&prng, &table, &b);
        unsigned same = (unsigned)prng_below(&prng, table.clustering_count + 1);
        for (unsigned k = 0; k < table.partition_count; k++)
            b.partition[k] = a.partition[k];
        for (unsigned k = 0; k < same; k++)
            b.clustering[k] = a.clustering[k];
        struct writer writer = writer_of(b.bytes, sizeof b.bytes);
        cr_assert_eq(key_encode_partition(&table, b.partition, &writer), STATUS_OK);
        cr_assert_eq(key_encode_clustering(&table, b.clustering, table.clustering_count, &writer), STATUS_OK);
        int expected = 0;
        for (unsigned k = 0; k < table.clustering_count && expected == 0; k++) {
            expected = compare_values(table.clustering[k].type, a.clustering[k], b.clustering[k]);
            if (table.clustering[k].descending) expected = -expected;
        }
        cr_assert_eq(signum(bytes_compare(a.key, writer_bytes(&writer))), signum(expected));
    }
}

Test(key, the_serialised_partition_key_is_cassandras)
{
    struct table table = table_of_all_types();
    uint8_t space[128], expected[128], number[8];
    struct bytes values[3] = {value_of_int(TYPE_BIGINT, 1, number), bytes_text("ab"), bytes_of("0123456789abcdef", 16)};
    struct writer out = writer_of(space, sizeof space);
    cr_assert_eq(key_partition_serialise(&table, values, &out), STATUS_OK);
    cr_assert(bytes_equal(
        writer_bytes(&out), from_hex("0008 0000000000000001 00 0002 6162 00 0010 30313233343536373839616263646566 00",
                                expected, sizeof expected)));
    out = writer_of(space, sizeof space);
    cr_assert_eq(key_partition_serialise(&CHAT_MESSAGES, values, &out), STATUS_OK);
    cr_assert(bytes_equal(writer_bytes(&out), values[0]));
}

Test(key, that_is_too_long_is_refused)
{
    struct table table = table_of_all_types();
    static uint8_t text[KEY_BYTES_MAX * 2], space[KEY_BYTES_MAX * 4];
    memset(text, 'x', sizeof text);
    uint8_t number[8];
    struct bytes values[3] = {
        value_of_int(TYPE_BIGINT, 1, number), bytes_of(text, sizeof text), bytes_of("0123456789abcdef", 16)};
    struct writer out = writer_of(space, sizeof space);
    cr_assert_eq(key_encode_partition(&table, values, &out), STATUS_TOO_BIG);
    values[1].size = 5;
    out = writer_of(space, sizeof space);
    cr_assert_eq(key_encode_partition(&table, values, &out), STATUS_OK);
    cr_assert_eq(key_encode_clustering(&table, (struct bytes[]){bytes_of(text, sizeof text)}, 1, &out), STATUS_TOO_BIG);
}
