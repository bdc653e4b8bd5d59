// links: msgctl_core wal noded_core
/*
 * fuzz_words: the small parsers of text: times, uuids, addresses, base64, names of files, levels of logs, keys, the
 * checkpoint of an import. What one takes prints as something that it takes again for the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/uuid.h"
#include "common/cluster/address.h"
#include "common/model/key.h"
#include "common/wal/wal_format.h"
#include "msgctl/base64.h"
#include "msgctl/checkpoint.h"
#include "msgctl/iso_time.h"
#include "noded/lsm/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_time(struct bytes text)
{
    char printed[ISO_TIME_BYTES];
    int64_t ms, again;
    if (!iso_time_parse(text, &ms) || !iso_time_print(ms, printed)) return;
    CHECK(iso_time_parse(bytes_text(printed), &again) && again == ms);
}

static void try_uuid(const char *text)
{
    struct uuid uuid, again;
    char printed[UUID_TEXT_BYTES];
    if (!uuid_parse(text, &uuid)) return;
    uuid_text(&uuid, printed);
    CHECK(uuid_parse(printed, &again) && uuid_equal(&uuid, &again));
}

static void try_address(const char *text)
{
    char whole[ADDRESS_BYTES], again[ADDRESS_BYTES], shifted[ADDRESS_BYTES];
    if (address_complete(text, PORT_NODE, whole) != STATUS_OK) return;
    CHECK(address_complete(whole, 1, again) == STATUS_OK && strcmp(whole, again) == 0);
    if (address_shift(whole, 7, shifted) == STATUS_OK) CHECK(address_complete(shifted, 1, again) == STATUS_OK);
}

static void try_base64(struct bytes text)
{
    uint8_t *out = mem_alloc(text.size + 4);
    char *printed = mem_alloc(text.size + 8);
    size_t size = 0;
    if (base64_decode(text, out, &size)) {
        CHECK(size <= text.size && base64_encoded_size(size) <= text.size + 4);
        base64_encode(bytes_of(out, size), printed);
        CHECK(base64_encoded_size(size) == text.size && memcmp(printed, text.data, text.size) == 0);
    }
    mem_free(out);
    mem_free(printed);
}

static void try_names(const char *text)
{
    char printed[WAL_NAME_BYTES];
    uint8_t log;
    uint32_t segment;
    bool unfinished;
    uint64_t number;
    if (wal_name_parse(text, &log, &segment, &unfinished)) {
        wal_name(log, segment, printed);
        CHECK(strncmp(text, printed, strlen(printed)) == 0);
    }
    (void)manifest_name_parse(text, &number);
    int level = log_level_parse(text);
    CHECK(level >= -1 && level <= LOG_LEVEL_ERROR);
}

static void try_key(struct bytes key)
{
    uint64_t channel, id;
    uint8_t again[KEY_MESSAGE_BYTES];
    if (!key_message_parse(key, &channel, &id)) return;
    key_message(channel, id, again);
    CHECK(bytes_equal(key, bytes_of(again, sizeof again)));
}

static void try_checkpoint(struct bytes text)
{
    struct tracker tracker, again;
    struct checkpoint_state state;
    struct buffer first = {0}, second = {0};
    tracker_init(&tracker);
    tracker_init(&again);
    if (checkpoint_decode(text, &tracker, &state) == STATUS_OK) {
        tracker_print(&tracker, &first);
        CHECK(tracker_parse(&again, buffer_bytes(&first)) == STATUS_OK);
        tracker_print(&again, &second);
        CHECK(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
    }
    buffer_free(&first);
    buffer_free(&second);
    tracker_fini(&tracker);
    tracker_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_alloc(size + 1); /* its own block, so that a read behind it is noticed */
    memcpy(text, data, size);
    text[size] = 0;
    struct bytes bytes = bytes_of(text, size);
    try_time(bytes);
    try_uuid(text);
    try_address(text);
    try_base64(bytes);
    try_names(text);
    try_key(bytes);
    try_checkpoint(bytes);
    mem_free(text);
    return 0;
}
