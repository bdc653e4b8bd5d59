/*
 * raft_types: the nouns of our Raft: entries, hard state, messages. No behaviour beyond the life of an entry.
 *
 * Ids of members, terms and indices are u64 and never 0 when present; 0 means none.
 */
#ifndef TRILLIUM_CONTROLD_RAFT_RAFT_TYPES_H
#define TRILLIUM_CONTROLD_RAFT_RAFT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"

enum {
    RAFT_ENTRY_BYTES_MAX = 256 << 10, /* payload of one entry */
    RAFT_MESSAGE_ENTRIES_MAX = 1024,
};

/* Numbers are on disk and on the wire; never reused. */
enum raft_entry_kind {
    RAFT_ENTRY_NORMAL = 1,       /* a proposal's bytes, opaque here */
    RAFT_ENTRY_NOOP = 2,         /* a new leader's first entry, empty */
    RAFT_ENTRY_CONFIG_JOINT = 3, /* reserved: enter a joint configuration */
    RAFT_ENTRY_CONFIG_FINAL = 4, /* reserved: leave it */
};

/* An immutable, counted log entry. Counts are not atomic: entries belong to the core's thread. */
struct raft_entry {
    uint64_t term, index;
    enum raft_entry_kind kind;
    uint32_t refs;
    uint32_t data_size;
    uint8_t data[];
};

/* Copies data (at most RAFT_ENTRY_BYTES_MAX); the caller holds the one reference. */
struct raft_entry *raft_entry_create(uint64_t term, uint64_t index, enum raft_entry_kind kind, struct bytes data);
struct raft_entry *raft_entry_ref(struct raft_entry *entry);
/* entry may be NULL. */
void raft_entry_unref(struct raft_entry *entry);
static inline struct bytes raft_entry_data(const struct raft_entry *entry)
{
    return bytes_of(entry->data, entry->data_size);
}
/* True for the kinds above. */
bool raft_entry_kind_known(uint32_t kind);

/* What must survive a restart beside the entries. commit is a hint: it may lag behind what was committed. */
struct raft_hard_state {
    uint64_t term, vote, commit;
};

/* A snapshot's place in the log: it holds the effects of all entries up to index, the last of which has this term. */
struct raft_snapshot {
    uint64_t index, term;
};

/* Numbers are on the wire. What the fields of a message mean for each kind is in docs/protocols/raft.md. */
enum raft_message_kind {
    RAFT_MESSAGE_APPEND = 1,
    RAFT_MESSAGE_APPEND_ANSWER = 2,
    RAFT_MESSAGE_HEARTBEAT = 3,
    RAFT_MESSAGE_HEARTBEAT_ANSWER = 4,
    RAFT_MESSAGE_VOTE = 5,
    RAFT_MESSAGE_VOTE_ANSWER = 6,
    RAFT_MESSAGE_PRE_VOTE = 7,
    RAFT_MESSAGE_PRE_VOTE_ANSWER = 8,
    /* Sent: the shell starts to stream its snapshot (index, log_term) to `to`. Stepped: the whole snapshot has arrived,
       was verified, and lies beside the current state, not yet in its place; when no write of the next readies
       installs it, it was not needed and may go. */
    RAFT_MESSAGE_SNAPSHOT = 9,
    RAFT_MESSAGE_TIMEOUT_NOW = 10,
    RAFT_MESSAGE_READ_INDEX = 11,
    RAFT_MESSAGE_READ_INDEX_ANSWER = 12,
};
enum { RAFT_MESSAGE_KIND_LAST = RAFT_MESSAGE_READ_INDEX_ANSWER };

struct raft_message {
    enum raft_message_kind kind;
    uint64_t from, to;
    uint64_t term;
    uint64_t index, log_term; /* APPEND: of the entry before the first; VOTE: of the last durable one */
    uint64_t commit;
    uint64_t reject_hint;
    uint64_t context; /* heartbeats: read round; READ_INDEX: the reader's own number */
    bool reject;
    bool transfer; /* VOTE: the leader asked for this election */
    struct raft_entry **entries;
    uint32_t entries_count;
};

#endif
