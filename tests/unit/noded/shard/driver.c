#include "tests/unit/noded/shard/driver.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/key.h"
#include "common/model/merge.h"
#include "common/model/snowflake.h"
#include "noded/shard/change.h"

#define FAIL(driver, ...)                                                                                              \
    do {                                                                                                               \
        if ((driver)->failure[0] == 0) snprintf((driver)->failure, sizeof(driver)->failure, __VA_ARGS__);              \
    } while (0)

/* A change on its way, with what it should be told. */
struct op {
    bool used;
    struct driver_run *run;
    struct change change;
    struct arena arena;
    struct buffer body;
    uint8_t partition[KEY_CHANNEL_BYTES];
    unsigned channel;
    enum status expected;
};

struct driver_run {
    struct driver *driver;
    struct reactor *reactor;
    struct shard *shards[SHARDS_MAX];
    struct view view;
    struct view_range ranges[DRIVER_RANGES];
    struct view_import import;
    struct table table;
    uint8_t keys[DRIVER_CHANNELS][KEY_CHANNEL_BYTES];
    struct op ops[DRIVER_OPEN_MAX];
    unsigned open;
};

static const struct uuid CLUSTER = {{1, 2, 3}};

struct driver *driver_create(uint64_t seed)
{
    struct driver *driver = mem_zalloc(sizeof *driver);
    driver->prng = prng_seeded(seed);
    driver->shards = 1;
    driver->steps = 600;
    driver->memory_bytes = 256 << 10;
    driver->next_file_id = 1;
    driver->epoch = 1;
    driver->horizon_ms = HORIZON_NONE;
    driver->exact = true;
    return driver;
}

void driver_destroy(struct driver *driver)
{
    mem_free(driver);
}

/* Ids lie 10 ms apart. */
uint64_t driver_id(unsigned slot)
{
    return snowflake_make(SNOWFLAKE_EPOCH_MS + 1000 + (int64_t)slot * 10, 7, slot % 50);
}

/* ---- the model ---- */

static void merge_into(struct driver *driver, struct driver_row *held, struct bytes row)
{
    struct buffer merged = {0};
    if (held->size == 0)
        buffer_append(&merged, row.data, row.size);
    else if (row_merge_bytes(bytes_of(held->bytes, held->size), row, &merged) != STATUS_OK)
        FAIL(driver, "the model cannot merge");
    CHECK(merged.size <= DRIVER_ROW_BYTES);
    held->size = (uint16_t)merged.size;
    memcpy(held->bytes, merged.data, merged.size);
    buffer_free(&merged);
}

static void cover_one(bool *covered, bool *open, const struct span *span)
{
    *open = span->open && (!*covered || *open);
    *covered = true;
}

static void cover(struct driver_row *rows, const struct span *span)
{
    for (unsigned slot = 0; slot < DRIVER_IDS; slot++) {
        struct driver_row *row = &rows[slot];
        uint64_t id = driver_id(slot), next = slot + 1 < DRIVER_IDS ? driver_id(slot + 1) : 0;
        if (next && span->lo <= id + 1 && span->hi >= next - 1) cover_one(&row->gap_covered, &row->gap_open, span);
        if (id < span->lo || id > span->hi) continue;
        if (!row->covered || span->stamp > row->span_stamp) row->span_stamp = span->stamp;
        cover_one(&row->covered, &row->span_open, span);
    }
}

static unsigned slot_of(uint64_t id)
{
    for (unsigned slot = 0; slot < DRIVER_IDS; slot++)
        if (driver_id(slot) == id) return slot;
    CHECK(false);
    return 0;
}

static void model_page(struct driver *driver, struct driver_row *rows, struct bytes page)
{
    struct page_reader reader;
    struct page_entry entry;
    CHECK(page_open(page, &reader) == STATUS_OK);
    while (page_next(&reader, &entry)) {
        if (entry.kind == PAGE_SPAN) cover(rows, &entry.span);
        if (entry.kind == PAGE_ROW) merge_into(driver, &rows[slot_of(entry.id)], entry.row);
        if (entry.kind != PAGE_DELETE) continue;
        struct row row;
        uint8_t bytes[32];
        struct writer writer = writer_of(bytes, sizeof bytes);
        row_make_delete(&row, entry.stamp);
        row_encode(&row, &writer);
        struct driver_row *held = &rows[slot_of(entry.id)];
        if (!entry.open) held->closed = true;
        merge_into(driver, held, writer_bytes(&writer));
    }
}

static void model_closed(struct driver_row *rows, struct bytes body)
{
    struct closed closed;
    CHECK(closed_decode(body, &closed) == STATUS_OK);
    for (uint32_t i = 0; i < closed.ids_count; i++)
        rows[slot_of(closed_id(&closed, i))].closed = true;
    for (size_t i = 0; i < closed.spans.count; i++)
        for (unsigned slot = 0; slot < DRIVER_IDS; slot++)
            if (driver_id(slot) >= closed.spans.spans[i].lo && driver_id(slot) <= closed.spans.spans[i].hi)
                rows[slot].span_open = false;
    closed_free(&closed);
}

static void model_apply(
    struct driver *driver, struct driver_state *state, unsigned channel, const struct record *record)
{
    struct driver_row *rows = state->rows[channel];
    struct span span = {record->lo, record->hi, record->stamp, true};
    if (record->kind == RECORD_ROW) merge_into(driver, &rows[slot_of(record->lo)], record->body);
    if (record->kind == RECORD_SPAN) cover(rows, &span);
    if (record->kind == RECORD_PAGE) model_page(driver, rows, record->body);
    if (record->kind == RECORD_CLOSED) model_closed(rows, record->body);
}

static enum status model_verdict(const struct driver *driver, unsigned channel, const struct record *record)
{
    const struct driver_row *held = &driver->taken.rows[channel][slot_of(record->lo)];
    struct row known = {0}, incoming;
    if (held->covered) return STATUS_DEAD;
    if (held->size) CHECK(row_decode(bytes_of(held->bytes, held->size), &known) == STATUS_OK);
    CHECK(row_decode(record->body, &incoming) == STATUS_OK);
    return row_apply_status(&known, &incoming);
}

/* ---- shards ---- */

static uint64_t next_file_id(void *context)
{
    struct driver *driver = context;
    return driver->next_file_id++;
}

struct range_id driver_range(struct driver_run *run, unsigned channel)
{
    const struct view_range *range = view_range_of(&run->view, run->table.id, key_channel_token(channel + 100));
    CHECK(range != NULL);
    return range->id;
}

struct shard *driver_shard(struct driver_run *run, unsigned channel)
{
    return run->shards[view_shard_of(driver_range(run, channel), run->driver->shards)];
}

struct bytes driver_partition(struct driver_run *run, unsigned channel)
{
    return bytes_of(run->keys[channel], KEY_CHANNEL_BYTES);
}

void driver_publish(struct driver_run *run)
{
    struct driver *driver = run->driver;
    run->view.version++;
    for (unsigned i = 0; i < DRIVER_RANGES; i++) {
        run->ranges[i].epoch = driver->epoch;
        run->ranges[i].horizon_ms = driver->horizon_ms;
    }
    struct buffer bytes = {0};
    view_encode(&run->view, &bytes);
    struct shared_view *view;
    CHECK(shared_view_decode(buffer_bytes(&bytes), &view) == STATUS_OK);
    buffer_free(&bytes);
    for (unsigned i = 0; i < driver->shards; i++)
        shard_use_view(run->shards[i], view, (struct node_id){1});
    for (unsigned i = 0; i < driver->shards; i++)
        while (!run->shards[i]->view || run->shards[i]->view->view.version < run->view.version)
            fiber_sleep_until(run->reactor, reactor_now_ns(run->reactor) + 100000);
    shared_view_release(view);
}

static void make_view(struct driver_run *run)
{
    run->table = CHAT_MESSAGES;
    for (unsigned i = 0; i < DRIVER_RANGES; i++) {
        uint64_t width = UINT64_MAX / DRIVER_RANGES + 1, lo = ((uint64_t)1 << 63) + i * width;
        run->ranges[i] = (struct view_range){.id = {i + 5},
            .table = run->table.id,
            .replicas_count = 1,
            .replicas = {{1}},
            .lo = (int64_t)lo,
            .hi = i + 1 == DRIVER_RANGES ? INT64_MAX : (int64_t)(lo + width)};
    }
    run->import = (struct view_import){77, run->table.id, 0};
    run->view = (struct view){.version = 100, /* above the session */
        .cluster = CLUSTER,
        .tables_count = 1,
        .tables = &run->table,
        .ranges_count = DRIVER_RANGES,
        .ranges = run->ranges,
        .imports_count = 1,
        .imports = &run->import};
    for (unsigned i = 0; i < DRIVER_CHANNELS; i++)
        key_channel(i + 100, run->keys[i]);
}

/* As noded/api does, without its barriers: the steps come one shard after the other. */
static void start_shards(struct driver_run *run)
{
    struct driver *driver = run->driver;
    for (unsigned i = 0; i < driver->shards; i++) {
        struct shard_options options = {.reactor = run->reactor,
            .index = (uint16_t)i,
            .count = driver->shards,
            .cluster = CLUSTER,
            .memory_bytes = driver->memory_bytes,
            .next_file_id = next_file_id,
            .context = driver};
        run->shards[i] = shard_create(&options);
        shard_open_trees(run->shards[i]);
    }
    if (driver->shards_before == driver->shards) {
        for (unsigned i = 0; i < driver->shards; i++)
            shard_open_log(run->shards[i]);
    } else {
        for (unsigned i = 0; i < driver->shards; i++)
            shard_recover_all(run->shards[i]);
        for (unsigned i = 0; i < driver->shards; i++)
            shard_flush_all(run->shards[i]);
        struct wal_logs logs;
        CHECK(wal_list(run->reactor, SHARD_LOG_DIRECTORY, &logs) == STATUS_OK);
        for (unsigned i = 0; i < logs.count; i++)
            if (logs.numbers[i] >= driver->shards) shard_release_foreign(run->shards[0], logs.numbers[i]);
        for (unsigned i = 0; i < driver->shards; i++)
            shard_take_log(run->shards[i]);
        driver->shards_before = driver->shards;
    }
    for (unsigned i = 0; i < driver->shards; i++)
        shard_start(run->shards[i]);
}

struct driver_run *driver_start(struct driver *driver, struct reactor *reactor)
{
    struct driver_run *run = mem_zalloc(sizeof *run);
    run->driver = driver;
    run->reactor = reactor;
    make_view(run);
    start_shards(run);
    driver_publish(run);
    return run;
}

void driver_stop(struct driver_run *run)
{
    for (unsigned i = 0; i < run->driver->shards; i++) {
        shard_stop(run->shards[i]);
        shard_destroy(run->shards[i]);
    }
    mem_free(run);
}

/* ---- changes ---- */

static struct bytes random_row(struct prng *prng, struct buffer *out)
{
    struct row row;
    uint8_t text[40];
    uint64_t author = prng_below(prng, 20) ? 1 : 2; /* now and then another create of the same id */
    memset(text, 'a' + (int)prng_below(prng, 3), sizeof text);
    switch (prng_below(prng, 10)) {
    case 0:
        row_make_delete(&row, (int64_t)prng_below(prng, 1000));
        break;
    case 1:
    case 2:
    case 3:
        row_begin_edit(&row);
        row_put_edit(&row, CHAT_CONTENT, (int64_t)prng_below(prng, 50), bytes_of(text, prng_below(prng, 40)));
        if (prng_below(prng, 2)) row_put_clear(&row, CHAT_EDITED_AT, (int64_t)prng_below(prng, 50));
        break;
    default:
        row_begin_create(&row);
        row_put(&row, CHAT_AUTHOR_ID, bytes_of(&author, sizeof author));
        row_put(&row, CHAT_CONTENT, bytes_of("hello, world", 12));
    }
    return row_encode_buffer(&row, out);
}

static void random_page(struct driver_run *run, struct op *op)
{
    struct prng *prng = &run->driver->prng;
    struct page_builder page = {0};
    struct buffer row = {0};
    page_begin(&page, PAGE_OLDEST_FIRST, true);
    for (unsigned slot = (unsigned)prng_below(prng, 10); slot < DRIVER_IDS;
         slot += 1 + (unsigned)prng_below(prng, 40)) {
        buffer_clear(&row);
        struct bytes bytes = random_row(prng, &row);
        if (row_bytes_is_delete(bytes))
            page_add_delete(&page, driver_id(slot), (int64_t)prng_below(prng, 1000), prng_below(prng, 2));
        else
            page_add_row(&page, driver_id(slot), bytes);
    }
    if (prng_below(prng, 6) == 0) {
        unsigned slot = (unsigned)prng_below(prng, DRIVER_IDS);
        page_add_span(&page, &(struct span){driver_id(slot), driver_id(slot), 5, prng_below(prng, 2)});
    }
    struct bytes bytes = page_finish(&page, 0, false);
    buffer_append(&op->body, bytes.data, bytes.size);
    page_free(&page);
    buffer_free(&row);
    op->change.record.kind = RECORD_PAGE;
    op->change.record.body = buffer_bytes(&op->body);
    CHECK(replica_check_page(op->change.record.body, &op->change.record.lo, &op->change.record.hi) == STATUS_OK);
}

/* Closes what the model knows to be deleted. */
static void random_closing(struct driver_run *run, struct op *op)
{
    struct driver *driver = run->driver;
    uint64_t ids[DRIVER_IDS];
    uint32_t count = 0;
    struct span_set spans = {0};
    for (unsigned slot = 0; slot < DRIVER_IDS; slot++) {
        const struct driver_row *row = &driver->taken.rows[op->channel][slot];
        if (prng_below(&driver->prng, 3)) continue;
        if (row_bytes_is_delete(bytes_of(row->bytes, row->size))) ids[count++] = driver_id(slot);
        if (row->covered) span_set_add(&spans, (struct span){driver_id(slot), driver_id(slot), 0, false});
    }
    closed_encode(ids, count, &spans, &op->body);
    span_set_free(&spans);
    op->change.record.kind = RECORD_CLOSED;
    op->change.record.body = buffer_bytes(&op->body);
    op->change.record.lo = 0;
    op->change.record.hi = UINT64_MAX;
}

static void acked(struct change *change)
{
    struct op *op = change->context;
    struct driver_run *run = op->run;
    struct driver *driver = run->driver;
    if (change->status != op->expected)
        FAIL(driver, "a change of kind %d at slot %u answered %s instead of %s", change->record.kind,
            change->record.kind == RECORD_ROW ? slot_of(change->record.lo) : 0, status_name(change->status),
            status_name(op->expected));
    model_apply(driver, &driver->acked, op->channel, &change->record);
    buffer_free(&op->body);
    arena_free(&op->arena);
    op->used = false;
    run->open--;
}

static void random_change(struct driver_run *run)
{
    struct driver *driver = run->driver;
    struct prng *prng = &driver->prng;
    struct op *op = run->ops;
    while (op->used)
        op++;
    *op = (struct op){.run = run, .expected = STATUS_OK, .channel = (unsigned)prng_below(prng, DRIVER_CHANNELS)};
    memcpy(op->partition, run->keys[op->channel], sizeof op->partition);
    struct record *record = &op->change.record;
    record->range = driver_range(run, op->channel);
    record->partition = bytes_of(op->partition, sizeof op->partition);
    op->change.epoch = driver->epoch;
    op->change.arena = &op->arena;
    op->change.done = acked;
    op->change.context = op;
    unsigned kind = (unsigned)prng_below(prng, 100);
    if (kind < 80) {
        record->kind = RECORD_ROW;
        record->lo = record->hi = driver_id((unsigned)prng_below(prng, DRIVER_IDS));
        record->body = random_row(prng, &op->body);
        op->change.is_create = row_bytes_is_visible(record->body);
    } else if (kind < 84) {
        unsigned slot = (unsigned)prng_below(prng, DRIVER_IDS);
        record->kind = RECORD_SPAN;
        record->lo = driver_id(slot);
        record->hi = driver_id(slot + (unsigned)prng_below(prng, DRIVER_IDS - slot < 4 ? DRIVER_IDS - slot : 4));
        record->stamp = (int64_t)prng_below(prng, 1000);
    } else if (kind < 94) {
        random_page(run, op);
    } else {
        random_closing(run, op);
    }
    if (record->kind == RECORD_ROW) op->expected = model_verdict(driver, op->channel, record);
    enum status status = change_start(driver_shard(run, op->channel), &op->change);
    if (status == STATUS_OK) {
        op->used = true;
        run->open++;
        driver->changes++;
        model_apply(driver, &driver->taken, op->channel, record);
        return;
    }
    if (status == STATUS_BUSY)
        driver->busy++;
    else
        FAIL(driver, "a change was refused: %s", status_name(status));
    buffer_free(&op->body);
}

static void drain(struct driver_run *run)
{
    while (run->open > 0)
        fiber_sleep_until(run->reactor, reactor_now_ns(run->reactor) + 50000);
}

/* ---- reads ---- */

static bool is_visible(const struct driver_row *row)
{
    return !row->covered && row->size && row_bytes_is_visible(bytes_of(row->bytes, row->size));
}

/* What a DATA read must answer, by the words of proto/replica.proto. */
struct expected {
    uint64_t ids[DRIVER_IDS];
    unsigned count;
    uint64_t through;
    bool more;
    struct digest digest;
};

static void expect_spans(const struct driver_row *rows, uint64_t lo, uint64_t hi, struct digest *digest)
{
    struct span_set set = {0}, clip = {0};
    for (unsigned slot = 0; slot < DRIVER_IDS; slot++) {
        uint64_t id = driver_id(slot);
        if (rows[slot].covered && rows[slot].span_open) span_set_add(&set, (struct span){id, id, 0, true});
        if (rows[slot].gap_covered && rows[slot].gap_open)
            span_set_add(&set, (struct span){id + 1, driver_id(slot + 1) - 1, 0, true});
    }
    span_set_clip(&set, lo, hi, &clip);
    for (size_t i = 0; i < clip.count; i++)
        read_digest_open_span(digest, clip.spans[i].lo, clip.spans[i].hi);
    span_set_free(&set);
    span_set_free(&clip);
}

static void expect(const struct driver_row *rows, const struct reading_spec *spec, struct expected *out)
{
    bool down = spec->direction == PAGE_NEWEST_FIRST;
    size_t size = 10;
    *out = (struct expected){.through = down ? spec->lo : spec->hi};
    read_digest_begin(&out->digest);
    for (unsigned i = 0; i < DRIVER_IDS; i++) {
        unsigned slot = down ? DRIVER_IDS - 1 - i : i;
        uint64_t id = driver_id(slot);
        const struct driver_row *row = &rows[slot];
        struct bytes bytes = bytes_of(row->bytes, row->size);
        if (id < spec->lo || id > spec->hi || row->covered) continue;
        if (row_bytes_is_delete(bytes) && !row->closed) read_digest_open_delete(&out->digest, id);
        if (!is_visible(row)) continue;
        size_t entry = 9 + varint_size(bytes.size) + bytes.size;
        if (out->count > 0 && size + entry > spec->bytes_max) {
            out->through = down ? id + 1 : id - 1;
            out->more = true;
            break;
        }
        size += entry;
        out->ids[out->count++] = id;
        read_digest_row(&out->digest, id, bytes);
        if (out->count == spec->limit) {
            out->more = id != out->through;
            out->through = id;
            break;
        }
    }
    expect_spans(rows, down ? out->through : spec->lo, down ? spec->hi : out->through, &out->digest);
    read_digest_finish(&out->digest, out->through, out->more);
}

static void compare_data(struct driver *driver, const struct driver_row *rows, struct reading *reading)
{
    struct expected expected;
    expect(rows, &reading->spec, &expected);
    struct page_reader reader;
    struct page_entry entry;
    unsigned count = 0;
    if (reading->through != expected.through || reading->more != expected.more)
        FAIL(driver, "a read went through %llu more %d instead of %llu more %d", (unsigned long long)reading->through,
            reading->more, (unsigned long long)expected.through, expected.more);
    if (reading->spec.mode == READING_DATA) {
        if (page_open(reading->finished, &reader) != STATUS_OK || reader.raw || reader.through != reading->through)
            FAIL(driver, "a page cannot be opened");
        while (page_next(&reader, &entry)) {
            const struct driver_row *row = &rows[slot_of(entry.id)];
            if (count >= expected.count || entry.id != expected.ids[count] ||
                !bytes_equal(entry.row, bytes_of(row->bytes, row->size)))
                FAIL(driver, "row %u of a page is another", count);
            count++;
        }
        if (count != expected.count) FAIL(driver, "a page has %u rows instead of %u", count, expected.count);
    }
    if (memcmp(&reading->digest, &expected.digest, sizeof expected.digest) != 0) FAIL(driver, "a digest differs");
}

/* Everything in the page is what the model has; everything that the model has up to through is in the page. */
static void compare_raw(struct driver *driver, const struct driver_row *rows, struct reading *reading)
{
    bool down = reading->spec.direction == PAGE_NEWEST_FIRST;
    bool seen[DRIVER_IDS] = {false};
    struct page_reader reader;
    struct page_entry entry;
    struct span_set spans = {0};
    if (page_check(reading->finished) != STATUS_OK) FAIL(driver, "a raw page is malformed");
    if (page_open(reading->finished, &reader) != STATUS_OK) return;
    while (page_next(&reader, &entry)) {
        if (entry.kind == PAGE_SPAN) {
            span_set_add(&spans, entry.span);
            continue;
        }
        const struct driver_row *row = &rows[slot_of(entry.id)];
        seen[slot_of(entry.id)] = true;
        if (entry.kind == PAGE_ROW && !bytes_equal(entry.row, bytes_of(row->bytes, row->size)))
            FAIL(driver, "a raw row differs");
        if (entry.kind == PAGE_DELETE &&
            (!row_bytes_is_delete(bytes_of(row->bytes, row->size)) || entry.open == row->closed))
            FAIL(driver, "a raw delete differs");
    }
    uint64_t lo = down ? reading->through : reading->spec.lo, hi = down ? reading->spec.hi : reading->through;
    for (unsigned slot = 0; slot < DRIVER_IDS; slot++) {
        uint64_t id = driver_id(slot);
        const struct span *span = span_set_find(&spans, id);
        if (id < lo || id > hi) {
            if (span || seen[slot]) FAIL(driver, "a raw page goes beyond its end");
            continue;
        }
        if ((span != NULL) != rows[slot].covered || (span && span->open != rows[slot].span_open) ||
            (span && span->stamp != rows[slot].span_stamp))
            FAIL(driver, "a raw span differs");
        if (!seen[slot] && rows[slot].size && !rows[slot].covered) FAIL(driver, "a raw row is missing");
    }
    span_set_free(&spans);
}

static enum status read_all(
    struct driver_run *run, struct reading *reading, unsigned channel, struct reading_spec *spec)
{
    struct replica *replica;
    struct shard *shard = driver_shard(run, channel);
    spec->partition = driver_partition(run, channel);
    enum status status = shard_admit(shard, driver_range(run, channel), run->driver->epoch, REPLICA_READS, &replica);
    if (status != STATUS_OK) return status;
    shard_settle(shard, replica);
    reading_begin(reading, replica, run->reactor, spec);
    return reading_run(reading, REACTOR_NEVER);
}

static void random_read(struct driver_run *run)
{
    struct driver *driver = run->driver;
    struct prng *prng = &driver->prng;
    unsigned channel = (unsigned)prng_below(prng, DRIVER_CHANNELS);
    unsigned a = (unsigned)prng_below(prng, DRIVER_IDS), b = (unsigned)prng_between(prng, a, DRIVER_IDS - 1);
    bool all = prng_below(prng, 3) == 0;
    struct reading_spec spec = {.lo = all ? 0 : driver_id(a),
        .hi = all ? UINT64_MAX : driver_id(b),
        .direction = prng_below(prng, 2) ? PAGE_NEWEST_FIRST : PAGE_OLDEST_FIRST,
        .mode = (enum reading_mode)prng_between(prng, READING_DATA, READING_RAW),
        .limit = (uint32_t)prng_between(prng, 1, prng_below(prng, 2) ? 5 : 1000),
        .bytes_max = (uint32_t)prng_between(prng, 20, prng_below(prng, 2) ? 400 : 100000)};
    struct reading *reading = mem_zalloc(sizeof *reading);
    enum status status = read_all(run, reading, channel, &spec);
    if (status != STATUS_OK)
        FAIL(driver, "a read failed: %s", status_name(status));
    else if (spec.mode == READING_RAW)
        compare_raw(driver, driver->taken.rows[channel], reading);
    else
        compare_data(driver, driver->taken.rows[channel], reading);
    if (status == STATUS_OK) driver->compared++;
    reading_end(reading);
    mem_free(reading);
}

/* ---- after a crash: what is there lies between acknowledged and taken ---- */

/* Merging less into more changes nothing. */
static bool contains(struct driver *driver, const struct driver_row *more, const struct driver_row *less)
{
    if (less->covered && !more->covered) return false;
    if (more->covered || less->size == 0) return true;
    struct driver_row sum = *more;
    merge_into(driver, &sum, bytes_of(less->bytes, less->size));
    return sum.size == more->size && memcmp(sum.bytes, more->bytes, sum.size) == 0;
}

static void observe(struct driver_run *run, struct driver_state *out)
{
    struct driver *driver = run->driver;
    memset(out, 0, sizeof *out);
    for (unsigned channel = 0; channel < DRIVER_CHANNELS; channel++) {
        struct reading *reading = mem_zalloc(sizeof *reading);
        struct reading_spec spec = {
            .hi = UINT64_MAX, .direction = PAGE_OLDEST_FIRST, .mode = READING_RAW, .bytes_max = 1 << 20};
        if (read_all(run, reading, channel, &spec) != STATUS_OK || reading->more)
            FAIL(driver, "a channel cannot be read after a crash");
        else
            model_page(driver, out->rows[channel], reading->finished);
        reading_end(reading);
        mem_free(reading);
        for (unsigned slot = 0; slot < DRIVER_IDS; slot++) {
            struct driver_row *row = &out->rows[channel][slot];
            const struct driver_row *least = &driver->acked.rows[channel][slot];
            const struct driver_row *most = &driver->taken.rows[channel][slot];
            if (!contains(driver, row, least))
                FAIL(driver, "channel %u slot %u lost what was acknowledged", channel, slot);
            if (!contains(driver, most, row)) FAIL(driver, "channel %u slot %u has what nobody wrote", channel, slot);
        }
    }
}

/* ---- a run ---- */

static void count_waits(struct driver_run *run)
{
    for (unsigned i = 0; i < run->driver->shards; i++) {
        run->driver->lookups_waited += run->shards[i]->counters.lookups_waited;
        run->driver->orders_waited += run->shards[i]->counters.orders_waited;
    }
}

void driver_main(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    struct driver_run *run = driver_start(driver, reactor);
    if (!driver->exact) {
        struct driver_state *found = mem_zalloc(sizeof *found);
        observe(run, found);
        driver->taken = driver->acked = *found;
        mem_free(found);
        driver->exact = true;
    }
    for (unsigned i = 0; i < 40; i++)
        random_read(run);
    for (uint32_t step = 0; !driver->judge_only && step < driver->steps; step++) {
        unsigned burst = (unsigned)prng_between(&driver->prng, 1, DRIVER_OPEN_MAX / 2);
        while (burst-- > 0 && run->open < DRIVER_OPEN_MAX)
            random_change(run);
        if (prng_below(&driver->prng, 4) == 0) {
            drain(run);
            random_read(run);
        }
        fiber_sleep_until(reactor, reactor_now_ns(reactor) + prng_below(&driver->prng, 200000));
    }
    drain(run);
    for (unsigned i = 0; i < 60; i++)
        random_read(run);
    count_waits(run);
    if (driver->orderly) driver_stop(run);
}
