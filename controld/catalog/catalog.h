/*
 * catalog: the applied state of controld's Raft group: daemons, tables, ranges, maker blocks, import sessions.
 *
 * A deterministic machine: the same entries in the same order give the same state, answers and changes everywhere. The
 * state is held in memory as plain arrays and mirrored as records, key and value (docs/formats/catalog.md), which a
 * meta_store keeps and a snapshot carries. No clock, no randomness, no I/O. Bounded by the limits of view.h.
 *
 * Invariants: epochs, horizons, boot counters and numbers never fall; a block of makers has one owner for ever; ranges
 * of a table cover all tokens once. The digest depends on the state alone, not on how it came about.
 */
#ifndef TRILLIUM_CONTROLD_CATALOG_CATALOG_H
#define TRILLIUM_CONTROLD_CATALOG_CATALOG_H

#include "common/base/hash.h"
#include "controld/catalog/command.h"
#include "controld/store/meta_store.h"

enum { CATALOG_BLOCKS = 256 };

struct catalog_daemon {
    uint32_t id;   /* node or router number, from 1 */
    uint8_t state; /* enum node_state */
    struct command_register is;
};

/* Ascending by id; ids are consecutive, since nothing is ever forgotten. */
struct catalog_daemons {
    struct catalog_daemon *items;
    unsigned count, capacity;
};

struct catalog_import {
    uint64_t id;
    struct table_id table;
    int64_t deadline_us;
    char label[LABEL_BYTES];
};

struct catalog {
    struct uuid cluster;
    uint64_t view_version; /* index of the last entry that changed what a view shows */
    struct catalog_daemons nodes, routers;
    struct table *tables; /* ascending by id */
    unsigned tables_count, tables_capacity;
    struct view_range *ranges; /* ascending by (table, hi) */
    unsigned ranges_count, ranges_capacity;
    struct catalog_import *imports; /* ascending by id */
    unsigned imports_count, imports_capacity;
    uint32_t block_owner[CATALOG_BLOCKS]; /* a router's number; 0: free */
    struct digest sum;                    /* over all records */
};

void catalog_init(struct catalog *catalog, const struct uuid *cluster);
void catalog_fini(struct catalog *catalog);

/* What an applied command answers its proposer. */
struct catalog_answer {
    enum status status;
    uint32_t id;           /* REGISTER */
    uint64_t number;       /* IMPORT_*: the session; EPOCH: the epoch */
    uint16_t blocks_count; /* MAKERS: all that the router holds */
    uint8_t blocks[CATALOG_BLOCKS];
    bool view_changed;
};

/*
 * Applies one entry's payload and adds its effect on the records to batch. OK: applied; answer->status tells the
 * outcome (a refused command has no effect). CONFLICT: an entry that this program is too old to understand: it must
 * stop. CORRUPT: an entry that no program of ours makes.
 */
enum status catalog_apply(struct catalog *catalog, uint64_t index, struct bytes payload, struct catalog_answer *answer,
    struct meta_batch *batch) MUST_CHECK;

/* Equal on two controllers that have applied the same entries. */
struct digest catalog_digest(const struct catalog *catalog);

/* ---- Records ---- */

/* Adds one record to a state that is being loaded, in any order. CORRUPT: malformed, unknown or twice. */
enum status catalog_load(struct catalog *catalog, struct bytes key, struct bytes value) MUST_CHECK;
/* After the last record: CORRUPT when records are missing or contradict each other. */
enum status catalog_loaded(struct catalog *catalog) MUST_CHECK;
/* Calls visit for each record of the state, in order of keys. */
void catalog_records(
    const struct catalog *catalog, void (*visit)(void *context, struct bytes key, struct bytes value), void *context);

/* ---- Sight; NULL when absent ---- */

const struct catalog_daemon *catalog_daemon_by_uuid(
    const struct catalog *catalog, enum daemon_role role, const struct uuid *uuid);
const struct catalog_daemon *catalog_router(const struct catalog *catalog, uint32_t id);
const struct catalog_daemon *catalog_node(const struct catalog *catalog, uint32_t id);
const struct table *catalog_table(const struct catalog *catalog, struct table_id table);
const struct view_range *catalog_range(const struct catalog *catalog, struct range_id range);
unsigned catalog_ranges_of(const struct catalog *catalog, struct node_id node);
/* Of these, how many have lapsed there. */
unsigned catalog_lapsed_of(const struct catalog *catalog, struct node_id node);

/* The view as it stands, with arrays in arena; controllers come from the configuration. */
void catalog_view(const struct catalog *catalog, const struct view_controller *controllers, unsigned controllers_count,
    struct arena *arena, struct view *out);

#endif
