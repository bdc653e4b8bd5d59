/*
 * quorum: what a majority, or a joint of two majorities, has decided. Pure functions, thread-safe.
 *
 * An empty set of voters decides nothing and forbids nothing: it commits QUORUM_UNBOUNDED and wins every vote, so that
 * a joint of a majority with an empty set is the majority itself.
 */
#ifndef TRILLIUM_CONTROLD_RAFT_QUORUM_H
#define TRILLIUM_CONTROLD_RAFT_QUORUM_H

#include <stdbool.h>
#include <stdint.h>

enum { QUORUM_MEMBERS_MAX = 16 };

#define QUORUM_UNBOUNDED UINT64_MAX

/* A set of voters: ids are distinct and ascending (quorum_add keeps them so). Zero-initialised is empty. */
struct quorum {
    uint64_t ids[QUORUM_MEMBERS_MAX];
    uint32_t count;
};

/* Both halves must agree. outgoing is empty outside a change of members. */
struct quorum_joint {
    struct quorum incoming, outgoing;
};

enum quorum_verdict { QUORUM_PENDING, QUORUM_LOST, QUORUM_WON };

/* A voter's acknowledged index; 0 when nothing is known of it. */
typedef uint64_t quorum_index_of(const void *context, uint64_t id);

/* A voter's vote: 1 for yes, -1 for no, 0 for not (yet) voted. */
typedef int quorum_vote_of(const void *context, uint64_t id);

/* False when the set is full; true when id is in it afterwards. id is not 0. */
bool quorum_add(struct quorum *quorum, uint64_t id);
bool quorum_has(const struct quorum *quorum, uint64_t id);
bool quorum_joint_has(const struct quorum_joint *joint, uint64_t id);

/* The largest index that a majority (of each half) has acknowledged. */
uint64_t quorum_committed(const struct quorum *quorum, quorum_index_of *index_of, const void *context);
uint64_t quorum_joint_committed(const struct quorum_joint *joint, quorum_index_of *index_of, const void *context);

/* WON or LOST once no missing vote can change it, else PENDING. */
enum quorum_verdict quorum_vote(const struct quorum *quorum, quorum_vote_of *vote_of, const void *context);
enum quorum_verdict quorum_joint_vote(const struct quorum_joint *joint, quorum_vote_of *vote_of, const void *context);

#endif
