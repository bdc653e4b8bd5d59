#include "common/rpc/methods.h"

#include <stddef.h>

static const char *const NAMES[METHODS_MAX] = {
#define METHOD(number, name) [number] = #name,
#include "common/rpc/methods.def"
#undef METHOD
};

const char *method_name(uint16_t method)
{
    return method < METHODS_MAX && NAMES[method] ? NAMES[method] : "?";
}
