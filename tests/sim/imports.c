#include "tests/sim/imports.h"

#include <inttypes.h>

#include "common/base/prng.h"
#include "common/model/snowflake.h"

enum {
    SESSION_MS = 40000, /* deadline */
    CLOCKS_MS = 10000,  /* of it, what controllers' clocks may differ by, and then some */
    RENEW_MS = 15000,   /* before the end, a session is renewed */
    OLDEST_MS = 2 * 60 * 60 * 1000,
    NEWEST_MS = 60 * 1000,
    STEP_MS = 7919, /* prime, so that ids do not repeat soon */
    MAKER = 60000,  /* above those that controld gives within a run */
};

void imports_init(struct imports *imports, struct world *world)
{
    *imports =
        (struct imports){.world = world, .asked_ms = INT64_MIN, .settled_ms = INT64_MIN, .settled_ns = UINT64_MAX};
}

int64_t imports_ago_ms(const struct imports *imports, uint64_t ago_ms)
{
    return WORLD_EPOCH_US / 1000 + (int64_t)(world_now(imports->world) / WORLD_MS) - (int64_t)ago_ms;
}

void imports_asked(struct imports *imports, int64_t horizon_ms)
{
    if (horizon_ms > imports->asked_ms) imports->asked_ms = horizon_ms;
}

void imports_settled(struct imports *imports, int64_t horizon_ms)
{
    imports->settled_ms = horizon_ms;
    imports->settled_ns = world_now(imports->world);
}

/* A body that follows from the id, so that importing a message again is the same create. */
static void make_content(struct sim_call *call)
{
    struct prng prng = prng_seeded(call->op.id);
    call->content_size = (uint32_t)prng_between(&prng, 1, 100);
    for (uint32_t i = 0; i < call->content_size; i++)
        call->content[i] = (char)('a' + prng_below(&prng, 26));
}

static void choose_create(struct imports *imports, struct import_session *session, struct sim_call *call)
{
    struct prng *prng = world_prng(imports->world, WORLD_WORKLOAD);
    struct history_op *op = &call->op;
    op->kind = HISTORY_CREATE;
    /* One in ten is sent again, as by an import that was interrupted; one in eight names no session. */
    if (session->last_id && prng_chance(prng, 100000)) {
        op->id = session->last_id;
        op->channel = session->last_channel;
    } else {
        uint64_t ago_ms = NEWEST_MS + session->made * STEP_MS % OLDEST_MS;
        op->id = snowflake_make(imports_ago_ms(imports, ago_ms), (uint16_t)(MAKER + op->client), session->made % 64);
        session->made++;
        session->last_id = op->id;
        session->last_channel = op->channel;
    }
    if (!prng_chance(prng, 125000)) call->import = session->session;
    make_content(call);
}

void imports_choose(struct imports *imports, struct import_session *session, struct sim_call *call)
{
    struct prng *prng = world_prng(imports->world, WORLD_WORKLOAD);
    uint64_t now = world_now(imports->world);
    enum sim_errand errand = SIM_OPERATION;
    if (!session->asked && session->session == 0)
        errand = SIM_IMPORT_BEGIN;
    else if (!session->asked && now + RENEW_MS * WORLD_MS > session->sure_until_ns)
        errand = SIM_IMPORT_RENEW;
    else if (!session->asked && prng_chance(prng, 20000))
        errand = SIM_IMPORT_END;
    if (errand == SIM_OPERATION) {
        choose_create(imports, session, call);
        return;
    }
    call->errand = errand;
    call->import = session->session;
    call->import_ms = SESSION_MS;
    session->asked = true;
    /* From now on it may be gone. */
    if (errand == SIM_IMPORT_END) session->session = 0;
}

static bool session_answered(struct imports *imports, struct import_session *session, const struct sim_call *call)
{
    bool done = call->op.outcome == HISTORY_OK;
    session->asked = false;
    if (call->errand == SIM_IMPORT_END) return false;
    bool gone = call->errand == SIM_IMPORT_RENEW && call->status == STATUS_NOT_FOUND;
    if (gone && call->op.ret < session->sure_until_ns)
        world_fail(imports->world, "import", "session %" PRIu64 " is gone before its time", call->import);
    if (gone) session->session = 0;
    if (!done) return gone;
    session->session = call->import;
    session->sure_until_ns = call->op.invoke + (SESSION_MS - CLOCKS_MS) * WORLD_MS;
    return false;
}

bool imports_answered(struct imports *imports, struct import_session *session, const struct sim_call *call)
{
    if (call->errand != SIM_OPERATION) return session_answered(imports, session, call);
    const struct history_op *op = &call->op;
    if (op->kind != HISTORY_CREATE) return false;
    int64_t id_ms = snowflake_unix_ms(op->id);
    bool too_old = call->status == STATUS_TOO_OLD;
    bool lives = call->import && call->import == session->session && op->ret < session->sure_until_ns;
    if (too_old && id_ms >= imports->asked_ms)
        world_fail(imports->world, "horizon", "message %" PRIu64 " is above every horizon, and TOO_OLD", op->id);
    if (too_old && lives)
        world_fail(imports->world, "import", "message %" PRIu64 " is TOO_OLD although session %" PRIu64 " lives",
            op->id, call->import);
    if (op->outcome == HISTORY_OK && !call->import && id_ms < imports->settled_ms && op->invoke >= imports->settled_ns)
        world_fail(imports->world, "horizon", "message %" PRIu64 " is below the horizon, and stored", op->id);
    return too_old && op->outcome == HISTORY_REFUSED;
}

void imports_forget(struct import_session *session)
{
    *session = (struct import_session){.made = session->made};
}
