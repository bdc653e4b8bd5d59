/* uuid: text form. */
#include "common/base/uuid.h"

static bool is_dash(unsigned position)
{
    return position == 8 || position == 13 || position == 18 || position == 23;
}

void uuid_text(const struct uuid *uuid, char out[UUID_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    unsigned at = 0;
    for (unsigned i = 0; i < sizeof uuid->bytes; i++) {
        if (is_dash(at)) out[at++] = '-';
        out[at++] = digits[uuid->bytes[i] >> 4];
        out[at++] = digits[uuid->bytes[i] & 15];
    }
    out[at] = '\0';
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

bool uuid_parse(const char *text, struct uuid *out)
{
    if (strlen(text) != UUID_TEXT_BYTES - 1) return false;
    struct uuid parsed;
    unsigned at = 0;
    for (unsigned i = 0; i < sizeof parsed.bytes; i++) {
        if (is_dash(at) && text[at++] != '-') return false;
        int high = digit_value(text[at]), low = digit_value(text[at + 1]);
        if (high < 0 || low < 0) return false;
        parsed.bytes[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    *out = parsed;
    return true;
}
