/* records: the small files that are read as a whole: manifest, identity, view, snapshot. */
#include <string.h>

#include "common/base/hash.h"
#include "common/model/view.h"
#include "common/runtime/identity.h"
#include "controld/api/snapshots.h"
#include "msgctl/files/kinds.h"
#include "noded/lsm/manifest.h"

/* ---- manifest ---- */

static void tell_file(struct look *look, const struct sstable_info *info)
{
    tell_begin(look, "sstable");
    tell_id(look, "file_id", info->file_id);
    tell_number(look, "bytes", (int64_t)info->file_bytes);
    tell_number(look, "rows", (int64_t)info->rows);
    tell_number(look, "live", (int64_t)info->live);
    tell_number(look, "dead", (int64_t)info->dead);
    tell_number(look, "window", info->window);
    tell_text(look, "verified", info->verified ? "yes" : "no");
    tell_id(look, "id_min", info->id_min);
    tell_id(look, "id_max", info->id_max);
    tell_end(look);
}

enum status look_manifest(struct look *look)
{
    struct arena arena = {0};
    struct manifest manifest;
    uint64_t number, rows = 0;
    char why[MANIFEST_WHY_BYTES] = "";
    enum status status = manifest_decode(look->content, &look->report->header.cluster, &arena, &manifest, why);
    if (status != STATUS_OK) look_fails(look, status, "%s", why);
    if (status == STATUS_OK && manifest_name_parse(look->name, &number) && number != manifest.number)
        status = look_fails(
            look, STATUS_CONFLICT, "it is manifest %llu under another name", (unsigned long long)manifest.number);
    if (status == STATUS_OK) {
        tell_begin(look, "manifest");
        tell_id(look, "range", manifest.range);
        tell_id(look, "number", manifest.number);
        tell_bytes(look, "state", manifest.state);
        tell_end(look);
        for (uint32_t i = 0; i < manifest.flushed_count; i++) {
            tell_begin(look, "flushed");
            tell_number(look, "log", manifest.flushed[i].log);
            tell_id(look, "sequence", manifest.flushed[i].sequence);
            tell_end(look);
        }
        for (uint32_t i = 0; i < manifest.files_count; i++) {
            tell_file(look, &manifest.files[i]);
            rows += manifest.files[i].rows;
        }
        look_sums_up(look, "range %016llx: %u files with %llu rows", (unsigned long long)manifest.range,
            manifest.files_count, (unsigned long long)rows);
    }
    arena_free(&arena);
    return status;
}

/* ---- identity ---- */

enum status look_identity(struct look *look)
{
    struct identity identity, best = {.boot = 0};
    uint64_t generation, newest = 0;
    unsigned whole = 0;
    char why[IDENTITY_WHY_BYTES] = "";
    enum status status = STATUS_CORRUPT;
    for (size_t at = 0; at < 2 * (size_t)DISK_BLOCK_BYTES; at += DISK_BLOCK_BYTES) {
        if (look->content.size < at + DISK_BLOCK_BYTES) break;
        struct bytes copy = bytes_of(look->content.data + at, DISK_BLOCK_BYTES);
        enum status one = identity_decode(copy, NULL, &identity, &generation, why);
        if (one != STATUS_OK) {
            if (status == STATUS_CORRUPT) status = one;
            continue;
        }
        if (whole == 0 || generation > newest) {
            newest = generation;
            best = identity;
        }
        status = STATUS_OK;
        whole++;
    }
    if (status != STATUS_OK) return look_fails(look, status, "both copies are unreadable: %s", why);
    tell_begin(look, "identity");
    tell_uuid(look, "daemon", &best.daemon);
    tell_id(look, "boot", best.boot);
    tell_number(look, "mark", best.mark);
    tell_id(look, "generation", newest);
    tell_number(look, "whole_copies", whole);
    tell_end(look);
    look_sums_up(look, "started %llu times%s", (unsigned long long)best.boot,
        whole == 2 ? "" : "; one of its two copies is damaged, the next start writes it anew");
    return STATUS_OK;
}

/* ---- view ---- */

static void tell_view(struct look *look, const struct view *view)
{
    for (unsigned i = 0; i < view->nodes_count; i++) {
        tell_begin(look, "node");
        tell_number(look, "id", view->nodes[i].id.value);
        tell_text(look, "address", view->nodes[i].address);
        tell_text(look, "zone", view->nodes[i].zone);
        tell_number(look, "shards", view->nodes[i].shards);
        tell_uuid(look, "uuid", &view->nodes[i].uuid);
        tell_id(look, "boot", view->nodes[i].boot);
        tell_end(look);
    }
    for (unsigned i = 0; i < view->routers_count; i++) {
        tell_begin(look, "router");
        tell_number(look, "id", view->routers[i].id.value);
        tell_text(look, "address", view->routers[i].address);
        tell_end(look);
    }
    for (unsigned i = 0; i < view->ranges_count; i++) {
        const struct view_range *range = &view->ranges[i];
        tell_begin(look, "range");
        tell_id(look, "id", range->id.value);
        tell_number(look, "table", range->table.value);
        tell_number(look, "lo", range->lo);
        tell_number(look, "hi", range->hi);
        tell_id(look, "epoch", range->epoch);
        for (unsigned r = 0; r < range->replicas_count; r++)
            tell_number(look, "replica", range->replicas[r].value);
        tell_end(look);
    }
}

enum status look_view(struct look *look)
{
    if (look->content.size < FILE_HEADER_BYTES + sizeof(uint32_t)) return look_fails(look, STATUS_CORRUPT, "cut short");
    struct bytes body =
        bytes_of(look->content.data + FILE_HEADER_BYTES, look->content.size - FILE_HEADER_BYTES - sizeof(uint32_t));
    struct reader tail = reader_of(bytes_of(body.data + body.size, sizeof(uint32_t)));
    if (read_u32(&tail) != crc32c(0, body.data, body.size))
        return look_fails(look, STATUS_CORRUPT, "its checksum is wrong");
    struct arena arena = {0};
    struct view view;
    enum status status = view_decode(body, &arena, &view);
    if (status != STATUS_OK) {
        status = look_fails(look, STATUS_CORRUPT, "malformed, or of a newer version");
    } else {
        tell_begin(look, "view");
        tell_id(look, "version", view.version);
        tell_end(look);
        tell_view(look, &view);
        look_sums_up(look, "version %llu: %u nodes, %u routers, %u ranges", (unsigned long long)view.version,
            view.nodes_count, view.routers_count, view.ranges_count);
    }
    arena_free(&arena);
    return status;
}

/* ---- snapshot ---- */

enum status look_snapshot(struct look *look)
{
    struct raft_snapshot place;
    struct reader records;
    struct bytes key, value;
    uint64_t count = 0;
    char why[SNAPSHOT_WHY_BYTES] = "";
    enum status status = snapshot_check(look->content, &look->report->header.cluster, &place, &records, why);
    if (status != STATUS_OK) return look_fails(look, status, "%s", why);
    while (snapshot_next(&records, &key, &value)) {
        tell_begin(look, "record");
        tell_bytes(look, "key", key);
        tell_bytes(look, "value", value);
        tell_end(look);
        count++;
    }
    if (!reader_done(&records)) return look_fails(look, STATUS_CORRUPT, "its records are malformed");
    look_sums_up(look, "index %llu, term %llu, %llu records", (unsigned long long)place.index,
        (unsigned long long)place.term, (unsigned long long)count);
    return STATUS_OK;
}

/* ---- makers: a router's blocks of maker numbers ---- */

enum { MAKERS_MAJOR = 1, MAKERS_BLOCKS_MAX = 64 };

enum status look_makers(struct look *look)
{
    if (look->report->header.major > MAKERS_MAJOR)
        return look_fails(look, STATUS_CONFLICT, "makers format %u is newer than %d; run the newer program",
            look->report->header.major, MAKERS_MAJOR);
    if (look->content.size < FILE_HEADER_BYTES + 2 * sizeof(uint32_t))
        return look_fails(look, STATUS_CORRUPT, "cut short");
    struct bytes body =
        bytes_of(look->content.data + FILE_HEADER_BYTES, look->content.size - FILE_HEADER_BYTES - sizeof(uint32_t));
    struct reader reader = reader_of(body), tail = reader_of(bytes_of(body.data + body.size, sizeof(uint32_t)));
    uint32_t count = read_u32(&reader);
    if (read_u32(&tail) != crc32c(0, body.data, body.size))
        return look_fails(look, STATUS_CORRUPT, "its checksum is wrong");
    if (count > MAKERS_BLOCKS_MAX || count > reader_left(&reader) / sizeof(uint32_t))
        return look_fails(look, STATUS_CORRUPT, "it names %u blocks", count);
    for (uint32_t i = 0; i < count; i++) {
        tell_begin(look, "makers");
        tell_number(look, "block", read_u32(&reader));
        tell_end(look);
    }
    look_sums_up(look, "%u blocks of maker numbers", count);
    return STATUS_OK;
}
