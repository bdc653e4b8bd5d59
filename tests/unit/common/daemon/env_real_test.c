/* Tests of the data directory as a process opens it: what is refused stays as it was, byte for byte. */
#include "common/daemon/env_real.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/hash.h"
#include "common/runtime/file_header.h"

static const struct uuid ours = {{1, 2, 3}}, theirs = {{9}};
static char folder[64], identity_path[80], lock_path[80];

static void begin(void)
{
    snprintf(folder, sizeof folder, "/tmp/env_real_test.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(identity_path, sizeof identity_path, "%s/identity", folder);
    snprintf(lock_path, sizeof lock_path, "%s/lock", folder);
}

static void end(void)
{
    unlink(identity_path);
    unlink(lock_path);
    rmdir(folder);
}

static void write_file(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static size_t read_file(const char *path, char *out, size_t most)
{
    int fd = open(path, O_RDONLY);
    ssize_t size = fd >= 0 ? read(fd, out, most) : -1;
    if (fd >= 0) close(fd);
    return size > 0 ? (size_t)size : 0;
}

/* Two copies as a daemon with this mark leaves them. */
static void write_identity(const struct uuid *cluster, uint16_t major, uint64_t mark)
{
    uint8_t file[IDENTITY_FILE_BYTES] = {0};
    for (unsigned copy = 0; copy < 2; copy++) {
        uint8_t *at = file + copy * IDENTITY_FILE_BYTES / 2;
        struct file_header header = {.kind = FILE_IDENTITY, .major = major, .cluster = *cluster, .file_id = copy};
        file_header_encode(&header, at);
        struct writer writer = writer_of(at + FILE_HEADER_BYTES, 64);
        write_bytes(&writer, bytes_of(theirs.bytes, sizeof theirs.bytes));
        write_u64(&writer, 7); /* boot */
        write_u64(&writer, mark + copy);
        write_u64(&writer, 4 + copy); /* generation */
        write_u32(&writer, crc32c(0, at + FILE_HEADER_BYTES, 40));
    }
    write_file(identity_path, file, sizeof file);
}

static struct env_real *open_it(void)
{
    char why[ENV_WHY_BYTES];
    struct env_real *real;
    struct env_real_options options = {.name = "test", .directory = folder, .backend = ENV_BACKEND_UV};
    cr_assert_eq(env_real_open(&options, &real, why), STATUS_OK, "%s", why);
    return real;
}

Test(env_real, a_new_directory_is_nobodys_and_is_signed_when_it_is_taken, .init = begin, .fini = end)
{
    struct env_real *real = open_it();
    struct identity identity;
    char why[ENV_WHY_BYTES], text[64] = "", number[32];
    cr_assert_eq(env_real_identity(real, &ours, &identity, why), STATUS_NOT_FOUND);
    cr_assert_eq(read_file(lock_path, text, sizeof text), 0);
    cr_assert_eq(env_real_sign(real, why), STATUS_OK, "%s", why);
    size_t size = read_file(lock_path, text, sizeof text);
    snprintf(number, sizeof number, "%ld\n", (long)getpid());
    cr_assert(size == strlen(number) && memcmp(text, number, size) == 0);
    env_real_close(real);
}

Test(env_real, the_newer_whole_copy_tells_whose_it_is, .init = begin, .fini = end)
{
    write_identity(&ours, 1, 20);
    struct env_real *real = open_it();
    struct identity identity;
    char why[ENV_WHY_BYTES];
    cr_assert_eq(env_real_identity(real, &ours, &identity, why), STATUS_OK, "%s", why);
    cr_assert(identity.boot == 7 && identity.mark == 21);
    env_real_close(real);
}

Test(env_real, what_is_refused_stays_as_it_was_and_the_sentence_names_it, .init = begin, .fini = end)
{
    static const struct {
        const struct uuid *cluster;
        uint16_t major;
        const char *word;
    } cases[] = {{&theirs, 1, "cluster"}, {&ours, 2, "newer"}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_identity(cases[i].cluster, cases[i].major, 0);
        write_file(lock_path, "4711\n", 5);
        struct env_real *real = open_it();
        struct identity identity;
        char why[ENV_WHY_BYTES] = "", text[64];
        cr_assert_eq(env_real_identity(real, &ours, &identity, why), STATUS_CONFLICT);
        cr_assert(strstr(why, folder) && strstr(why, cases[i].word), "%s", why);
        env_real_close(real);
        cr_assert(read_file(lock_path, text, sizeof text) == 5 && memcmp(text, "4711\n", 5) == 0);
    }
}

Test(env_real, an_identity_that_is_cut_short_is_damaged_not_new, .init = begin, .fini = end)
{
    write_file(identity_path, "TRIL", 4);
    struct env_real *real = open_it();
    struct identity identity;
    char why[ENV_WHY_BYTES] = "";
    cr_assert_eq(env_real_identity(real, &ours, &identity, why), STATUS_CORRUPT);
    cr_assert(strstr(why, "identity"), "%s", why);
    env_real_close(real);
}
