#include "tests/unit/controld/raft/interaction.h"

#include <criterion/criterion.h>
#include <string.h>

/* Drops the lines of that implementation's own log; nothing left counts as "ok". */
static void strip_log(char text[CORPUS_TEXT_MAX])
{
    static const char *const levels[] = {"INFO ", "DEBUG ", "WARN ", "ERROR "};
    char *to = text;
    for (char *line = text; *line;) {
        size_t size = strcspn(line, "\n") + 1;
        bool log = false;
        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
            log |= strncmp(line + strspn(line, " "), levels[i], strlen(levels[i])) == 0;
        if (!log) {
            memmove(to, line, size);
            to += size;
        }
        line += size;
    }
    *to = 0;
    if (to == text) strcpy(text, "ok\n");
}

static void run_file(const char *name, int blocks_expected)
{
    char path[128];
    snprintf(path, sizeof path, "interaction/%s.txt", name);
    FILE *file = corpus_open(path);
    static struct corpus_block block;
    static struct interaction run;
    memset(&block, 0, sizeof block);
    memset(&run, 0, sizeof run);
    int blocks = 0;
    while (corpus_next(file, &block)) {
        cr_assert(interaction_run(&run, &block), "%s:%d: unknown command %s", name, block.line, block.command);
        strip_log(block.expected);
        cr_assert_str_eq(run.out, block.expected, "%s:%d: %s gave\n%swanted\n%s", name, block.line, block.command,
            run.out, block.expected);
        blocks++;
    }
    fclose(file);
    interaction_fini(&run);
    cr_assert_eq(blocks, blocks_expected, "%s: %d blocks", name, blocks);
}

/* The other files of the corpus change members, forget leaders, or run storage in another rhythm than ours (votes are
   requested there before the vote is durable). */
#define PUBLISHED(name, blocks)                                                                                        \
    Test(interaction, name##_matches_the_published_one)                                                                \
    {                                                                                                                  \
        run_file(#name, blocks);                                                                                       \
    }

PUBLISHED(campaign, 4)
PUBLISHED(checkquorum, 15)
PUBLISHED(heartbeat_resp_recovers_from_probing, 11)
PUBLISHED(lagging_commit, 17)
PUBLISHED(prevote, 16)
PUBLISHED(prevote_checkquorum, 18)
PUBLISHED(probe_and_replicate, 74)
PUBLISHED(replicate_pause, 32)
PUBLISHED(single_node, 4)
PUBLISHED(slow_follower_after_compaction, 25)
PUBLISHED(snapshot_succeed_via_app_resp, 18)
PUBLISHED(snapshot_succeed_via_app_resp_behind, 25)
