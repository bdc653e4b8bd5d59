#include "controld/raft/quorum.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/controld/raft/corpus.h"

/* What is known of each voter. */
struct known {
    uint64_t ids[CORPUS_VALUES_MAX];
    bool present[CORPUS_VALUES_MAX];
    uint64_t indices[CORPUS_VALUES_MAX];
    int votes[CORPUS_VALUES_MAX];
    int count;
};

static int slot_of(const struct known *known, uint64_t id)
{
    for (int i = 0; i < known->count; i++)
        if (known->ids[i] == id) return i;
    return -1;
}

static uint64_t index_of(const void *context, uint64_t id)
{
    const struct known *known = context;
    int slot = slot_of(known, id);
    return slot >= 0 && known->present[slot] ? known->indices[slot] : 0;
}

static int vote_of(const void *context, uint64_t id)
{
    const struct known *known = context;
    int slot = slot_of(known, id);
    return slot >= 0 ? known->votes[slot] : 0;
}

static void read_voters(const struct corpus_argument *argument, struct quorum *quorum, struct known *known)
{
    for (int i = 0; argument && i < argument->values_count; i++) {
        if (strcmp(argument->values[i], "zero") == 0) continue;
        uint64_t id = strtoull(argument->values[i], NULL, 10);
        cr_assert(quorum_add(quorum, id));
        if (slot_of(known, id) < 0) known->ids[known->count++] = id;
    }
}

/* The table that the published tests print: a bar per voter, as long as the number of voters below it. */
static void print_table(const struct known *known, char *out, size_t size)
{
    int n = known->count, used = 0;
    used += snprintf(out + used, size - (size_t)used, "%*s    idx\n", n, "");
    uint64_t ids[CORPUS_VALUES_MAX];
    for (int i = 0; i < n; i++) {
        int at = i;
        for (; at > 0 && ids[at - 1] > known->ids[i]; at--)
            ids[at] = ids[at - 1];
        ids[at] = known->ids[i];
    }
    for (int i = 0; i < n; i++) {
        int slot = slot_of(known, ids[i]), below = 0;
        for (int other = 0; other < n; other++)
            below += index_of(known, known->ids[other]) < index_of(known, ids[i]);
        char bar[CORPUS_VALUES_MAX + 1];
        memset(bar, ' ', (size_t)n + 1);
        if (known->present[slot]) {
            memset(bar, 'x', (size_t)below);
            bar[below] = '>';
        } else {
            bar[0] = '?';
        }
        used += snprintf(out + used, size - (size_t)used, "%.*s %5llu    (id=%llu)\n", n + 1, bar,
            (unsigned long long)index_of(known, ids[i]), (unsigned long long)ids[i]);
    }
}

static void run_block(const struct corpus_block *block, char out[CORPUS_TEXT_MAX])
{
    struct quorum_joint joint = {0};
    struct known known = {0};
    read_voters(corpus_argument(block, "cfg"), &joint.incoming, &known);
    read_voters(corpus_argument(block, "cfgj"), &joint.outgoing, &known);
    const struct corpus_argument *indices = corpus_argument(block, "idx"), *votes = corpus_argument(block, "votes");
    cr_assert(!indices || indices->values_count == known.count);
    cr_assert(!votes || votes->values_count == known.count);
    for (int i = 0; i < known.count; i++) {
        known.present[i] = indices && strcmp(indices->values[i], "_") != 0;
        if (known.present[i]) known.indices[i] = strtoull(indices->values[i], NULL, 10);
        if (votes) known.votes[i] = votes->values[i][0] == 'y' ? 1 : votes->values[i][0] == 'n' ? -1 : 0;
    }
    bool is_joint = corpus_argument(block, "cfgj") != NULL;
    if (strcmp(block->command, "vote") == 0) {
        static const char *const names[] = {"VotePending", "VoteLost", "VoteWon"};
        enum quorum_verdict verdict =
            is_joint ? quorum_joint_vote(&joint, vote_of, &known) : quorum_vote(&joint.incoming, vote_of, &known);
        snprintf(out, CORPUS_TEXT_MAX, "%s\n", names[verdict]);
        return;
    }
    cr_assert_str_eq(block->command, "committed");
    uint64_t committed = is_joint ? quorum_joint_committed(&joint, index_of, &known)
                                  : quorum_committed(&joint.incoming, index_of, &known);
    if (known.count == 0)
        snprintf(out, CORPUS_TEXT_MAX, "<empty majority quorum>");
    else
        print_table(&known, out, CORPUS_TEXT_MAX);
    size_t used = strlen(out);
    if (committed == QUORUM_UNBOUNDED)
        snprintf(out + used, CORPUS_TEXT_MAX - used, "∞\n");
    else
        snprintf(out + used, CORPUS_TEXT_MAX - used, "%llu\n", (unsigned long long)committed);
}

static void run_file(const char *name, int blocks_expected)
{
    FILE *file = corpus_open(name);
    static struct corpus_block block;
    static char out[CORPUS_TEXT_MAX];
    int blocks = 0;
    memset(&block, 0, sizeof block);
    while (corpus_next(file, &block)) {
        out[0] = 0;
        run_block(&block, out);
        cr_assert_str_eq(out, block.expected, "%s:%d: got\n%swanted\n%s", name, block.line, out, block.expected);
        blocks++;
    }
    fclose(file);
    cr_assert_eq(blocks, blocks_expected, "%s: %d blocks", name, blocks);
}

Test(quorum, majority_commits_match_the_published_cases)
{
    run_file("quorum/majority_commit.txt", 16);
}

Test(quorum, majority_votes_match_the_published_cases)
{
    run_file("quorum/majority_vote.txt", 22);
}

Test(quorum, joint_commits_match_the_published_cases)
{
    run_file("quorum/joint_commit.txt", 50);
}

Test(quorum, joint_votes_match_the_published_cases)
{
    run_file("quorum/joint_vote.txt", 39);
}

Test(quorum, ids_are_kept_ascending_and_distinct)
{
    struct quorum quorum = {0};
    cr_assert(quorum_add(&quorum, 5));
    cr_assert(quorum_add(&quorum, 1));
    cr_assert(quorum_add(&quorum, 3));
    cr_assert(quorum_add(&quorum, 3));
    cr_assert_eq(quorum.count, 3);
    cr_assert_eq(quorum.ids[0], 1);
    cr_assert_eq(quorum.ids[2], 5);
    for (uint64_t id = 10; id < 10 + QUORUM_MEMBERS_MAX - 3; id++)
        cr_assert(quorum_add(&quorum, id));
    cr_assert_not(quorum_add(&quorum, 99));
}

Test(quorum, an_empty_set_forbids_nothing)
{
    struct quorum_joint joint = {0};
    struct known known = {0};
    cr_assert_eq(quorum_joint_committed(&joint, index_of, &known), QUORUM_UNBOUNDED);
    cr_assert_eq(quorum_joint_vote(&joint, vote_of, &known), QUORUM_WON);
}
