/* log: segments of commit logs and of Raft logs (docs/formats/log.md, commit_log.md, raft_log.md). */
#include <stdio.h>

#include "common/model/page.h"
#include "common/wal/wal_format.h"
#include "controld/catalog/command.h"
#include "controld/raft/raft_record.h"
#include "msgctl/files/kinds.h"
#include "noded/replica/record.h"

struct segment {
    struct look *look;
    struct wal_segment_header header;
    bool is_raft;
    uint64_t groups, records, markers;
    uint64_t first, last; /* sequences of its records */
    uint64_t synced, released;
};

/* ---- what records say ---- */

static enum status tell_raft_record(struct look *look, struct bytes payload)
{
    static const char *const names[] = {"?", "entry", "hard_state", "truncate", "snapshot_mark"};
    struct raft_record record;
    enum status status = raft_record_decode(payload, &record);
    if (status != STATUS_OK) return status;
    tell_text(look, "raft", names[record.kind]);
    if (record.kind == RAFT_RECORD_HARD_STATE) {
        tell_id(look, "term", record.hard.term);
        tell_id(look, "vote", record.hard.vote);
        tell_id(look, "commit", record.hard.commit);
        return STATUS_OK;
    }
    tell_id(look, "index", record.index);
    if (record.kind != RAFT_RECORD_TRUNCATE) tell_id(look, "term", record.term);
    if (record.kind != RAFT_RECORD_ENTRY) return STATUS_OK;
    struct command command;
    if (record.entry_kind == RAFT_ENTRY_NORMAL && command_decode(record.data, &command) == STATUS_OK)
        tell_text(look, "command", command_kind_name(command.kind));
    tell_number(look, "data_bytes", (int64_t)record.data.size);
    return STATUS_OK;
}

static void tell_record_body(struct look *look, const struct record *record)
{
    if (record->kind == RECORD_ROW) {
        tell_id(look, "id", record->lo);
        (void)tell_row(look, record->body, &CHAT_MESSAGES);
    } else if (record->kind == RECORD_SPAN) {
        tell_id(look, "lo", record->lo);
        tell_id(look, "hi", record->hi);
        tell_number(look, "stamp_us", record->stamp);
    } else {
        tell_number(look, "body_bytes", (int64_t)record->body.size);
    }
}

static enum status judge_record_body(const struct record *record)
{
    struct row row;
    if (record->kind == RECORD_ROW) return row_decode(record->body, &row);
    if (record->kind == RECORD_PAGE) return page_check(record->body);
    return STATUS_OK;
}

static enum status tell_commit_record(struct look *look, uint8_t kind, struct bytes payload)
{
    static const char *const names[] = {"?", "row", "span", "page", "closed", "state"};
    struct record record;
    enum status status = record_decode(kind, payload, &record);
    if (status == STATUS_OK) status = judge_record_body(&record);
    if (status != STATUS_OK) return status;
    tell_text(look, "kind", names[record.kind]);
    tell_id(look, "range", record.range.value);
    if (record.kind != RECORD_STATE) tell_partition(look, record.partition);
    tell_record_body(look, &record);
    return STATUS_OK;
}

static enum status look_group(struct segment *segment, const struct wal_group *group, struct bytes data)
{
    struct look *look = segment->look;
    struct reader reader = reader_of(bytes_of(data.data + WAL_GROUP_HEADER_BYTES, group->length));
    uint64_t sequence = group->first;
    uint8_t kind;
    struct bytes payload;
    while (wal_record_decode(&reader, &kind, &payload)) {
        tell_begin(look, "record");
        tell_id(look, "sequence", sequence);
        enum status status =
            segment->is_raft ? tell_raft_record(look, payload) : tell_commit_record(look, kind, payload);
        tell_end(look);
        if (status != STATUS_OK)
            return look_fails(look, STATUS_CORRUPT, "record %llu, in block %u, is whole but means nothing (kind %u)",
                (unsigned long long)sequence, group->block, kind);
        sequence++;
        segment->records++;
    }
    return STATUS_OK;
}

/* ---- groups ---- */

static bool group_at(const struct segment *segment, uint32_t block, struct wal_group *group, struct bytes *data)
{
    const struct bytes content = segment->look->content;
    uint64_t at = (uint64_t)block * WAL_BLOCK_BYTES;
    struct wal_group place = {.log = segment->header.log, .segment = segment->header.segment, .block = block};
    if (at + WAL_GROUP_HEADER_BYTES > content.size) return false;
    if (!wal_group_decode(segment->header.seed, content.data + at, &place, group)) return false;
    *data = bytes_of(content.data + at, (size_t)(content.size - at));
    return true;
}

/* After the last whole group: the log ends here, unless a later group says that more was synced. */
static enum status judge_end(struct segment *segment, uint32_t block, uint64_t next)
{
    struct wal_group group;
    struct bytes data;
    bool torn = group_at(segment, block, &group, &data);
    for (uint32_t at = block; (uint64_t)at * WAL_BLOCK_BYTES < segment->look->content.size; at++) {
        if (!group_at(segment, at, &group, &data) || group.synced < next) continue;
        return look_fails(segment->look, STATUS_CORRUPT,
            "damaged at block %u (byte %llu): records %llu to %llu were synced and cannot be read", block,
            (unsigned long long)block * WAL_BLOCK_BYTES, (unsigned long long)next, (unsigned long long)group.synced);
    }
    look_sums_up(segment->look,
        "log %u segment %u: %llu records in %llu groups, %llu markers, sequences %llu to %llu, synced %llu, released "
        "%llu%s",
        segment->header.log, segment->header.segment, (unsigned long long)segment->records,
        (unsigned long long)segment->groups, (unsigned long long)segment->markers, (unsigned long long)segment->first,
        (unsigned long long)segment->last, (unsigned long long)segment->synced, (unsigned long long)segment->released,
        torn ? "; its tail is torn, which a crash may do" : "");
    return STATUS_OK;
}

static enum status walk(struct segment *segment)
{
    uint32_t block = 1;
    uint64_t next = 0;
    struct wal_group group;
    struct bytes data;
    while (group_at(segment, block, &group, &data)) {
        if (next && group.first != next) break;
        uint64_t bytes = wal_group_bytes(&group);
        if (bytes > data.size || !wal_group_is_whole(segment->header.seed, &group, data)) break;
        segment->groups += group.count > 0;
        segment->markers += group.count == 0;
        segment->synced = group.synced;
        segment->released = group.released;
        enum status status = look_group(segment, &group, data);
        if (status != STATUS_OK) return status;
        if (group.count > 0 && segment->first == 0) segment->first = group.first;
        next = group.first + group.count;
        if (group.count > 0) segment->last = next - 1;
        block += (uint32_t)(bytes / WAL_BLOCK_BYTES);
    }
    return judge_end(segment, block, next ? next : 1);
}

enum status look_log(struct look *look)
{
    struct segment segment = {.look = look, .is_raft = look_is_in(look, "raft")};
    uint8_t log;
    uint32_t number;
    bool unfinished;
    enum status status =
        wal_segment_decode(look->content, NULL, &segment.header, look->report->why, sizeof look->report->why);
    if (status != STATUS_OK) return status;
    if (!wal_name_parse(look->name, &log, &number, &unfinished)) return walk(&segment); /* a copy under another name */
    if (log != segment.header.log || (number != segment.header.segment && !unfinished))
        return look_fails(
            look, STATUS_CONFLICT, "its header says log %u segment %u", segment.header.log, segment.header.segment);
    return walk(&segment);
}
