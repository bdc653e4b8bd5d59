#include "common/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
    fflush(stderr);
    abort();
}

/* The one planted bug that is on. Set by a test before any thread starts, read afterwards. */
static const char *planted;

void plant_set(const char *name)
{
    planted = name;
}

bool plant_is_on(const char *name)
{
    return planted != NULL && strcmp(planted, name) == 0;
}
