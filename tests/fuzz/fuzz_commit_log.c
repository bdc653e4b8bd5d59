// links: noded_core
/* Fuzz target: payloads of the commit log. What is decoded is encoded as the same bytes. The first byte is the kind. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "noded/replica/replica.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bodies(struct bytes body)
{
    struct closed closed;
    struct replica replica = {0};
    if (closed_decode(body, &closed) == STATUS_OK) {
        for (uint32_t i = 0; i < closed.ids_count; i++)
            (void)closed_id(&closed, i);
        closed_free(&closed);
    }
    if (replica_state_take(&replica, body) == STATUS_OK) {
        struct buffer again = {0};
        replica_state_encode(&replica, &again);
        CHECK(replica_state_take(&replica, buffer_bytes(&again)) == STATUS_OK);
        buffer_free(&again);
    }
    copy_position_free(&replica.copied);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record record;
    if (size == 0) return 0;
    struct bytes payload = bytes_of(data + 1, size - 1);
    check_bodies(payload);
    if (record_decode(data[0], payload, &record) != STATUS_OK) return 0;
    uint8_t head[RECORD_HEAD_BYTES_MAX];
    struct bytes again = record_encode_head(&record, head);
    CHECK(again.size + record.body.size == payload.size);
    CHECK(memcmp(again.data, payload.data, again.size) == 0);
    return 0;
}
