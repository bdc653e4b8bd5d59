#include "common/daemon/log_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[80], older[80];

static void begin(void)
{
    snprintf(folder, sizeof folder, "/tmp/log_file_test.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(older, sizeof older, "%s/log.1", folder);
}

static void end(void)
{
    unlink(path);
    unlink(older);
    rmdir(folder);
}

static int64_t size_of(const char *file)
{
    struct stat info;
    return stat(file, &info) == 0 ? info.st_size : -1;
}

Test(log_file, keeps_two_files_within_the_bound, .init = begin, .fini = end)
{
    struct log_file *log;
    cr_assert_eq(log_file_open(path, 100, &log), STATUS_OK);
    for (int i = 0; i < 50; i++)
        log_file_sink(log, "123456789\n", 10);
    cr_assert_eq(size_of(path), 100);
    cr_assert_eq(size_of(older), 100);
    log_file_sink(log, "123456789\n", 10);
    cr_assert_eq(size_of(path), 10);
    cr_assert_eq(log_file_dropped(log), 0);
    log_file_close(log);
}

Test(log_file, goes_on_where_the_last_process_ended, .init = begin, .fini = end)
{
    struct log_file *log;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(log_file_open(path, 25, &log), STATUS_OK);
        log_file_sink(log, "123456789\n", 10);
        log_file_close(log);
    }
    cr_assert_eq(size_of(path), 10);
    cr_assert_eq(size_of(older), 20);
}

Test(log_file, a_folder_that_is_not_there_is_an_error, .init = begin, .fini = end)
{
    struct log_file *log;
    cr_assert_eq(log_file_open("/nonexistent/log", 100, &log), STATUS_IO);
}
