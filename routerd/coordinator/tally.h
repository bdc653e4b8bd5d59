/*
 * tally: counts what the replicas of a range said to one write, and says when and what to answer the client.
 *
 * Pure: no clock, no calls. A verdict, once given, stays: late answers are recorded and change nothing.
 *
 *   stored      OK, DEAD, DOMINATED, PENDING, ID_TAKEN: the replica holds the write on stable storage
 *   not stored  classes REFUSED and RETRY: no effect there
 *   maybe       TIMEOUT, LOST, anything unknown
 *
 * Enough stored: the answer says what they met; DEAD and ID_TAKEN at any replica heard so far count. Not enough any
 * more: the refusal when nobody can have stored it, otherwise UNDECIDED (TIMEOUT when the deadline ended the waiting).
 */
#ifndef TRILLIUM_ROUTERD_COORDINATOR_TALLY_H
#define TRILLIUM_ROUTERD_COORDINATOR_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/limits.h"
#include "common/base/status.h"

enum tally_kind { TALLY_CREATE, TALLY_EDIT, TALLY_DELETE };

/* What a level asks of a set of replicas: ONE 1, QUORUM n/2+1, ALL n. */
enum level { LEVEL_ONE_OF_N = 1, LEVEL_QUORUM_OF_N = 2, LEVEL_ALL_OF_N = 3 };
uint8_t level_needed(enum level level, uint8_t replicas);

struct tally {
    enum tally_kind kind;
    uint8_t replicas, needed;
    uint8_t answered, stored, maybe, undominated;
    bool dead, id_taken, created; /* created: an undominated ack knew the create */
    enum status refusal;          /* the refusal to give when nobody stored: REFUSED before RETRY */
    bool decided;
    enum status verdict;
};

/* 0 < needed <= replicas <= REPLICAS_MAX. */
void tally_init(struct tally *tally, enum tally_kind kind, uint8_t replicas, uint8_t needed);
/* One replica's answer, at most one for each. Returns true when this one decided. */
bool tally_add(struct tally *tally, enum status status);
/* The deadline passed: decides if nothing else did. */
void tally_expire(struct tally *tally);

#endif
