#include "noded/lsm/compaction.h"

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/model/merge.h"
#include "common/runtime/disk.h"
#include "common/runtime/reactor.h"
#include "noded/lsm/sstable_writer.h"

enum {
    READ_BYTES = 128 << 10,   /* of one input at a time, single larger blocks excepted */
    BYTES_PER_TURN = 8 << 10, /* of rows: about 100 us of decoding, merging and encoding */
};

/* One file, read from front to back, past the cache. */
struct input {
    struct sstable *table;
    uint32_t partition; /* being merged, or the next one */
    uint8_t *bytes;     /* stored blocks [bytes_first, bytes_end) */
    uint32_t bytes_first, bytes_end;
    struct block *block; /* NULL: next_block is to be decoded */
    uint32_t next_block;
    uint32_t row, row_end; /* rows of the partition in the block */
};

struct merge {
    struct lsm *lsm;
    struct input *inputs;
    uint32_t inputs_count;
    struct sstable_writer *writer;
    struct buffer merged[2];
    uint32_t bytes; /* since the last turn */
};

static enum status read_ahead(struct lsm_store *store, struct input *input)
{
    struct sstable *table = input->table;
    uint32_t blocks = (uint32_t)sstable_info(table)->blocks, end = input->next_block + 1;
    uint64_t at = sstable_block_at(table, input->next_block);
    while (end < blocks && sstable_block_at(table, end + 1) - at <= READ_BYTES)
        end++;
    uint64_t size = sstable_block_at(table, end) - at;
    mem_free(input->bytes);
    input->bytes = mem_alloc(size);
    input->bytes_first = input->bytes_end = input->next_block;
    enum status status = disk_read(store->reactor, table->file, input->bytes, (uint32_t)size, at);
    if (status == STATUS_OK) input->bytes_end = end;
    return status;
}

static enum status load_block(struct lsm_store *store, struct input *input)
{
    struct sstable *table = input->table;
    enum status status = STATUS_OK;
    if (input->next_block < input->bytes_first || input->next_block >= input->bytes_end)
        status = read_ahead(store, input);
    for (unsigned tries = 0; status == STATUS_OK; tries++) {
        uint64_t base = sstable_block_at(table, input->bytes_first);
        uint64_t start = sstable_block_at(table, input->next_block) - base;
        uint64_t end = sstable_block_at(table, input->next_block + 1) - base;
        status = sstable_decode(table, input->next_block, bytes_of(input->bytes + start, end - start), &input->block);
        if (status == STATUS_OK || tries > 0) break;
        status = read_ahead(store, input); /* once more: a fault on the way is not yet damage on the disk */
    }
    if (status == STATUS_CORRUPT) sstable_mark_damaged(table, input->next_block);
    if (status == STATUS_OK) input->next_block++;
    return status;
}

/* Makes row point at a row of the partition, or equal row_end when the partition has no more. */
static enum status settle(struct lsm_store *store, struct input *input)
{
    const struct sstable_map *map = &input->table->map;
    while (input->row == input->row_end) {
        mem_free(input->block);
        input->block = NULL;
        input->row = input->row_end = 0;
        if (input->next_block >= map->properties.info.blocks ||
            map->blocks[input->next_block].first_partition > input->partition)
            return STATUS_OK;
        enum status status = load_block(store, input);
        if (status != STATUS_OK) return status;
        const struct block_segment *segment = block_find(input->block, input->partition);
        if (!segment) return STATUS_CORRUPT; /* it begins with this partition or an earlier one that has ended */
        input->row = segment->first_row;
        input->row_end = segment[1].first_row;
    }
    return STATUS_OK;
}

/* Begins the input's partition: in the block that is loaded, or in the next one. */
static enum status enter_partition(struct lsm_store *store, struct input *input)
{
    const struct block_segment *segment = input->block ? block_find(input->block, input->partition) : NULL;
    input->row = segment ? segment->first_row : 0;
    input->row_end = segment ? segment[1].first_row : 0;
    if (segment) return STATUS_OK;
    if (input->table->map.partitions[input->partition].rows == 0) return STATUS_OK;
    enum status status = settle(store, input);
    return status == STATUS_OK && input->row == input->row_end ? STATUS_CORRUPT : status;
}

/* After the last row of a block that holds further partitions the block stays; settle would free it. */
static enum status pass_row(struct lsm_store *store, struct input *input)
{
    if (++input->row < input->row_end) return STATUS_OK;
    const struct sstable_map *map = &input->table->map;
    bool goes_on = input->next_block < map->properties.info.blocks &&
                   map->blocks[input->next_block].first_partition == input->partition;
    return goes_on ? settle(store, input) : STATUS_OK;
}

static bool has_row(const struct input *input)
{
    return input->row < input->row_end;
}

/* BUSY: the tree is being closed or cleared, or the store stopped, which must not wait for a long merge. */
static enum status give_turn(struct merge *merge, uint32_t bytes)
{
    struct reactor *reactor = merge->lsm->store->reactor;
    merge->bytes += bytes + 16;
    if (merge->bytes < BYTES_PER_TURN) return STATUS_OK;
    merge->bytes = 0;
    fiber_sleep_until(reactor, reactor_now_ns(reactor));
    return merge->lsm->clearing || merge->lsm->store->stopping ? STATUS_BUSY : STATUS_OK;
}

/* Adds one more version of a row to what is merged so far. */
static enum status merge_version(struct merge *merge, struct bytes version, struct bytes *row, unsigned *turn)
{
    if (version.size == 0 || bytes_equal(version, *row)) return STATUS_OK;
    if (row->size == 0) {
        *row = version;
        return STATUS_OK;
    }
    struct buffer *out = &merge->merged[(*turn)++ % 2];
    buffer_clear(out);
    if (row_merge_bytes(*row, version, out) != STATUS_OK) return STATUS_CORRUPT;
    *row = buffer_bytes(out);
    return STATUS_OK;
}

/* Merges and writes the newest id that any of the taking inputs has. */
static enum status merge_id(struct merge *merge, const bool *takes, uint64_t id, struct bytes key)
{
    struct lsm_store *store = merge->lsm->store;
    struct bytes row = {NULL, 0};
    bool closed = false;
    unsigned turn = 0;
    for (uint32_t i = 0; i < merge->inputs_count; i++) {
        struct input *input = &merge->inputs[i];
        if (!takes[i] || !has_row(input) || input->block->ids[input->row] != id) continue;
        closed |= input->block->closed[input->row];
        enum status status = merge_version(merge, block_row(input->block, input->row), &row, &turn);
        if (status != STATUS_OK) return status;
    }
    const struct span_set *spans = lsm_spans(merge->lsm, key);
    bool is_delete = row_bytes_is_delete(row);
    uint32_t bytes = (uint32_t)row.size;
    if (!is_delete && spans && span_set_covers(spans, id)) row.size = 0; /* dead for ever; a closed mark stays */
    if (is_delete && PLANT(compaction_forgets_delete)) row.size = 0;
    enum status status = STATUS_OK;
    if (row.size > 0 || closed) status = sstable_writer_add(merge->writer, id, row, closed);
    for (uint32_t i = 0; i < merge->inputs_count && status == STATUS_OK; i++) {
        struct input *input = &merge->inputs[i];
        if (takes[i] && has_row(input) && input->block->ids[input->row] == id) status = pass_row(store, input);
    }
    return status == STATUS_OK ? give_turn(merge, bytes) : status;
}

/* The lowest partition key that any input still has; size 0 at the end. */
static struct bytes lowest_key(const struct merge *merge)
{
    struct bytes lowest = {NULL, 0};
    for (uint32_t i = 0; i < merge->inputs_count; i++) {
        const struct input *input = &merge->inputs[i];
        if (input->partition == sstable_info(input->table)->partitions) continue;
        struct bytes key = sstable_map_key(&input->table->map, input->partition);
        if (!lowest.data || bytes_compare(key, lowest) < 0) lowest = key;
    }
    return lowest;
}

static enum status merge_partition(struct merge *merge, struct bytes key)
{
    struct lsm_store *store = merge->lsm->store;
    bool takes[COMPACTION_FILES_MAX] = {false};
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < merge->inputs_count && status == STATUS_OK; i++) {
        struct input *input = &merge->inputs[i];
        if (input->partition == sstable_info(input->table)->partitions) continue;
        takes[i] = bytes_equal(sstable_map_key(&input->table->map, input->partition), key);
        if (takes[i]) status = enter_partition(store, input);
    }
    if (status != STATUS_OK) return status;
    sstable_writer_partition(merge->writer, key, lsm_spans(merge->lsm, key));
    for (;;) {
        bool any = false;
        uint64_t newest = 0;
        for (uint32_t i = 0; i < merge->inputs_count; i++) {
            const struct input *input = &merge->inputs[i];
            if (!takes[i] || !has_row(input)) continue;
            if (!any || input->block->ids[input->row] > newest) newest = input->block->ids[input->row];
            any = true;
        }
        if (!any) break;
        status = merge_id(merge, takes, newest, key);
        if (status != STATUS_OK) return status;
    }
    for (uint32_t i = 0; i < merge->inputs_count; i++)
        if (takes[i]) merge->inputs[i].partition++;
    return give_turn(merge, 0);
}

/* Merges the inputs into a new, opened file; NULL when nothing of them is to be kept. */
static enum status merge_inputs(struct lsm *lsm, struct sstable *const *tables, uint32_t count, struct sstable **out)
{
    struct merge merge = {.lsm = lsm, .inputs_count = count};
    enum status status = STATUS_OK;
    merge.inputs = mem_zalloc(count * sizeof *merge.inputs);
    for (uint32_t i = 0; i < count; i++)
        merge.inputs[i].table = tables[i];
    merge.writer = sstable_writer_create(lsm->store, lsm->directory, &lsm->table);
    for (struct bytes key; status == STATUS_OK && (key = lowest_key(&merge)).size > 0;)
        status = merge_partition(&merge, key);
    *out = NULL;
    if (status != STATUS_OK || sstable_writer_is_empty(merge.writer)) {
        sstable_writer_abort(merge.writer);
    } else {
        status = sstable_writer_finish(merge.writer, out);
    }
    for (uint32_t i = 0; i < count; i++) {
        mem_free(merge.inputs[i].bytes);
        mem_free(merge.inputs[i].block);
    }
    mem_free(merge.inputs);
    buffer_free(&merge.merged[0]);
    buffer_free(&merge.merged[1]);
    return status;
}

static enum status compact_and_install(struct lsm *lsm, struct sstable *const *inputs, uint32_t count)
{
    struct lsm_store *store = lsm->store;
    struct sstable *table;
    enum status status = merge_inputs(lsm, inputs, count, &table);
    if (status != STATUS_OK) return status;
    uint64_t read_bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        read_bytes += sstable_info(inputs[i])->file_bytes;
    uint64_t written_bytes = table ? sstable_info(table)->file_bytes : 0;
    if (table) {
        struct sstable_info *info = &table->map.properties.info;
        info->verified = sstable_info(inputs[0])->verified;
        info->verified_w = sstable_info(inputs[0])->verified_w;
        for (uint32_t i = 1; i < count; i++)
            if (sstable_info(inputs[i])->verified_w < info->verified_w)
                info->verified_w = sstable_info(inputs[i])->verified_w;
    }
    struct tree_edit edit = {.add = table, .remove = inputs, .remove_count = count};
    status = tree_install(lsm, &edit);
    if (status != STATUS_OK) {
        if (table) sstable_destroy(table, true);
        return status;
    }
    store->stats.compactions++;
    store->stats.compacted_bytes_read += read_bytes;
    store->stats.compacted_bytes_written += written_bytes;
    return STATUS_OK;
}

enum status tree_compact(struct lsm *lsm, struct sstable *const *inputs, uint32_t count)
{
    CHECK(!lsm->compacting && count > 0 && count <= COMPACTION_FILES_MAX);
    lsm->compacting = true;
    enum status status = compact_and_install(lsm, inputs, count);
    lsm->compacting = false;
    gate_open(&lsm->changed);
    if (status == STATUS_OK) {
        store_sweep(lsm->store);
        return STATUS_OK;
    }
    if (status == STATUS_BUSY) return status;
    lsm->compaction_failed = true;
    lsm->store->stats.failed_compactions++;
    lsm->store->stats.no_space += status == STATUS_NO_SPACE;
    LOG(reactor_log(lsm->store->reactor), ERROR, "compaction.failed", "range=%016llx files=%u status=%s",
        (unsigned long long)lsm->range, count, status_name(status));
    return status;
}

uint32_t tree_choose(struct lsm *lsm, struct sstable *inputs[COMPACTION_FILES_MAX])
{
    if (lsm->files_count < COMPACTION_FILES_MIN) return 0;
    struct compaction_file *files = mem_alloc(lsm->files_count * sizeof *files);
    bool *chosen = mem_alloc(lsm->files_count);
    for (uint32_t i = 0; i < lsm->files_count; i++) {
        const struct sstable_info *info = sstable_info(lsm->files[i]);
        files[i] = (struct compaction_file){info->file_bytes, info->verified, lsm->files[i]->damaged};
    }
    compaction_choose(files, lsm->files_count, chosen);
    uint32_t count = 0;
    for (uint32_t i = 0; i < lsm->files_count; i++)
        if (chosen[i]) inputs[count++] = lsm->files[i];
    mem_free(files);
    mem_free(chosen);
    return count;
}

enum status lsm_compact(struct lsm *lsm)
{
    struct sstable *inputs[COMPACTION_FILES_MAX];
    for (unsigned verified = 0; verified < 2; verified++) {
        for (;;) { /* one merge may not take all files: repeat until one is left */
            while (lsm->compacting || lsm->clearing)
                (void)gate_wait(lsm->store->reactor, &lsm->changed, REACTOR_NEVER);
            uint32_t count = 0, all = 0;
            for (uint32_t i = 0; i < lsm->files_count; i++) {
                if (sstable_info(lsm->files[i])->verified != (verified == 1)) continue;
                all++;
                if (count < COMPACTION_FILES_MAX) inputs[count++] = lsm->files[i];
            }
            if (all < 2) break;
            enum status status = tree_compact(lsm, inputs, count);
            if (status != STATUS_OK) return status;
        }
    }
    return STATUS_OK;
}
