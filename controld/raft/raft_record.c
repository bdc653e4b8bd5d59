#include "controld/raft/raft_record.h"

#include "common/base/check.h"
#include "common/base/mem.h"

/* Little-endian, fixed widths: u8 kind, then by kind
     ENTRY          u8 entry kind, u64 index, u64 term, data to the end
     HARD_STATE     u64 term, u64 vote, u64 commit
     TRUNCATE       u64 index
     SNAPSHOT_MARK  u8 reset, u64 index, u64 term                                                                   */

void raft_record_encode(const struct raft_record *record, struct buffer *out)
{
    uint8_t header[RAFT_RECORD_HEADER_BYTES_MAX];
    struct writer writer = writer_of(header, sizeof header);
    write_u8(&writer, (uint8_t)record->kind);
    switch (record->kind) {
    case RAFT_RECORD_ENTRY:
        CHECK(record->data.size <= RAFT_ENTRY_BYTES_MAX);
        write_u8(&writer, (uint8_t)record->entry_kind);
        write_u64(&writer, record->index);
        write_u64(&writer, record->term);
        break;
    case RAFT_RECORD_HARD_STATE:
        write_u64(&writer, record->hard.term);
        write_u64(&writer, record->hard.vote);
        write_u64(&writer, record->hard.commit);
        break;
    case RAFT_RECORD_TRUNCATE:
        write_u64(&writer, record->index);
        break;
    case RAFT_RECORD_SNAPSHOT_MARK:
        write_u8(&writer, record->reset);
        write_u64(&writer, record->index);
        write_u64(&writer, record->term);
        break;
    }
    CHECK(writer_ok(&writer));
    buffer_append(out, header, writer_size(&writer));
    if (record->kind == RAFT_RECORD_ENTRY && record->data.size > 0)
        buffer_append(out, record->data.data, record->data.size);
}

static bool decode_body(struct reader *reader, struct raft_record *record)
{
    uint8_t byte;
    switch (record->kind) {
    case RAFT_RECORD_ENTRY:
        byte = read_u8(reader);
        record->entry_kind = byte;
        record->index = read_u64(reader);
        record->term = read_u64(reader);
        record->data = read_bytes(reader, reader_left(reader));
        return raft_entry_kind_known(byte) && record->index != 0 && record->term != 0 &&
               record->data.size <= RAFT_ENTRY_BYTES_MAX;
    case RAFT_RECORD_HARD_STATE:
        record->hard.term = read_u64(reader);
        record->hard.vote = read_u64(reader);
        record->hard.commit = read_u64(reader);
        return true;
    case RAFT_RECORD_TRUNCATE:
        record->index = read_u64(reader);
        return true;
    case RAFT_RECORD_SNAPSHOT_MARK:
        byte = read_u8(reader);
        record->reset = byte == 1;
        record->index = read_u64(reader);
        record->term = read_u64(reader);
        return byte <= 1 && record->index != 0 && record->term != 0;
    }
    return false;
}

enum status raft_record_decode(struct bytes bytes, struct raft_record *out)
{
    struct reader reader = reader_of(bytes);
    struct raft_record record = {.kind = read_u8(&reader)};
    if (!reader_ok(&reader) || !decode_body(&reader, &record) || !reader_done(&reader)) return STATUS_CORRUPT;
    *out = record;
    return STATUS_OK;
}

bool raft_write_next(const struct raft_write *write, uint32_t *position, struct raft_record *out)
{
    /* Positions: the hard state (an entry of a term must not be on disk before the term), the mark, the cut, entries.
     */
    while (*position < write->entries_count + 3) {
        uint32_t at = (*position)++;
        *out = (struct raft_record){0};
        if (at == 0 && write->has_hard) {
            out->kind = RAFT_RECORD_HARD_STATE;
            out->hard = write->hard;
            return true;
        }
        if (at == 1 && write->install) {
            out->kind = RAFT_RECORD_SNAPSHOT_MARK;
            out->reset = true;
            out->index = write->snapshot.index;
            out->term = write->snapshot.term;
            return true;
        }
        if (at == 2 && write->truncate) {
            out->kind = RAFT_RECORD_TRUNCATE;
            out->index = write->truncate_after;
            return true;
        }
        if (at >= 3) {
            const struct raft_entry *entry = write->entries[at - 3];
            out->kind = RAFT_RECORD_ENTRY;
            out->entry_kind = entry->kind;
            out->index = entry->index;
            out->term = entry->term;
            out->data = raft_entry_data(entry);
            return true;
        }
    }
    return false;
}

/* ---- Replay ---- */

static uint64_t last_of(const struct raft_replay *replay)
{
    return replay->entries[replay->entries_count - 1]->index;
}

static void drop_after(struct raft_replay *replay, uint64_t index)
{
    while (replay->entries_count > 0 && last_of(replay) > index)
        raft_entry_unref(replay->entries[--replay->entries_count]);
}

static enum status replay_entry(struct raft_replay *replay, const struct raft_record *record)
{
    /* After the front of the log was removed the first entry has any index; raft_create sees whether a mark fits. */
    if (replay->entries_count > 0) {
        const struct raft_entry *last = replay->entries[replay->entries_count - 1];
        if (record->index != last->index + 1 || record->term < last->term) return STATUS_CORRUPT;
    }
    if (replay->entries_count == replay->entries_capacity) {
        replay->entries_capacity = replay->entries_capacity ? replay->entries_capacity * 2 : 64;
        replay->entries = mem_realloc(replay->entries, replay->entries_capacity * sizeof(*replay->entries));
    }
    replay->entries[replay->entries_count++] =
        raft_entry_create(record->term, record->index, record->entry_kind, record->data);
    return STATUS_OK;
}

static enum status replay_mark(struct raft_replay *replay, const struct raft_record *record)
{
    if (record->index < replay->snapshot.index) return STATUS_CORRUPT;
    if (record->reset) drop_after(replay, 0);
    if (replay->entries_count > 0) {
        if (record->index > last_of(replay)) return STATUS_CORRUPT;
        uint64_t first = replay->entries[0]->index;
        if (record->index >= first && replay->entries[record->index - first]->term != record->term)
            return STATUS_CORRUPT;
    }
    replay->snapshot = (struct raft_snapshot){record->index, record->term};
    return STATUS_OK;
}

enum status raft_replay_record(struct raft_replay *replay, struct bytes bytes)
{
    struct raft_record record;
    enum status status = raft_record_decode(bytes, &record);
    if (status != STATUS_OK) return status;
    switch (record.kind) {
    case RAFT_RECORD_ENTRY:
        return replay_entry(replay, &record);
    case RAFT_RECORD_HARD_STATE:
        if (record.hard.term < replay->hard.term) return STATUS_CORRUPT;
        replay->hard = record.hard;
        return STATUS_OK;
    case RAFT_RECORD_TRUNCATE:
        if (record.index < replay->snapshot.index) return STATUS_CORRUPT;
        drop_after(replay, record.index);
        return STATUS_OK;
    case RAFT_RECORD_SNAPSHOT_MARK:
        return replay_mark(replay, &record);
    }
    return STATUS_CORRUPT;
}

struct raft_boot raft_replay_boot(const struct raft_replay *replay, uint64_t applied)
{
    return (struct raft_boot){
        .hard = replay->hard,
        .snapshot = replay->snapshot,
        .entries = replay->entries,
        .entries_count = replay->entries_count,
        .applied = applied,
    };
}

void raft_replay_free(struct raft_replay *replay)
{
    drop_after(replay, 0);
    mem_free(replay->entries);
    *replay = (struct raft_replay){0};
}
