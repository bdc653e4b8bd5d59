/* fuzz_ndjson: any line gives a message or a refusal; a message printed and read again is the same line. */
// links: msgctl_core
#include "common/base/check.h"
#include "common/base/mem.h"
#include "msgctl/json.h"
#include "msgctl/ndjson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct trillium_message message;
    struct ndjson_error error = {0};
    uint8_t *line = mem_alloc(size + 1); /* its own block, so that a read behind it is noticed */
    memcpy(line, data, size);
    if (ndjson_decode(bytes_of(line, size), &arena, &message, &error) == STATUS_OK) {
        struct buffer first = {0}, second = {0};
        ndjson_encode(&message, &first);
        CHECK(ndjson_decode(bytes_of(first.data, first.size - 1), &arena, &message, &error) == STATUS_OK);
        ndjson_encode(&message, &second);
        CHECK(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
        buffer_free(&first);
        buffer_free(&second);
    } else {
        CHECK(error.problem[0] != 0);
    }
    /* The same bytes as an extra that somebody else wrote. */
    struct buffer out = {0};
    message = (struct trillium_message){.message_id = 1, .content = {line, size}, .extra = {line, size}};
    ndjson_encode(&message, &out);
    struct json_scan scan = json_scan_of(buffer_bytes(&out));
    struct json_field field;
    enum json_step step;
    do
        step = json_next(&scan, &field);
    while (step == JSON_FIELD);
    CHECK(step == JSON_END);
    buffer_free(&out);
    mem_free(line);
    arena_free(&arena);
    return 0;
}
