#include <criterion/criterion.h>
#include <stdio.h>

#include "noded/replica/replica.h"

static void expect_hex(struct bytes head, struct bytes body, const char *hex)
{
    char text[512];
    size_t at = 0;
    for (size_t i = 0; i < head.size + body.size; i++) {
        uint8_t byte = i < head.size ? head.data[i] : body.data[i - head.size];
        at += (size_t)snprintf(text + at, sizeof text - at, "%02x", byte);
    }
    cr_assert_str_eq(text, hex);
}

static void encode_and_decode(const struct record *record, const char *hex)
{
    uint8_t head[RECORD_HEAD_BYTES_MAX], payload[512];
    struct bytes encoded = record_encode_head(record, head);
    expect_hex(encoded, record->body, hex);
    memcpy(payload, encoded.data, encoded.size);
    if (record->body.size) memcpy(payload + encoded.size, record->body.data, record->body.size);
    struct record read;
    struct bytes whole = bytes_of(payload, encoded.size + record->body.size);
    cr_assert_eq(record_decode(record->kind, whole, &read), STATUS_OK);
    cr_assert_eq(read.range.value, record->range.value);
    cr_assert_eq(read.table.value, record->table.value);
    cr_assert(bytes_equal(read.partition, record->partition) && bytes_equal(read.body, record->body));
    cr_assert_eq(read.stamp, record->stamp);
    if (record->kind == RECORD_ROW || record->kind == RECORD_SPAN)
        cr_assert(read.lo == record->lo && read.hi == record->hi);
}

Test(record, kinds_have_the_bytes_that_the_format_page_says)
{
    struct bytes partition = bytes_text("PART"), body = bytes_text("body");
    encode_and_decode(&(struct record){.kind = RECORD_ROW,
                          .range = {0x0102},
                          .table = {1},
                          .partition = partition,
                          .lo = 0x11,
                          .hi = 0x11,
                          .body = body},
        "0201000000000000"
        "01"
        "0450415254"
        "1100000000000000"
        "626f6479");
    encode_and_decode(&(struct record){.kind = RECORD_SPAN,
                          .range = {7},
                          .table = {300},
                          .partition = partition,
                          .lo = 1,
                          .hi = 0xff,
                          .stamp = -3},
        "0700000000000000"
        "ac02"
        "0450415254"
        "0100000000000000"
        "ff00000000000000"
        "05");
    encode_and_decode(
        &(struct record){.kind = RECORD_PAGE, .range = {7}, .table = {1}, .partition = partition, .body = body},
        "0700000000000000"
        "01"
        "0450415254"
        "626f6479");
    encode_and_decode(&(struct record){.kind = RECORD_STATE, .range = {7}, .body = body}, "0700000000000000"
                                                                                          "626f6479");
}

Test(record, malformed_payloads_are_corrupt)
{
    static const uint8_t row[] = {7, 0, 0, 0, 0, 0, 0, 0, 1, 2, 'a', 'b', 1, 0, 0, 0, 0, 0, 0, 0, 'r'};
    struct record record;
    cr_assert_eq(record_decode(RECORD_ROW, bytes_of(row, sizeof row), &record), STATUS_OK);
    for (size_t size = 0; size < sizeof row; size++)
        cr_assert_eq(record_decode(RECORD_ROW, bytes_of(row, size), &record), STATUS_CORRUPT, "%zu bytes", size);
    cr_assert_eq(record_decode(0, bytes_of(row, sizeof row), &record), STATUS_CORRUPT);
    cr_assert_eq(record_decode(6, bytes_of(row, sizeof row), &record), STATUS_CORRUPT);
}

Test(record, what_is_closed_reads_back)
{
    struct span_set spans = {0};
    uint64_t ids[] = {3, UINT64_MAX};
    struct buffer body = {0};
    struct closed closed;
    span_set_add(&spans, (struct span){5, 9, 0, false});
    closed_encode(ids, 2, &spans, &body);
    cr_assert_eq(closed_decode(buffer_bytes(&body), &closed), STATUS_OK);
    cr_assert(closed.ids_count == 2 && closed_id(&closed, 0) == 3 && closed_id(&closed, 1) == UINT64_MAX);
    cr_assert(span_set_equal(&spans, &closed.spans));
    closed_free(&closed);
    for (size_t size = 0; size < body.size; size++)
        cr_assert_eq(closed_decode(bytes_of(body.data, size), &closed), STATUS_CORRUPT);
    span_set_free(&spans);
    buffer_free(&body);
}

Test(replica, its_state_only_grows)
{
    struct replica replica = {0}, other = {0};
    struct buffer older = {0}, newer = {0}, lapsed = {0};
    struct view_range record = {.id = {7},
        .table = {1},
        .replicas_count = 1,
        .replicas = {{1}},
        .lo = 0,
        .hi = 100,
        .epoch = 3,
        .horizon_ms = HORIZON_NONE};
    replica.record = record;
    replica_state_encode(&replica, &older);
    replica.record.epoch = 4;
    replica_state_encode(&replica, &newer);
    cr_assert_eq(replica_state_take(&other, buffer_bytes(&newer)), STATUS_OK);
    cr_assert_eq(replica_state_take(&other, buffer_bytes(&older)), STATUS_OK);
    cr_assert(other.record.epoch == 4 && !other.lapsed);
    struct replica nobody = {.lapsed = true};
    replica_state_encode(&nobody, &lapsed);
    cr_assert_eq(replica_state_take(&other, buffer_bytes(&lapsed)), STATUS_OK);
    cr_assert(other.record.epoch == 4 && other.lapsed);
    cr_assert_eq(replica_state_take(&other, buffer_bytes(&older)), STATUS_OK);
    cr_assert(other.lapsed);
    for (size_t size = 0; size < newer.size; size++)
        cr_assert_eq(replica_state_take(&other, bytes_of(newer.data, size)), STATUS_CORRUPT);
    record.horizon_ms = 5;
    cr_assert(!replica_would_adopt(&other, &record), "a higher horizon of an older epoch");
    record.epoch = 4;
    cr_assert(replica_would_adopt(&other, &record));
    buffer_free(&older);
    buffer_free(&newer);
    buffer_free(&lapsed);
}

/* A range of three replicas, of which this is node 2. */
static struct replica of_three(uint64_t lapsed_at, uint64_t rebuilt_at)
{
    struct replica replica = {.self = {2},
        .record = {.id = {7},
            .table = {1},
            .replicas_count = 3,
            .replicas = {{1}, {2}, {3}},
            .lo = 0,
            .hi = 100,
            .epoch = 9,
            .horizon_ms = HORIZON_NONE}};
    replica.record.lapsed_at[1] = lapsed_at;
    replica.record.rebuilt_at[1] = rebuilt_at;
    return replica;
}

static void expect_health(struct replica replica, enum replica_health health, bool reads, bool writes)
{
    replica_judge_health(&replica);
    cr_expect_eq(replica.health, health);
    cr_expect_eq(replica_admit(&replica, 9, REPLICA_READS), reads ? STATUS_OK : STATUS_UNAVAILABLE);
    cr_expect_eq(replica_admit(&replica, 9, REPLICA_WRITES), writes ? STATUS_OK : STATUS_UNAVAILABLE);
}

Test(replica, answers_what_its_health_allows)
{
    struct replica replica = of_three(0, 0);
    expect_health(replica, REPLICA_WHOLE, true, true);
    replica.lapsed = true;
    expect_health(replica, REPLICA_LAPSED, false, false);
    replica = of_three(8, 0);
    expect_health(replica, REPLICA_DOOMED, false, false);
    replica.lapsed = true;
    expect_health(replica, REPLICA_DOOMED, false, false);
    replica = of_three(8, 0);
    replica.cleared_at = 8;
    expect_health(replica, REPLICA_REBUILDING, false, true);
    replica.lapsed = true; /* again, within the rebuild */
    expect_health(replica, REPLICA_LAPSED, false, false);
    replica = of_three(8, 9);
    replica.cleared_at = 8;
    expect_health(replica, REPLICA_WHOLE, true, true);
    replica.clearing = true;
    expect_health(replica, REPLICA_WHOLE, false, false);
    replica = of_three(8, 0);
    replica.state_lost = true;
    expect_health(replica, REPLICA_LAPSED, false, false);
}

Test(replica, a_later_lapse_replaces_what_an_earlier_one_left)
{
    struct replica first = of_three(8, 0), second = of_three(8, 0), taken = {0};
    struct buffer lapsed = {0}, cleared = {0}, further = {0};
    first.lapsed = true;
    replica_state_encode(&first, &lapsed);
    second.cleared_at = 8;
    replica_state_encode(&second, &cleared);
    copy_position_set(&second.copied, bytes_text("0123456789abcdef"), 77);
    replica_state_encode(&second, &further);
    cr_assert_eq(replica_state_take(&taken, buffer_bytes(&lapsed)), STATUS_OK);
    cr_expect(taken.lapsed && taken.health == REPLICA_DOOMED && taken.self.value == 2);
    cr_assert_eq(replica_state_take(&taken, buffer_bytes(&further)), STATUS_OK);
    cr_expect(!taken.lapsed && taken.health == REPLICA_REBUILDING && taken.copied.hi == 77);
    cr_assert_eq(replica_state_take(&taken, buffer_bytes(&cleared)), STATUS_OK);
    cr_expect_eq(taken.copied.hi, 77, "a position never goes back");
    cr_assert_eq(replica_state_take(&taken, buffer_bytes(&lapsed)), STATUS_OK);
    cr_expect(!taken.lapsed, "that lapse is over");
    copy_position_free(&taken.copied);
    copy_position_free(&second.copied);
    buffer_free(&lapsed);
    buffer_free(&cleared);
    buffer_free(&further);
}

Test(replica, owns_the_tokens_of_its_range)
{
    struct replica replica = {.record = {.lo = INT64_MIN, .hi = -1, .epoch = 1}};
    uint8_t partition[12] = {0};
    cr_assert(replica_owns(&replica, bytes_of(partition, sizeof partition)), "the first token of all");
    partition[0] = 0x80;
    cr_assert(!replica_owns(&replica, bytes_of(partition, sizeof partition)), "token 0");
    partition[0] = 0x7f;
    cr_assert(replica_owns(&replica, bytes_of(partition, sizeof partition)));
    cr_assert(!replica_owns(&replica, bytes_of(partition, 8)), "no partition key");
    replica.record.lo = INT64_MIN + 1;
    memset(partition, 0, sizeof partition);
    cr_assert(!replica_owns(&replica, bytes_of(partition, sizeof partition)));
}
