/*
 * asked: what a call on the wire asks for, as far as the promises speak of it; and which replicas a router asked for
 * which channel, and when. One thread.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_ASKED_H
#define TRILLIUM_TESTS_SIM_CLUSTER_ASKED_H

#include "common/base/arena.h"
#include "common/model/key.h"
#include "common/rpc/frame.h"

/* One call. Times are numbers of frames in their order. */
struct asked {
    uint16_t method;
    uint32_t caller, port; /* host; port of the listener that it goes to */
    uint64_t left, heard;  /* when it left its caller; when its server heard of it, 0: not yet */
    uint64_t range, epoch;
    uint64_t channel, id, id2;
    uint32_t level, limit; /* limit 0: any */
    uint8_t partition[KEY_CHANNEL_BYTES];
    uint64_t content; /* node_ledger.h; 0: none, or not known yet */
    bool is_row;      /* a create or an edit by a client: its bytes are sent for this one change alone */
};

/* NULL: of no interest. */
struct asked *asked_create(struct arena *arena, const struct frame_entry *call);
/* What a purge deleted is told by its answer. */
void asked_take_purge(struct asked *asked, struct arena *arena, struct bytes answer);

/* Reads that left a router for replicas. Zero-initialised is empty. */
struct asked_reads {
    struct buffer reads;
};
void asked_reads_add(struct asked_reads *reads, const struct asked *asked, uint32_t node);
/* How many nodes the router asked for what a client asked it, since it heard of that. */
uint32_t asked_reads_since(const struct asked_reads *reads, const struct asked *asked, uint32_t router);
void asked_reads_free(struct asked_reads *reads);

#endif
