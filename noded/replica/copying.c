#include "noded/replica/copying.h"

#include "common/rpc/rpc.h"
#include "common/runtime/fiber.h"
#include "common/runtime/reactor.h"
#include "noded/replica/reading.h"
#include "proto/replica.pb-c.h"

enum {
    PAGE_PIECE_BYTES = 64 << 10,
    PARTITIONS_AT_ONCE = 64,
    PARTITIONS_BETWEEN_YIELDS = 16,
};

struct copy {
    struct replica *replica;
    struct reactor *reactor;
    struct copying *out;
    struct arena *arena;
    uint32_t bytes, bytes_max, partitions;
    uint64_t deadline_ns;
};

static bool is_full(const struct copy *copy)
{
    return copy->out->count == COPYING_PARTS_MAX || copy->bytes >= copy->bytes_max;
}

/* The piece ends here when it is full. */
static bool ends_before(struct copy *copy, struct bytes partition, uint64_t hi)
{
    if (!is_full(copy)) return false;
    copy->out->next_partition = partition;
    copy->out->next_hi = hi;
    return true;
}

static bool holds_something(const struct reading *reading)
{
    struct page_reader reader;
    struct page_entry entry;
    return page_open(reading->finished, &reader) == STATUS_OK && page_next(&reader, &entry);
}

static enum status copy_page(struct copy *copy, struct bytes partition, uint64_t *hi, bool *more)
{
    struct reading reading;
    struct reading_spec spec = {.partition = partition, .hi = *hi, .mode = READING_RAW, .bytes_max = PAGE_PIECE_BYTES};
    reading_begin(&reading, copy->replica, copy->reactor, &spec);
    enum status status = reading_run(&reading, copy->deadline_ns);
    if (status == STATUS_OK) {
        *more = reading.more && reading.through > 0;
        *hi = reading.through - 1;
        if (holds_something(&reading)) {
            struct bytes page = reading.finished;
            struct copying_part *part = &copy->out->parts[copy->out->count++];
            part->partition = partition;
            part->page = bytes_of(arena_copy(copy->arena, page.data, page.size), page.size);
            copy->bytes += (uint32_t)(page.size + partition.size);
        }
    }
    reading_end(&reading);
    return status;
}

/* As far as there is room; *ended: the piece ends within it, or before. */
static enum status copy_partition(struct copy *copy, struct bytes partition, uint64_t hi, bool *ended)
{
    bool more = true;
    if (++copy->partitions % PARTITIONS_BETWEEN_YIELDS == 0) fiber_yield(copy->reactor);
    while (more) {
        *ended = ends_before(copy, partition, hi);
        if (*ended) return STATUS_OK;
        enum status status = copy_page(copy, partition, &hi, &more);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

enum status copying_run(struct copying *out, struct replica *replica, struct reactor *reactor, struct arena *arena)
{
    const struct copy_position *from = out->from;
    struct copy copy = {.replica = replica,
        .reactor = reactor,
        .out = out,
        .arena = arena,
        .bytes_max = out->bytes_max < COPYING_BYTES_MAX ? out->bytes_max : COPYING_BYTES_MAX,
        .deadline_ns = out->deadline_ns};
    out->count = 0;
    out->next_partition = bytes_of(NULL, 0);
    out->next_hi = 0;
    struct lsm_partition *found = arena_alloc(arena, PARTITIONS_AT_ONCE * sizeof *found);
    struct bytes after = buffer_bytes(&from->partition);
    if (after.size) after.data = arena_copy(arena, after.data, after.size); /* the answer outlives the position */
    bool ended = false;
    enum status status = after.size ? copy_partition(&copy, after, from->hi, &ended) : STATUS_OK;
    uint32_t count = PARTITIONS_AT_ONCE;
    while (status == STATUS_OK && !ended && count == PARTITIONS_AT_ONCE) {
        count = lsm_partitions(replica->lsm, after, PARTITIONS_AT_ONCE, arena, found);
        for (uint32_t i = 0; i < count && status == STATUS_OK && !ended; i++) {
            after = found[i].key;
            status = copy_partition(&copy, after, UINT64_MAX, &ended);
        }
    }
    return status;
}

enum status copying_decode(struct bytes body, struct copying *out, struct arena *arena)
{
    const Trillium__V1__ReplicaCopyAnswer *answer =
        rpc_decode(arena, &trillium__v1__replica_copy_answer__descriptor, body);
    if (!answer || answer->n_parts > COPYING_PARTS_MAX || answer->next_partition.len > KEY_BYTES_MAX)
        return STATUS_BAD_REQUEST;
    for (size_t i = 0; i < answer->n_parts; i++) {
        struct copying_part *part = &out->parts[i];
        uint64_t lo, hi;
        part->partition = bytes_of(answer->parts[i]->partition.data, answer->parts[i]->partition.len);
        part->page = bytes_of(answer->parts[i]->page.data, answer->parts[i]->page.len);
        if (part->partition.size == 0 || part->partition.size > KEY_BYTES_MAX) return STATUS_BAD_REQUEST;
        enum status status = replica_check_page(part->page, &lo, &hi);
        if (status != STATUS_OK) return status;
    }
    out->count = (uint32_t)answer->n_parts;
    out->next_partition = bytes_of(answer->next_partition.data, answer->next_partition.len);
    out->next_hi = answer->next_hi;
    return STATUS_OK;
}

void copying_position_after(const struct copying *copying, struct copy_position *out)
{
    if (copying->next_partition.size)
        copy_position_set(out, copying->next_partition, copying->next_hi);
    else
        copy_position_set_done(out);
}
