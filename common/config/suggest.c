#include "common/config/suggest.h"

#include <string.h>

enum { LENGTH_MAX = 127 };

/* Levenshtein's distance over one row of its table; lengths are cut at LENGTH_MAX. */
static size_t distance(const char *a, const char *b)
{
    size_t row[LENGTH_MAX + 1], a_size = strnlen(a, LENGTH_MAX), b_size = strnlen(b, LENGTH_MAX);
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best) best = above + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[b_size];
}

static const char *last_word(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? dot + 1 : path;
}

const char *suggest_path(const struct config_table *table, const char *path)
{
    const char *best = NULL;
    size_t best_distance = strlen(path) / 3 + 2;
    for (size_t i = 0; i < table->count; i++) {
        size_t far = distance(path, table->fields[i].path);
        if (far >= best_distance) continue;
        best_distance = far;
        best = table->fields[i].path;
    }
    for (size_t i = 0; best == NULL && i < table->count; i++)
        if (strcmp(last_word(table->fields[i].path), last_word(path)) == 0) best = table->fields[i].path;
    return best;
}
