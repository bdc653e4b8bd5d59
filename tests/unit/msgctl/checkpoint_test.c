#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "msgctl/checkpoint.h"

static const struct digest source = {1, 2}, other_source = {1, 3};
static const struct uuid cluster = {{1}}, other_cluster = {{2}};

static char home[64], why[CHECKPOINT_WHY_BYTES];

static void make_home(void)
{
    snprintf(home, sizeof home, "/tmp/checkpoint_test.XXXXXX");
    cr_assert(mkdtemp(home));
    setenv("XDG_STATE_HOME", home, 1);
}

Test(checkpoint, what_was_saved_is_loaded, .init = make_home)
{
    struct checkpoint checkpoint;
    struct tracker tracker, loaded;
    struct checkpoint_state state = {.counts = {5, 6, 7, 8, 9}}, again;
    tracker_init(&tracker);
    tracker_init(&loaded);
    for (uint64_t line = 1; line <= 3; line++)
        cr_assert(tracker_take(&tracker, line, line * 7));
    tracker_settle(&tracker, 1);
    tracker_settle(&tracker, 3);
    cr_assert(checkpoint_open(&checkpoint, &source, &cluster, why) == STATUS_OK);
    cr_expect(checkpoint_load(&checkpoint, &loaded, &again) == STATUS_NOT_FOUND);
    cr_expect(checkpoint_save(&checkpoint, &tracker, &state) == STATUS_OK);
    cr_expect(checkpoint_load(&checkpoint, &loaded, &again) == STATUS_OK);
    cr_expect(loaded.base_line == 1 && loaded.base_offset == 7 && memcmp(&state, &again, sizeof state) == 0);
    cr_expect(tracker_take(&loaded, 2, 14) && !tracker_take(&loaded, 3, 21));
    checkpoint_close(&checkpoint);
    tracker_fini(&tracker);
    tracker_fini(&loaded);
}

Test(checkpoint, it_tells_when_an_import_was_complete, .init = make_home)
{
    struct checkpoint checkpoint;
    struct tracker tracker;
    struct checkpoint_state state = {.counts = {.stored = 3}, .completed_ms = 1700000000000}, again;
    tracker_init(&tracker);
    cr_assert(checkpoint_open(&checkpoint, &source, &cluster, why) == STATUS_OK);
    cr_expect(checkpoint_save(&checkpoint, &tracker, &state) == STATUS_OK);
    checkpoint_close(&checkpoint);
    cr_assert(checkpoint_open(&checkpoint, &source, &cluster, why) == STATUS_OK);
    cr_expect(checkpoint_load(&checkpoint, &tracker, &again) == STATUS_OK);
    cr_expect(again.completed_ms == 1700000000000 && again.counts.stored == 3);
    checkpoint_close(&checkpoint);
    tracker_fini(&tracker);
}

Test(checkpoint, it_belongs_to_one_input_and_one_cluster, .init = make_home)
{
    struct checkpoint first, second;
    cr_assert(checkpoint_open(&first, &source, &cluster, why) == STATUS_OK);
    cr_expect(checkpoint_open(&second, &source, &cluster, why) == STATUS_CONFLICT);
    cr_expect(checkpoint_open(&second, &other_source, &cluster, why) == STATUS_OK);
    checkpoint_close(&second);
    cr_expect(checkpoint_open(&second, &source, &other_cluster, why) == STATUS_OK);
    checkpoint_close(&second);
    checkpoint_close(&first);
    cr_expect(checkpoint_open(&second, &source, &cluster, why) == STATUS_OK);
    checkpoint_close(&second);
}

Test(checkpoint, a_damaged_one_is_no_checkpoint, .init = make_home)
{
    struct checkpoint checkpoint;
    struct tracker tracker;
    struct checkpoint_state state;
    tracker_init(&tracker);
    cr_assert(checkpoint_open(&checkpoint, &source, &cluster, why) == STATUS_OK);
    FILE *file = fopen(checkpoint.path, "w");
    fputs("trillium-import 2\ncounts 1 2 3 4 5\ncompleted 0\ndone 1 2\nbey", file);
    fclose(file);
    cr_expect(checkpoint_load(&checkpoint, &tracker, &state) == STATUS_BAD_REQUEST);
    checkpoint_close(&checkpoint);
    tracker_fini(&tracker);
}
