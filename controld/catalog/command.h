/*
 * command: the payloads of Raft entries: every change of the applied state (docs/formats/catalog.md). A codec; pure.
 *
 * A command carries everything that its effect depends on beside the state: also the time, and what the leader chose.
 */
#ifndef TRILLIUM_CONTROLD_CATALOG_COMMAND_H
#define TRILLIUM_CONTROLD_CATALOG_COMMAND_H

#include "common/model/view.h"

enum {
    COMMAND_BYTES_MAX = 64 << 10,
    VERSION_TEXT_BYTES = 32,
    LABEL_BYTES = 64,
    RANGES_PER_PLACE_MAX = 64,
    RANGES_PER_LAPSE_MAX = 64,
};

/* Numbers are in logs and never reused. */
enum command_kind {
    COMMAND_TABLE = 1,        /* puts a table's schema */
    COMMAND_REGISTER = 2,     /* a daemon has started */
    COMMAND_PLACE = 3,        /* the first ranges of a table */
    COMMAND_MAKERS = 4,       /* blocks of maker numbers for a router */
    COMMAND_IMPORT_BEGIN = 5, /* a session of import */
    COMMAND_IMPORT_RENEW = 6,
    COMMAND_IMPORT_END = 7,
    COMMAND_IMPORT_EXPIRE = 8, /* ends a session whose deadline is still the given one */
    COMMAND_HORIZON = 9,       /* raises H of a table's ranges */
    COMMAND_EPOCH = 10,        /* a new epoch of a range with the same replicas */
    COMMAND_LAPSE = 11,        /* replicas of a node have lost something */
    COMMAND_REBUILT = 12,      /* one of them has everything again */
    COMMAND_REPLACE = 13,      /* a node came back with another data directory, or with an older state of its own */
    COMMANDS_END,
    /* 64 and above: jobs (topology), reserved. */
};

enum daemon_role { DAEMON_NODE = 1, DAEMON_ROUTER = 2 };

struct command_register {
    uint8_t role; /* enum daemon_role */
    struct uuid uuid;
    struct uuid instance; /* of its process, as in its HELLO */
    uint64_t boot;
    char address[ADDRESS_BYTES];
    char zone[ZONE_BYTES];
    char version[VERSION_TEXT_BYTES];
    uint16_t shards;
};

struct command_place_range {
    int64_t lo, hi;
    uint8_t replicas_count;
    struct node_id replicas[REPLICAS_MAX];
};

struct command_place {
    struct table_id table;
    uint16_t ranges_count;
    struct command_place_range ranges[RANGES_PER_PLACE_MAX]; /* ascending; together all tokens */
};

struct command_makers {
    struct router_id router;
    uint16_t blocks; /* it shall hold at least so many */
};

struct command_import {
    uint64_t import; /* 0 in BEGIN: the entry's index becomes the session's number */
    struct table_id table;
    int64_t deadline_us;
    char label[LABEL_BYTES];
};

struct command_horizon {
    struct table_id table;
    int64_t unix_ms;
};

/* A replica that lost something while its node knew the range's record of this epoch. A lapse that is recorded at a
   later epoch covers it, so that a repeated command changes nothing. */
struct command_lapsed_range {
    struct range_id range;
    uint64_t known;
};

struct command_lapse {
    struct node_id node;
    uint16_t ranges_count;
    struct command_lapsed_range ranges[RANGES_PER_LAPSE_MAX];
};

struct command_rebuilt {
    struct node_id node;
    struct range_id range;
    uint64_t lapsed_at; /* the lapse that was rebuilt; a later one stays */
};

struct command_replace {
    struct uuid uuid; /* as the node is registered now: with other ones the command is refused */
    uint64_t boot;
    struct command_register registration;
};

struct command {
    enum command_kind kind;
    int64_t stamp_us; /* the leader's wall clock when it proposed */
    union {
        struct table table;
        struct command_register registration;
        struct command_place place;
        struct command_makers makers;
        struct command_import import;
        struct command_horizon horizon;
        struct range_id epoch;
        struct command_lapse lapse;
        struct command_rebuilt rebuilt;
        struct command_replace replace;
    };
};

/* The command is within its limits (CHECKed). */
void command_encode(const struct command *command, struct buffer *out);
/* CONFLICT: a kind or version that this program does not know (a newer leader's). BAD_REQUEST: malformed. */
enum status command_decode(struct bytes bytes, struct command *out) MUST_CHECK;

/* A daemon's own part, which its record holds too. Fails the reader when malformed. */
void command_register_encode(const struct command_register *is, struct buffer *out);
void command_register_decode(struct reader *reader, struct command_register *out);

/* "register", for logs. */
const char *command_kind_name(enum command_kind kind);

#endif
