#include "routerd/coordinator/tally.h"

#include "common/base/check.h"

uint8_t level_needed(enum level level, uint8_t replicas)
{
    CHECK(replicas > 0);
    switch (level) {
    case LEVEL_ONE_OF_N:
        return 1;
    case LEVEL_QUORUM_OF_N:
        return (uint8_t)(replicas / 2 + 1);
    case LEVEL_ALL_OF_N:
        return replicas;
    }
    CHECK(false);
    return replicas;
}

void tally_init(struct tally *tally, enum tally_kind kind, uint8_t replicas, uint8_t needed)
{
    CHECK(needed > 0 && needed <= replicas && replicas <= REPLICAS_MAX);
    *tally = (struct tally){.kind = kind, .replicas = replicas, .needed = needed};
}

static void decide(struct tally *tally, enum status verdict)
{
    tally->decided = true;
    tally->verdict = verdict;
}

/* What enough stored copies mean. */
static enum status outcome(const struct tally *tally)
{
    if (tally->kind == TALLY_DELETE) return STATUS_OK;
    if (tally->dead) return STATUS_DELETED;
    if (tally->id_taken) return STATUS_ID_TAKEN;
    if (tally->kind == TALLY_CREATE) return STATUS_OK;
    if (tally->undominated < tally->needed) return STATUS_SUPERSEDED;
    return tally->created ? STATUS_OK : STATUS_PENDING;
}

static void judge(struct tally *tally, enum status when_open)
{
    uint8_t waiting = (uint8_t)(tally->replicas - tally->answered);
    if (tally->stored >= (PLANT(acked_below_quorum) ? 1 : tally->needed)) {
        /* An edit waits for undominated acks as long as they can still come. */
        bool may_rise = tally->kind == TALLY_EDIT && !tally->dead && tally->undominated < tally->needed &&
                        tally->undominated + waiting >= tally->needed && when_open == STATUS_UNDECIDED;
        if (!may_rise) decide(tally, outcome(tally));
        return;
    }
    if (waiting > 0 && when_open == STATUS_UNDECIDED) return;
    bool untouched = tally->stored == 0 && tally->maybe == 0;
    if ((untouched || (PLANT(refused_although_stored) && tally->refusal)) && waiting == 0)
        decide(tally, tally->refusal);
    else
        decide(tally, when_open);
}

bool tally_add(struct tally *tally, enum status status)
{
    CHECK(tally->answered < tally->replicas);
    tally->answered++;
    enum status_class class = status_class(status);
    if (class == STATUS_CLASS_DONE || status == STATUS_ID_TAKEN) {
        tally->stored++;
        if (status == STATUS_DEAD) tally->dead = true;
        if (status == STATUS_ID_TAKEN) tally->id_taken = true;
        if (status == STATUS_OK || status == STATUS_PENDING) tally->undominated++;
        if (status == STATUS_OK) tally->created = true;
    } else if (class == STATUS_CLASS_REFUSED || class == STATUS_CLASS_RETRY) {
        bool first = tally->refusal == STATUS_OK;
        if (first || (class == STATUS_CLASS_REFUSED && status_class(tally->refusal) == STATUS_CLASS_RETRY))
            tally->refusal = status;
    } else {
        tally->maybe++;
    }
    if (tally->decided) return false;
    judge(tally, STATUS_UNDECIDED);
    return tally->decided;
}

void tally_expire(struct tally *tally)
{
    if (!tally->decided) judge(tally, STATUS_TIMEOUT);
}
