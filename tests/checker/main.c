/*
 * checker: judges histories of clients.
 *
 *   checker FILE...              (- is standard input) exit 0: all rules kept, 1: broken, 2: usage or malformed
 *   checker --generate SEED OPS  prints a right history
 *   checker --self-test [SEEDS]  right histories are accepted, and each of many wrong answers is found
 */
#include <stdlib.h>
#include <string.h>

#include "tests/checker/checker.h"
#include "tests/checker/generate.h"

static int check_file(const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "checker: %s: %m\n", path);
        return 2;
    }
    struct history history = {0};
    uint32_t line;
    enum status status = history_read(&history, file, &line);
    if (file != stdin) fclose(file);
    struct check_result result = {0};
    if (status != STATUS_OK) {
        fprintf(stderr, "checker: %s:%u: not an operation of a history\n", path, line);
    } else {
        check_history(&history, &result);
        check_print(&history, &result, stdout);
    }
    history_free(&history);
    return status != STATUS_OK ? 2 : result.violations_count ? 1 : 0;
}

int main(int count, char **arguments)
{
    if (count == 4 && strcmp(arguments[1], "--generate") == 0) {
        struct history history =
            generate_history(strtoull(arguments[2], NULL, 10), (uint32_t)strtoul(arguments[3], NULL, 10));
        history_write(&history, stdout);
        history_free(&history);
        return 0;
    }
    if (count >= 2 && strcmp(arguments[1], "--self-test") == 0)
        return generate_self_test(count > 2 ? (uint32_t)strtoul(arguments[2], NULL, 10) : 20, 1500) ? 1 : 0;
    if (count < 2 || arguments[1][0] == '-') {
        if (count < 2 || strcmp(arguments[1], "-") != 0) {
            fprintf(stderr, "usage: checker FILE... | --generate SEED OPS | --self-test [SEEDS]\n");
            return 2;
        }
    }
    int worst = 0;
    for (int i = 1; i < count; i++) {
        int result = check_file(arguments[i]);
        if (result > worst) worst = result;
    }
    return worst;
}
