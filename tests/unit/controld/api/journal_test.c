#include "controld/api/journal.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/prng.h"
#include "common/runtime/fiber.h"
#include "common/runtime/reactor.h"
#include "tests/sim/solo.h"

enum { ENTRIES_MAX = 4096, PAYLOAD_MAX = 200 << 10 };

/* A log as Raft would write it, with random cuts, marks and resets; what must be found again after a crash. */
struct script {
    struct prng prng;
    unsigned steps;
    bool reopen_only;
    /* The log as given, and as durable. */
    uint64_t first, last; /* entries [first, last] */
    uint64_t terms[ENTRIES_MAX];
    uint64_t term, token, durable_token;
    struct raft_snapshot snapshot;
    /* What the last durable token stood for. */
    uint64_t tokens_last[ENTRIES_MAX], tokens_term[ENTRIES_MAX];
    uint64_t mark_asked, mark_durable;
    uint64_t bytes_most, bytes_now;
    char failure[200];
    struct journal *journal;
    struct reactor *reactor;
    struct gate gate;
};

#define FAIL(script, ...)                                                                                              \
    do {                                                                                                               \
        if (!(script)->failure[0]) snprintf((script)->failure, sizeof(script)->failure, __VA_ARGS__);                  \
    } while (0)

static void on_durable(void *context, uint64_t token)
{
    struct script *script = context;
    if (token <= script->durable_token) FAIL(script, "token %lu comes twice", (unsigned long)token);
    script->durable_token = token;
    gate_open(&script->gate);
}

static void on_marked(void *context, struct raft_snapshot snapshot)
{
    struct script *script = context;
    script->mark_durable = snapshot.index;
    uint64_t keep = prng_below(&script->prng, 30);
    if (snapshot.index > keep) journal_forget(script->journal, snapshot.index - keep);
    gate_open(&script->gate);
}

static const struct uuid CLUSTER = {{3}};

/* What is found holds all that was durable: either it, or what was given after it. */
static void judge(struct script *script, const struct raft_replay *replay)
{
    uint64_t term = script->durable_token ? script->tokens_term[script->durable_token] : 0;
    if (replay->hard.term < term) FAIL(script, "the term went back");
    if (replay->snapshot.index < script->mark_durable) FAIL(script, "the mark is gone");
    struct raft_boot boot = raft_replay_boot(replay, 0);
    struct raft *raft;
    struct raft_options options = {.id = 1, .seed = 1};
    CHECK(quorum_add(&options.voters, 1));
    if (raft_create(&options, &boot, &raft) != STATUS_OK)
        FAIL(script, "the core refuses what was found");
    else
        raft_destroy(raft);
    for (size_t i = 0; i < replay->entries_count; i++) {
        const struct raft_entry *entry = replay->entries[i];
        for (uint32_t at = 0; at < entry->data_size; at += 997)
            if (entry->data[at] != (uint8_t)(entry->index * 7 + entry->term)) FAIL(script, "an entry is not its own");
    }
}

static void write_some(struct script *script)
{
    struct raft_write write = {.token = ++script->token};
    if (prng_below(&script->prng, 4) == 0 || script->term == 0) script->term++;
    write.has_hard = true;
    write.hard = (struct raft_hard_state){.term = script->term, .vote = 1};
    uint64_t kept = script->mark_asked > script->snapshot.index ? script->mark_asked : script->snapshot.index;
    if (prng_below(&script->prng, 6) == 0 && script->last > kept) {
        write.truncate = true;
        write.truncate_after = kept + prng_below(&script->prng, script->last - kept);
        script->last = write.truncate_after;
    }
    struct raft_entry *entries[8];
    write.entries = entries;
    for (uint64_t count = prng_below(&script->prng, 8); count > 0 && script->last + 1 < ENTRIES_MAX; count--) {
        size_t size =
            prng_below(&script->prng, 3) ? prng_below(&script->prng, 300) : prng_below(&script->prng, PAYLOAD_MAX);
        uint64_t index = ++script->last;
        uint8_t *payload = mem_alloc(size + 1);
        memset(payload, (uint8_t)(index * 7 + script->term), size);
        entries[write.entries_count++] =
            raft_entry_create(script->term, index, RAFT_ENTRY_NORMAL, bytes_of(payload, size));
        script->terms[index] = script->term;
        mem_free(payload);
    }
    script->tokens_last[script->token] = script->last;
    script->tokens_term[script->token] = script->term;
    journal_write(script->journal, &write);
    for (uint32_t i = 0; i < write.entries_count; i++)
        raft_entry_unref(entries[i]);
}

static void mark_some(struct script *script)
{
    uint64_t most = script->durable_token ? script->tokens_last[script->durable_token] : 0;
    for (uint64_t token = script->durable_token; token <= script->token; token++)
        if (script->tokens_last[token] < most) most = script->tokens_last[token];
    if (most <= script->mark_asked || journal_is_installing(script->journal)) return;
    uint64_t index = script->mark_asked + 1 + prng_below(&script->prng, most - script->mark_asked);
    script->mark_asked = index;
    journal_mark(script->journal, (struct raft_snapshot){index, script->terms[index]});
}

static void run_script(struct reactor *reactor, void *argument)
{
    struct script *script = argument;
    struct raft_replay replay = {0};
    struct journal_options options = {
        .reactor = reactor, .cluster = CLUSTER, .durable = on_durable, .marked = on_marked, .context = script};
    char why[320] = "";
    gate_init(&script->gate);
    if (journal_open(&options, &replay, &script->journal, why) != STATUS_OK) {
        FAIL(script, "it does not open: %.150s", why);
        return;
    }
    judge(script, &replay);
    raft_replay_free(&replay);
    for (unsigned step = 0; step < script->steps && !script->reopen_only; step++) {
        if (prng_below(&script->prng, 10) == 0)
            mark_some(script);
        else
            write_some(script);
        if (prng_below(&script->prng, 3) == 0) gate_wait(reactor, &script->gate, reactor_now_ns(reactor) + 50000000);
        script->bytes_now = journal_bytes(script->journal);
        if (script->bytes_now > script->bytes_most) script->bytes_most = script->bytes_now;
    }
    journal_close(script->journal);
}

static struct script *script_create(uint64_t seed, unsigned steps)
{
    struct script *script = mem_zalloc(sizeof *script);
    script->prng = prng_seeded(seed);
    script->steps = steps;
    return script;
}

Test(journal, what_was_durable_is_found_after_a_power_cut)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct script *script = script_create(seed, 60);
        struct solo *solo = solo_create(seed, NULL);
        enum solo_end end = solo_run(solo, run_script, script, 20 + prng_below(&script->prng, 200));
        cr_assert(
            end == SOLO_CUT || end == SOLO_RETURNED, "seed %lu: %d %s", (unsigned long)seed, end, script->failure);
        script->reopen_only = true;
        sim_disk_crash(solo_disk(solo));
        cr_assert_eq(solo_run(solo, run_script, script, SOLO_TO_THE_END), SOLO_RETURNED);
        cr_expect_str_empty(script->failure, "seed %lu: %s", (unsigned long)seed, script->failure);
        solo_destroy(solo);
        mem_free(script);
    }
}

Test(journal, marks_let_the_front_of_the_log_go)
{
    struct script *script = script_create(5, 900);
    struct solo *solo = solo_create(5, NULL);
    sim_disk_faults(solo_disk(solo))->capacity_bytes = UINT64_C(1) << 30;
    cr_assert_eq(solo_run(solo, run_script, script, SOLO_TO_THE_END), SOLO_RETURNED);
    cr_expect_str_empty(script->failure, "%s", script->failure);
    cr_expect_gt(script->token, 500);
    cr_expect_lt(script->bytes_most, 40u << 20, "%lu bytes", (unsigned long)script->bytes_most);
    script->reopen_only = true;
    cr_assert_eq(solo_run(solo, run_script, script, SOLO_TO_THE_END), SOLO_RETURNED);
    cr_expect_str_empty(script->failure, "%s", script->failure);
    solo_destroy(solo);
    mem_free(script);
}
