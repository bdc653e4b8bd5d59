/*
 * messages: between the public struct trillium_message and rows, pages and calls. Pure.
 */
#ifndef TRILLIUM_CLIENT_MESSAGES_H
#define TRILLIUM_CLIENT_MESSAGES_H

#include "client/trillium.h"
#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/status.h"

/* Appends the create's row. TOO_BIG: content or row above their limits; BAD_REQUEST: content is not UTF-8. */
enum status messages_encode(const struct trillium_message *message, struct buffer *out) MUST_CHECK;
/* Appends an edit's row that sets content and edited_at, stamped. */
enum status messages_encode_edit(struct trillium_bytes content, int64_t stamp_us, struct buffer *out) MUST_CHECK;
/* The message's bytes point into row. BAD_REQUEST: malformed. */
enum status messages_decode(uint64_t channel, uint64_t id, struct bytes row, struct trillium_message *out) MUST_CHECK;
/* All messages of a visible page, in arena memory; turned round when reverse. */
enum status messages_decode_page(
    uint64_t channel, struct bytes page, bool reverse, struct arena *arena, struct trillium_page *out) MUST_CHECK;

#endif
