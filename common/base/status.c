#include "common/base/status.h"

const char *status_name(enum status status)
{
    switch (status) {
#define STATUS(number, name, class, text)                                                                              \
    case STATUS_##name:                                                                                                \
        return #name;
#include "common/base/status.def"
#undef STATUS
    }
    return "?";
}

const char *status_text(enum status status)
{
    switch (status) {
#define STATUS(number, name, class, text)                                                                              \
    case STATUS_##name:                                                                                                \
        return text;
#include "common/base/status.def"
#undef STATUS
    }
    return "a status of a newer version";
}

enum status_class status_class(enum status status)
{
    switch (status) {
#define STATUS(number, name, class, text)                                                                              \
    case STATUS_##name:                                                                                                \
        return STATUS_CLASS_##class;
#include "common/base/status.def"
#undef STATUS
    }
    return STATUS_CLASS_UNKNOWN;
}

const char *status_class_name(enum status_class class)
{
    static const char *const names[] = {"DONE", "REFUSED", "FINAL", "RETRY", "UNKNOWN", "LOCAL"};
    return (unsigned)class < sizeof names / sizeof *names ? names[class] : "?";
}

bool status_known(uint16_t number)
{
    return status_name((enum status)number)[0] != '?';
}
