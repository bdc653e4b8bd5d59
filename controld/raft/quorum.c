#include "controld/raft/quorum.h"

#include "common/base/check.h"

bool quorum_has(const struct quorum *quorum, uint64_t id)
{
    for (uint32_t i = 0; i < quorum->count; i++)
        if (quorum->ids[i] == id) return true;
    return false;
}

bool quorum_add(struct quorum *quorum, uint64_t id)
{
    CHECK(id != 0);
    if (quorum_has(quorum, id)) return true;
    if (quorum->count == QUORUM_MEMBERS_MAX) return false;
    uint32_t at = quorum->count++;
    for (; at > 0 && quorum->ids[at - 1] > id; at--)
        quorum->ids[at] = quorum->ids[at - 1];
    quorum->ids[at] = id;
    return true;
}

bool quorum_joint_has(const struct quorum_joint *joint, uint64_t id)
{
    return quorum_has(&joint->incoming, id) || quorum_has(&joint->outgoing, id);
}

uint64_t quorum_committed(const struct quorum *quorum, quorum_index_of *index_of, const void *context)
{
    uint32_t count = quorum->count;
    CHECK(count <= QUORUM_MEMBERS_MAX);
    if (count == 0) return QUORUM_UNBOUNDED;
    /* Insertion sort, descending: what the (n/2 + 1)-th best has, a majority has. */
    uint64_t best[QUORUM_MEMBERS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        uint64_t index = index_of(context, quorum->ids[i]);
        uint32_t at = i;
        for (; at > 0 && best[at - 1] < index; at--)
            best[at] = best[at - 1];
        best[at] = index;
    }
    return best[count / 2];
}

uint64_t quorum_joint_committed(const struct quorum_joint *joint, quorum_index_of *index_of, const void *context)
{
    uint64_t incoming = quorum_committed(&joint->incoming, index_of, context);
    uint64_t outgoing = quorum_committed(&joint->outgoing, index_of, context);
    return incoming < outgoing ? incoming : outgoing;
}

enum quorum_verdict quorum_vote(const struct quorum *quorum, quorum_vote_of *vote_of, const void *context)
{
    if (quorum->count == 0) return QUORUM_WON;
    uint32_t yes = 0, no = 0, needed = quorum->count / 2 + 1;
    for (uint32_t i = 0; i < quorum->count; i++) {
        int vote = vote_of(context, quorum->ids[i]);
        yes += vote > 0;
        no += vote < 0;
    }
    if (yes >= needed) return QUORUM_WON;
    return quorum->count - no >= needed ? QUORUM_PENDING : QUORUM_LOST;
}

enum quorum_verdict quorum_joint_vote(const struct quorum_joint *joint, quorum_vote_of *vote_of, const void *context)
{
    enum quorum_verdict incoming = quorum_vote(&joint->incoming, vote_of, context);
    enum quorum_verdict outgoing = quorum_vote(&joint->outgoing, vote_of, context);
    if (incoming == QUORUM_LOST || outgoing == QUORUM_LOST) return QUORUM_LOST;
    return incoming == QUORUM_WON && outgoing == QUORUM_WON ? QUORUM_WON : QUORUM_PENDING;
}
