// links: simcluster
/*
 * fuzz_controllers: a controller whose only fellow says anything: batches of Raft messages, chunks of snapshots, and
 * answers to chunks of ours. It may lead or follow or wait, but goes on.
 *
 * The input is a list of words of the fellow: kind (a batch, a chunk, an answer to a chunk), length (16 bits), body.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "controld/api/transfer.h"
#include "tests/sim/cluster/trio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALLS_MAX = 24, FILE_BYTES = 300000 };

static const struct trio_call self = {.role = RPC_ROLE_CONTROLLER, .number = 2, .address = TRIO_STRANGER ":7100"};

struct fellow {
    struct trio_call calls[CALLS_MAX];
    uint32_t calls_count;
    struct bytes answers[CALLS_MAX];
    uint32_t answers_count, answers_used;
};

static void read_words(struct reader *reader, struct fellow *out)
{
    while (out->calls_count < CALLS_MAX && out->answers_count < CALLS_MAX && reader_left(reader) >= 3) {
        uint8_t kind = read_u8(reader) % 3;
        uint16_t length = read_u16(reader);
        if (length > reader_left(reader)) length = (uint16_t)reader_left(reader);
        struct bytes body = read_bytes(reader, length);
        if (kind == 2) {
            out->answers[out->answers_count++] = body;
            continue;
        }
        out->calls[out->calls_count++] = (struct trio_call){.role = RPC_ROLE_CONTROLLER,
            .number = 2,
            .address = "127.0.1.1:7100",
            .method = kind == 0 ? METHOD_RAFT_STEP : METHOD_RAFT_SNAPSHOT,
            .body = body};
    }
}

static enum status answer_chunk(
    void *context, const struct rpc_request *request, struct buffer *body, struct rpc_answer *answer)
{
    struct fellow *fellow = context;
    (void)answer;
    if (request->method != METHOD_RAFT_SNAPSHOT) return STATUS_OK;
    if (fellow->answers_used >= fellow->answers_count) return STATUS_UNAVAILABLE;
    struct bytes bytes = fellow->answers[fellow->answers_used++];
    buffer_append(body, bytes.data, bytes.size);
    return STATUS_OK;
}

static void send_snapshot(struct rpc_peer *peer, void *argument)
{
    (void)argument;
    struct raft_message message = {.kind = RAFT_MESSAGE_SNAPSHOT, .from = 1, .to = 2, .term = 3, .index = 9};
    uint8_t *file = mem_zalloc(FILE_BYTES);
    (void)transfer_send(peer, &message, bytes_of(file, FILE_BYTES));
    mem_free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trio trio;
    static struct fellow fellow;
    struct reader reader = reader_of(bytes_of(data, size));
    fellow = (struct fellow){0};
    read_words(&reader, &fellow);
    trio_init(&trio,
        &(struct trio_options){.seed = 1, .missing = 1u << TRIO_NODE | 1u << TRIO_ROUTER, .two_controllers = true});
    trio.answer = answer_chunk;
    trio.context = &fellow;
    trio_serve(&trio, &self);
    trio_start(&trio);
    trio_pass(&trio, 100 * WORLD_MS, NULL);
    for (uint32_t i = 0; i < fellow.calls_count; i++) {
        (void)trio_ask(&trio, &fellow.calls[i], 1, 10 * WORLD_S);
        trio_pass(&trio, 20 * WORLD_MS, NULL);
    }
    if (fellow.answers_count > 0)
        CHECK(trio_run(&trio, &(struct trio_call){.role = RPC_ROLE_CONTROLLER, .address = TRIO_STRANGER ":7100"},
            send_snapshot, NULL, 600 * WORLD_S));
    trio_pass(&trio, 2 * WORLD_S, NULL);
    CHECK(trio_is_running(&trio, TRIO_CONTROLLER) && world_failure(trio.world) == NULL);
    for (uint32_t i = 0; i < fellow.calls_count; i++)
        buffer_free(&fellow.calls[i].answer);
    trio_fini(&trio);
    return 0;
}
