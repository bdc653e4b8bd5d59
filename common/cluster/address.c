#include "common/cluster/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_TEXT_BYTES_MAX = 6 /* ":65535" */, HOST_BYTES_MAX = ADDRESS_BYTES - PORT_TEXT_BYTES_MAX - 1 };

enum status address_complete(const char *text, uint16_t default_port, char out[ADDRESS_BYTES])
{
    size_t size = strlen(text);
    if (size == 0 || size > HOST_BYTES_MAX + PORT_TEXT_BYTES_MAX) return STATUS_BAD_REQUEST;
    if (!strrchr(text, ':')) {
        if (size > HOST_BYTES_MAX) return STATUS_BAD_REQUEST;
        snprintf(out, ADDRESS_BYTES, "%s:%u", text, default_port);
        return STATUS_OK;
    }
    return address_shift(text, 0, out);
}

enum status address_shift(const char *address, unsigned distance, char out[ADDRESS_BYTES])
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || colon - address > HOST_BYTES_MAX) return STATUS_BAD_REQUEST;
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits]) return STATUS_BAD_REQUEST;
    unsigned long port = strtoul(colon + 1, NULL, 10);
    if (port == 0 || distance > 65535 || port + distance > 65535) return STATUS_BAD_REQUEST;
    snprintf(out, ADDRESS_BYTES, "%.*s:%lu", (int)(colon - address), address, port + distance);
    return STATUS_OK;
}
