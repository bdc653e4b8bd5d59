// links: fuzz_doors trillium
/*
 * fuzz_client: libtrillium with routers that answer anything, in frames that may be anything too. Every call comes back
 * within its deadline, and what it hands out can be read. The first byte: whether the program is short-lived; then
 * answers (doors/doors.h).
 */
#include <stddef.h>
#include <stdint.h>

#include "client/trillium.h"
#include "common/base/check.h"
#include "common/base/hash.h"
#include "tests/fuzz/doors/doors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 20 };

static void read_bytes_of(struct trillium_bytes bytes)
{
    CHECK(bytes.size == 0 || bytes.data != NULL);
    CHECK(hash64(bytes.data, bytes.size, 0) != 1);
}

static void read_page(struct trillium_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        read_bytes_of(page->messages[i].content);
        read_bytes_of(page->messages[i].attachments);
        read_bytes_of(page->messages[i].embeds);
        read_bytes_of(page->messages[i].extra);
    }
    trillium_page_free(page);
}

static void write_messages(struct trillium *trillium)
{
    struct trillium_message message = {.channel_id = 1, .author_id = 42, .content = {"hi", 2}};
    int status = trillium_send(trillium, &message, TRILLIUM_QUORUM);
    CHECK(status != TRILLIUM_OK || message.message_id != 0);
    struct trillium_ref ref = {1, 7, TRILLIUM_QUORUM};
    enum trillium_state state;
    (void)trillium_edit(trillium, &ref, (struct trillium_bytes){"yo", 2});
    (void)trillium_delete(trillium, &ref);
    (void)trillium_status(trillium, &ref, true, &state);
    CHECK(state <= TRILLIUM_STATE_NEVER);
}

static void read_messages(struct trillium *trillium)
{
    struct trillium_page page = {0};
    struct trillium_ref ref = {1, 7, TRILLIUM_ONE};
    if (trillium_get(trillium, &ref, &page) == TRILLIUM_OK) read_page(&page);
    static const enum trillium_bound bounds[] = {TRILLIUM_NEWEST, TRILLIUM_AFTER, TRILLIUM_AROUND};
    for (int i = 0; i < 3; i++) {
        struct trillium_query query = {.channel_id = 1, .bound = bounds[i], .message_id = 7, .limit = LIMIT};
        page = (struct trillium_page){0};
        if (trillium_list(trillium, &query, &page) == TRILLIUM_OK) read_page(&page);
    }
}

/* Long enough for a ring, a lease, and what renews both. */
static void let_time_pass(struct trillium *trillium)
{
    for (int i = 0; i < 200; i++) {
        doors_pass(20000000);
        (void)trillium_turn(trillium);
    }
}

static void use_channels(struct trillium *trillium)
{
    struct trillium_interval interval = {.channel_id = 1, .lo = 1, .level = TRILLIUM_ALL};
    uint64_t through, session;
    (void)trillium_purge(trillium, &interval, &through);
    struct trillium_cursor cursor = {0};
    static struct trillium_channels_page page;
    for (int i = 0; i < 2; i++)
        if (trillium_channels(trillium, &cursor, TRILLIUM_QUORUM, &page) == TRILLIUM_OK)
            CHECK(page.count <= TRILLIUM_CHANNELS_MAX && cursor.size <= TRILLIUM_CURSOR_BYTES);
    if (trillium_import_begin(trillium, "fuzz", 1000, &session) == TRILLIUM_OK) {
        (void)trillium_import_renew(trillium, session, 1000);
        (void)trillium_import_end(trillium, session);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct reader reader = reader_of(bytes_of(data + 1, size - 1));
    doors_begin(&reader);
    struct trillium_options options = {
        .routers = "127.0.3.1,127.0.3.2", .deadline_ms = 2000, .is_driven = true, .is_short_lived = data[0] & 1};
    struct trillium *trillium = trillium_open(&options, NULL, 0);
    CHECK(trillium != NULL);
    write_messages(trillium);
    read_messages(trillium);
    let_time_pass(trillium);
    write_messages(trillium);
    use_channels(trillium);
    trillium_close(trillium);
    doors_end();
    return 0;
}
