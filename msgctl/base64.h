/* base64: RFC 4648, section 4, with padding. Pure. */
#ifndef TRILLIUM_MSGCTL_BASE64_H
#define TRILLIUM_MSGCTL_BASE64_H

#include <stdbool.h>

#include "common/base/bytes.h"

static inline size_t base64_encoded_size(size_t size)
{
    return (size + 2) / 3 * 4;
}

/* Writes base64_encoded_size(bytes.size) characters, no zero. */
void base64_encode(struct bytes bytes, char *out);
/* Takes what base64_encode writes and nothing else. out has room for text.size / 4 * 3 bytes. */
bool base64_decode(struct bytes text, uint8_t *out, size_t *size);

#endif
