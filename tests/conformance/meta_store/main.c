/*
 * The meta_store suite: what every backend does in the same way, run on memory and on RocksDB (in a directory of its
 * own that is removed afterwards), then both side by side under random batches. RocksDB alone: what survives a process
 * that ends without closing.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/prng.h"
#include "controld/store/meta_memory.h"
#include "controld/store/rocks/meta_rocks.h"

static unsigned passed, failed;

static void expect(bool good, const char *backend, const char *what)
{
    if (good) {
        passed++;
        return;
    }
    failed++;
    printf("FAIL meta_store(%s): %s\n", backend, what);
}

static bool is(struct meta_store *store, const char *key, const char *wanted)
{
    struct buffer value = {0};
    enum status status = meta_get(store, bytes_text(key), &value);
    bool same = wanted ? status == STATUS_OK && bytes_equal(buffer_bytes(&value), bytes_text(wanted))
                       : status == STATUS_NOT_FOUND;
    buffer_free(&value);
    return same;
}

/* "k=v,k=v" puts, "k" deletes. */
static enum status commit(struct meta_store *store, const char *changes, uint64_t applied)
{
    struct meta_batch batch = {0};
    while (*changes) {
        size_t size = strcspn(changes, ","), key = strcspn(changes, "=,");
        if (key < size)
            meta_batch_put(&batch, bytes_of(changes, key), bytes_of(changes + key + 1, size - key - 1));
        else
            meta_batch_delete(&batch, bytes_of(changes, key));
        changes += size + (changes[size] == ',');
    }
    enum status status = meta_commit(store, &batch, applied);
    meta_batch_free(&batch);
    return status;
}

/* What a cursor shows, as "k=v,k=v,"; destroys it. */
static bool shows(struct meta_cursor *cursor, const char *wanted)
{
    char text[512] = "";
    size_t used = 0;
    struct bytes key, value;
    while (meta_cursor_next(cursor, &key, &value))
        used += (size_t)snprintf(
            text + used, sizeof text - used, "%.*s=%.*s,", (int)key.size, key.data, (int)value.size, value.data);
    bool good = meta_cursor_status(cursor) == STATUS_OK && !meta_cursor_next(cursor, &key, &value);
    meta_cursor_destroy(cursor);
    return good && strcmp(text, wanted) == 0;
}

static struct meta_cursor *cursor(struct meta_store *store, const char *from, const char *to)
{
    return meta_cursor_create(store, bytes_text(from), bytes_text(to));
}

static void run_suite(struct meta_store *store, const char *name)
{
    expect(is(store, "a", NULL) && meta_applied(store) == 0, name, "a new store is empty");
    expect(shows(cursor(store, "", ""), ""), name, "a cursor over nothing ends at once");
    expect(commit(store, "b=2,a=1,c=3,ab=12", 5) == STATUS_OK, name, "a batch is taken");
    expect(is(store, "a", "1") && is(store, "ab", "12") && is(store, "x", NULL), name, "puts are there");
    expect(meta_applied(store) == 5, name, "the applied index is the batch's");
    expect(meta_get(store, bytes_text("a"), NULL) == STATUS_OK, name, "a get without a buffer asks only");
    expect(shows(cursor(store, "", ""), "a=1,ab=12,b=2,c=3,"), name, "keys come in order, a prefix first");
    expect(shows(cursor(store, "ab", "c"), "ab=12,b=2,"), name, "from is in, to is out");
    expect(shows(cursor(store, "aa", "aa"), ""), name, "an empty interval shows nothing");
    expect(shows(cursor(store, "c", "a"), ""), name, "a reversed interval shows nothing");
    struct meta_cursor *old = cursor(store, "", "");
    expect(commit(store, "a,b=22,d=,d,e=5,e=55", 6) == STATUS_OK, name, "a second batch is taken");
    expect(is(store, "a", NULL) && is(store, "b", "22") && is(store, "d", NULL) && is(store, "e", "55"), name,
        "later changes of a batch win");
    expect(shows(old, "a=1,ab=12,b=2,c=3,"), name, "a cursor does not see later commits");
    expect(commit(store, "nothing", 7) == STATUS_OK && meta_applied(store) == 7, name,
        "deleting what is not there moves the index only");
    expect(commit(store, "", 8) == STATUS_OK && meta_applied(store) == 8, name, "an empty batch moves the index");
    expect(commit(store, "v=", 8) == STATUS_OK && is(store, "v", ""), name, "an empty value is a value");
    expect(shows(cursor(store, "", "\xff\xff"), "ab=12,b=22,c=3,e=55,v=,"), name, "the store's own keys are not shown");
    expect(meta_wipe(store) == STATUS_OK && meta_applied(store) == 0, name, "a wipe forgets the index");
    expect(shows(cursor(store, "", ""), ""), name, "a wipe leaves nothing");
    expect(commit(store, "a=again", 1) == STATUS_OK && is(store, "a", "again"), name, "a wiped store goes on");
}

static bool same_contents(struct meta_store *a, struct meta_store *b)
{
    struct meta_cursor *in_a = cursor(a, "", ""), *in_b = cursor(b, "", "");
    bool same = true, more = true;
    while (same && more) {
        struct bytes key_a, key_b, value_a, value_b;
        more = meta_cursor_next(in_a, &key_a, &value_a);
        same = more == meta_cursor_next(in_b, &key_b, &value_b);
        if (same && more) same = bytes_equal(key_a, key_b) && bytes_equal(value_a, value_b);
    }
    meta_cursor_destroy(in_a);
    meta_cursor_destroy(in_b);
    return same && meta_applied(a) == meta_applied(b);
}

static void run_side_by_side(struct meta_store *a, struct meta_store *b)
{
    struct prng prng = prng_seeded(7);
    CHECK(meta_wipe(a) == STATUS_OK && meta_wipe(b) == STATUS_OK);
    bool same = true;
    for (uint64_t round = 1; round <= 100 && same; round++) {
        struct meta_batch batch = {0};
        for (uint64_t changes = prng_below(&prng, 30); changes > 0; changes--) {
            uint8_t key[4], value[300];
            size_t key_size = prng_between(&prng, 1, sizeof key), value_size = prng_below(&prng, sizeof value);
            prng_fill(&prng, key, key_size);
            key[0] %= 5;
            prng_fill(&prng, value, value_size);
            if (prng_chance(&prng, 400000))
                meta_batch_delete(&batch, bytes_of(key, key_size));
            else
                meta_batch_put(&batch, bytes_of(key, key_size), bytes_of(value, value_size));
        }
        CHECK(meta_commit(a, &batch, round) == STATUS_OK && meta_commit(b, &batch, round) == STATUS_OK);
        meta_batch_free(&batch);
        same = same_contents(a, b);
    }
    expect(same, "memory, rocks", "the same batches leave the same contents");
}

/* A child commits and ends without closing anything. */
static void run_survival(const char *path)
{
    char error[META_ROCKS_ERROR_BYTES];
    struct meta_store *store = NULL;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (meta_rocks_open(path, &store, error) != STATUS_OK) _exit(1);
        if (meta_wipe(store) != STATUS_OK || commit(store, "a=1,b=2", 3) != STATUS_OK) _exit(1);
        _exit(commit(store, "b=3", 4) == STATUS_OK ? 0 : 1);
    }
    int state = 0;
    CHECK(waitpid(child, &state, 0) == child);
    expect(WIFEXITED(state) && WEXITSTATUS(state) == 0, "rocks", "the child commits");
    CHECK(meta_rocks_open(path, &store, error) == STATUS_OK);
    expect(is(store, "a", "1") && is(store, "b", "3") && meta_applied(store) == 4, "rocks",
        "what was committed is there after a sudden end");
    struct meta_store *second = NULL;
    expect(meta_rocks_open(path, &second, error) == STATUS_IO && error[0], "rocks", "a store in use says so");
    meta_store_destroy(store);
    expect(meta_rocks_remove(path) == STATUS_OK, "rocks", "a closed store can be removed");
    CHECK(meta_rocks_open(path, &store, error) == STATUS_OK);
    expect(meta_applied(store) == 0, "rocks", "a removed store is new again");
    meta_store_destroy(store);
}

static int remove_entry(const char *path, const struct stat *stat, int kind, struct FTW *at)
{
    (void)stat;
    (void)kind;
    (void)at;
    return remove(path);
}

int main(void)
{
    char folder[] = "conformance_meta.XXXXXX", path[64], error[META_ROCKS_ERROR_BYTES];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/meta", folder);
    run_survival(path); /* before RocksDB has threads in this process: it forks */
    struct meta_store *memory = meta_memory_create(), *rocks = NULL;
    CHECK(meta_rocks_open(path, &rocks, error) == STATUS_OK);
    run_suite(memory, "memory");
    run_suite(rocks, "rocks");
    run_side_by_side(memory, rocks);
    meta_store_destroy(memory);
    meta_store_destroy(rocks);
    CHECK(nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
    printf("meta_store: %u passed, %u failed\n", passed, failed);
    return failed > 0;
}
