#include "controld/raft/raft_record.h"

#include <criterion/criterion.h>

#include "common/base/prng.h"

static enum status replay(struct raft_replay *into, const struct raft_record *record)
{
    struct buffer buffer = {0};
    raft_record_encode(record, &buffer);
    enum status status = raft_replay_record(into, buffer_bytes(&buffer));
    buffer_free(&buffer);
    return status;
}

static struct raft_record entry(uint64_t index, uint64_t term)
{
    return (struct raft_record){.kind = RAFT_RECORD_ENTRY,
        .entry_kind = RAFT_ENTRY_NORMAL,
        .index = index,
        .term = term,
        .data = bytes_text("x")};
}

static struct raft_record mark(uint64_t index, uint64_t term, bool reset)
{
    return (struct raft_record){.kind = RAFT_RECORD_SNAPSHOT_MARK, .index = index, .term = term, .reset = reset};
}

static struct raft_record cut(uint64_t index)
{
    return (struct raft_record){.kind = RAFT_RECORD_TRUNCATE, .index = index};
}

#define REPLAY(into, record) cr_assert_eq(replay(&(into), &(struct raft_record[]){record}[0]), STATUS_OK)
#define REFUSE(into, record) cr_assert_eq(replay(&(into), &(struct raft_record[]){record}[0]), STATUS_CORRUPT)

Test(raft_record, records_have_the_documented_bytes)
{
    struct buffer buffer = {0};
    struct raft_record record = {.kind = RAFT_RECORD_ENTRY,
        .entry_kind = RAFT_ENTRY_NORMAL,
        .index = 0x0102,
        .term = 3,
        .data = bytes_text("hi")};
    raft_record_encode(&record, &buffer);
    static const uint8_t entry_bytes[] = {1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 'h', 'i'};
    cr_assert(bytes_equal(buffer_bytes(&buffer), bytes_of(entry_bytes, sizeof entry_bytes)));
    buffer_clear(&buffer);
    record = (struct raft_record){.kind = RAFT_RECORD_HARD_STATE, .hard = {5, 2, 9}};
    raft_record_encode(&record, &buffer);
    static const uint8_t hard_bytes[] = {2, 5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0};
    cr_assert(bytes_equal(buffer_bytes(&buffer), bytes_of(hard_bytes, sizeof hard_bytes)));
    buffer_clear(&buffer);
    record = cut(7);
    raft_record_encode(&record, &buffer);
    cr_assert(bytes_equal(buffer_bytes(&buffer), bytes_of("\3\7\0\0\0\0\0\0\0", 9)));
    buffer_clear(&buffer);
    record = mark(7, 4, true);
    raft_record_encode(&record, &buffer);
    cr_assert(bytes_equal(buffer_bytes(&buffer), bytes_of("\4\1\7\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0", 18)));
    buffer_free(&buffer);
}

Test(raft_record, every_record_comes_back_as_written)
{
    struct raft_record records[] = {entry(1, 1), cut(3), mark(9, 2, false), mark(9, 2, true),
        {.kind = RAFT_RECORD_HARD_STATE, .hard = {UINT64_MAX, 1, 0}}};
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        struct buffer first = {0}, second = {0};
        raft_record_encode(&records[i], &first);
        struct raft_record decoded;
        cr_assert_eq(raft_record_decode(buffer_bytes(&first), &decoded), STATUS_OK);
        raft_record_encode(&decoded, &second);
        cr_assert(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
        for (size_t size = 0; size < first.size && records[i].kind != RAFT_RECORD_ENTRY; size++)
            cr_assert_eq(raft_record_decode(bytes_of(first.data, size), &decoded), STATUS_CORRUPT);
        buffer_free(&first);
        buffer_free(&second);
    }
}

Test(raft_record, damaged_bytes_are_refused_or_harmless)
{
    struct prng prng = prng_seeded(1);
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[40];
        size_t size = prng_below(&prng, sizeof bytes);
        prng_fill(&prng, bytes, size);
        if (size) bytes[0] %= 6;
        struct raft_replay into = {0};
        (void)!raft_replay_record(&into, bytes_of(bytes, size));
        raft_replay_free(&into);
    }
}

Test(raft_record, a_replay_leaves_the_log_as_it_was)
{
    struct raft_replay into = {0};
    REPLAY(into, ((struct raft_record){.kind = RAFT_RECORD_HARD_STATE, .hard = {2, 1, 0}}));
    REPLAY(into, entry(1, 1));
    REPLAY(into, entry(2, 1));
    REPLAY(into, entry(3, 1));
    REPLAY(into, cut(1));
    REPLAY(into, entry(2, 2));
    struct raft_boot boot = raft_replay_boot(&into, 0);
    cr_assert_eq(boot.entries_count, 2);
    cr_assert_eq(boot.entries[1]->term, 2);
    cr_assert_eq(boot.hard.term, 2);
    raft_replay_free(&into);
}

Test(raft_record, an_entry_that_is_not_the_next_is_refused)
{
    struct raft_replay into = {0};
    REPLAY(into, entry(1, 2));
    REFUSE(into, entry(3, 2));
    REFUSE(into, entry(1, 2));
    REFUSE(into, entry(2, 1));
    raft_replay_free(&into);
}

Test(raft_record, a_mark_from_the_leader_empties_the_log_and_ours_does_not)
{
    struct raft_replay into = {0};
    for (uint64_t index = 1; index <= 5; index++)
        REPLAY(into, entry(index, 1));
    REFUSE(into, mark(9, 1, false));
    REFUSE(into, mark(3, 2, false));
    REPLAY(into, mark(3, 1, false));
    cr_assert_eq(into.entries_count, 5);
    REFUSE(into, cut(2));
    REPLAY(into, mark(9, 2, true));
    cr_assert_eq(into.entries_count, 0);
    REPLAY(into, entry(10, 2));
    REFUSE(into, mark(8, 1, true));
    raft_replay_free(&into);
}

Test(raft_record, a_log_whose_front_was_removed_replays_when_a_mark_covers_it)
{
    struct raft_replay into = {0};
    REPLAY(into, cut(3));
    REPLAY(into, entry(7, 1));
    REPLAY(into, entry(8, 1));
    REPLAY(into, mark(7, 1, false));
    REPLAY(into, ((struct raft_record){.kind = RAFT_RECORD_HARD_STATE, .hard = {1, 0, 0}}));
    struct raft_options options = {.id = 1};
    quorum_add(&options.voters, 1);
    struct raft_boot boot = raft_replay_boot(&into, 0);
    struct raft *raft;
    cr_assert_eq(raft_create(&options, &boot, &raft), STATUS_OK);
    struct raft_status status;
    raft_status(raft, &status);
    cr_assert_eq(status.first, 8);
    cr_assert_eq(status.last, 8);
    cr_assert_eq(status.applied, 7);
    raft_destroy(raft);
    raft_replay_free(&into);
}
