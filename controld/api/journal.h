/*
 * journal: the Raft log, term and vote on disk: raft_record.h's records in a common/wal log under raft/.
 *
 * Writes become durable in the order in which they are given, many in one group. Nothing here waits, except where it
 * says (fiber). A write that cannot be done ends the process (env_die): the core does not know failed writes.
 * Threads: the reactor's.
 */
#ifndef TRILLIUM_CONTROLD_API_JOURNAL_H
#define TRILLIUM_CONTROLD_API_JOURNAL_H

#include "common/base/uuid.h"
#include "controld/raft/raft_record.h"

struct journal;
struct reactor;

struct journal_options {
    struct reactor *reactor;
    struct uuid cluster;
    /* The write with this token is durable. May give further writes. */
    void (*durable)(void *context, uint64_t token);
    /* A mark (journal_mark) is durable: journal_forget may follow. */
    void (*marked)(void *context, struct raft_snapshot snapshot);
    void *context;
};

/* (fiber) Opens the log and replays it into replay, which begins at zero. An error has its sentence in why. */
enum status journal_open(
    const struct journal_options *options, struct raft_replay *replay, struct journal **out, char why[320]) MUST_CHECK;
/* (fiber) Waits until everything is durable. */
void journal_close(struct journal *journal);

/* Copies what it needs of the write. write->token is not 0. */
void journal_write(struct journal *journal, const struct raft_write *write);
/* Notes that this member's own snapshot file is durable. Not while an install is under way (journal_is_installing). */
void journal_mark(struct journal *journal, struct raft_snapshot snapshot);
bool journal_is_installing(const struct journal *journal);
/* Entries up to index are needed no more (index <= the last durable mark's): their segments may go. */
void journal_forget(struct journal *journal, uint64_t index);

uint64_t journal_durable_term(const struct journal *journal);
/* Bytes on disk. */
uint64_t journal_bytes(const struct journal *journal);

#endif
