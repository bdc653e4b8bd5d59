#include "common/cluster/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status address_complete(const char *text, uint16_t default_port, char out[ADDRESS_BYTES])
{
    size_t size = strlen(text);
    if (size == 0 || size > ADDRESS_BYTES - 8) return STATUS_BAD_REQUEST;
    if (!strrchr(text, ':')) {
        snprintf(out, ADDRESS_BYTES, "%s:%u", text, default_port);
        return STATUS_OK;
    }
    return address_shift(text, 0, out);
}

enum status address_shift(const char *address, unsigned distance, char out[ADDRESS_BYTES])
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || strlen(address) > ADDRESS_BYTES - 8) return STATUS_BAD_REQUEST;
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end || end == colon + 1 || port == 0 || port + distance > 65535) return STATUS_BAD_REQUEST;
    snprintf(out, ADDRESS_BYTES, "%.*s:%lu", (int)(colon - address), address, port + distance);
    return STATUS_OK;
}
