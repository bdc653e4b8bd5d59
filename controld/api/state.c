#include "controld/api/state.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/runtime/env.h"
#include "controld/api/snapshots.h"

enum { ENTRIES_PER_BATCH_MAX = 256 };

void state_init(struct state *state, struct env *env, struct meta_store *store, const struct uuid *cluster)
{
    *state = (struct state){.env = env, .store = store};
    catalog_init(&state->catalog, cluster);
}

void state_fini(struct state *state)
{
    catalog_fini(&state->catalog);
}

static void empty_catalog(struct state *state)
{
    struct uuid cluster = state->catalog.cluster;
    catalog_fini(&state->catalog);
    catalog_init(&state->catalog, &cluster);
    state->applied = 0;
    memset(state->digests, 0, sizeof state->digests);
}

static void check_store(struct state *state, enum status status)
{
    if (status == STATUS_OK) return;
    char why[200];
    snprintf(why, sizeof why, "meta/: the applied state could not be stored: %s; meta/ may be removed, it is rebuilt",
        status_text(status));
    env_die(state->env, status, why);
}

static void note_digest(struct state *state)
{
    state->digests[state->applied % STATE_DIGESTS] =
        (struct state_digest){state->applied, catalog_digest(&state->catalog)};
}

/* ---- loading ---- */

static enum status load_store(struct state *state)
{
    struct meta_cursor *cursor = meta_cursor_create(state->store, bytes_of(NULL, 0), bytes_of(NULL, 0));
    struct bytes key, value;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && meta_cursor_next(cursor, &key, &value))
        status = catalog_load(&state->catalog, key, value);
    if (status == STATUS_OK) status = meta_cursor_status(cursor);
    meta_cursor_destroy(cursor);
    return status == STATUS_OK ? catalog_loaded(&state->catalog) : status;
}

void state_resume(struct state *state, uint64_t least, uint64_t most)
{
    uint64_t applied = meta_applied(state->store);
    empty_catalog(state);
    bool usable = applied > 0 && applied >= least && applied <= most;
    if (usable && load_store(state) == STATUS_OK && state->catalog.view_version <= applied) {
        state->applied = applied;
        note_digest(state);
        return;
    }
    LOG(state->env->log, INFO, "meta.rebuild", "held=%llu snapshot=%llu log=%llu", (unsigned long long)applied,
        (unsigned long long)least, (unsigned long long)most);
    empty_catalog(state);
    check_store(state, meta_wipe(state->store));
}

enum status state_install(struct state *state, uint64_t index, struct reader *records)
{
    empty_catalog(state);
    struct meta_batch batch = {0};
    struct bytes key, value;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && snapshot_next(records, &key, &value)) {
        status = catalog_load(&state->catalog, key, value);
        if (status == STATUS_OK) meta_batch_put(&batch, key, value);
    }
    if (status == STATUS_OK && !reader_done(records)) status = STATUS_CORRUPT;
    if (status == STATUS_OK) status = catalog_loaded(&state->catalog);
    if (status == STATUS_OK && state->catalog.view_version > index) status = STATUS_CORRUPT;
    if (status == STATUS_OK) {
        check_store(state, meta_wipe(state->store));
        check_store(state, meta_commit(state->store, &batch, index));
        state->applied = index;
        note_digest(state);
    } else {
        empty_catalog(state);
    }
    meta_batch_free(&batch);
    return status;
}

/* ---- applying ---- */

static void apply_entry(
    struct state *state, const struct raft_entry *entry, struct catalog_answer *answer, struct meta_batch *batch)
{
    CHECK(entry->index == state->applied + 1);
    if (entry->kind == RAFT_ENTRY_NORMAL) {
        enum status status = catalog_apply(&state->catalog, entry->index, raft_entry_data(entry), answer, batch);
        if (status != STATUS_OK) {
            char why[200];
            snprintf(why, sizeof why, "entry %llu of the Raft log is %s", (unsigned long long)entry->index,
                status == STATUS_CONFLICT ? "of a newer program; run that version of controld here too" : "malformed");
            env_die(state->env, status, why);
        }
    }
    state->applied = entry->index;
    note_digest(state);
}

static void apply_some(
    struct state *state, struct raft_entry *const *entries, uint32_t count, struct catalog_answer *answers)
{
    struct meta_batch batch = {0};
    for (uint32_t i = 0; i < count; i++)
        apply_entry(state, entries[i], &answers[i], &batch);
    check_store(state, meta_commit(state->store, &batch, state->applied));
    meta_batch_free(&batch);
}

void state_apply(struct state *state, struct raft_entry *const *entries, uint32_t count,
    void (*told)(void *context, const struct raft_entry *entry, const struct catalog_answer *answer), void *context)
{
    uint32_t most = count < ENTRIES_PER_BATCH_MAX ? count : ENTRIES_PER_BATCH_MAX;
    struct catalog_answer *answers = mem_alloc(most * sizeof *answers);
    for (uint32_t done = 0; done < count;) {
        uint32_t some = count - done < most ? count - done : most;
        apply_some(state, entries + done, some, answers);
        for (uint32_t i = 0; i < some; i++)
            told(context, entries[done + i], entries[done + i]->kind == RAFT_ENTRY_NORMAL ? &answers[i] : NULL);
        done += some;
    }
    mem_free(answers);
}

bool state_digest_at(const struct state *state, uint64_t index, struct digest *out)
{
    const struct state_digest *found = &state->digests[index % STATE_DIGESTS];
    if (index == 0 || found->index != index) return false;
    *out = found->digest;
    return true;
}
