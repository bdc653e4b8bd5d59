/*
 * images: small but complete data directories of a node, a controller and a router, and questions whose answers tell
 * all that is in them. For sweeps that damage the directory and ask again.
 *
 * The last changes of each repeat what is there already: the end of a log, which nothing vouches for, may be lost
 * without a difference.
 */
#ifndef TRILLIUM_TESTS_FAULTS_IMAGES_H
#define TRILLIUM_TESTS_FAULTS_IMAGES_H

#include "tests/sim/cluster/trio.h"

enum { IMAGE_QUESTIONS_MAX = 32, IMAGE_BODY_BYTES = 128 };

struct image {
    enum trio_daemon which;
    struct sim_disk *disk;
    uint32_t missing; /* of the trio that it is judged in */
    struct trio_call questions[IMAGE_QUESTIONS_MAX];
    uint8_t bodies[IMAGE_QUESTIONS_MAX][IMAGE_BODY_BYTES];
    uint32_t questions_count;
    struct buffer expected[IMAGE_QUESTIONS_MAX]; /* what the answers say when nothing is damaged */
};

/* A node's: commit log, files of three ranges with their manifests, identity, cached view. */
void image_of_node(struct image *image);
/* A controller's: Raft log, snapshot, identity. */
void image_of_controller(struct image *image);
/* A router's: identity, maker numbers, cached view. Of the ids that it reserves the blocks of maker numbers count. */
void image_of_router(struct image *image);
void image_free(struct image *image);

enum image_verdict {
    IMAGE_HARMLESS, /* every answer is the expected one */
    IMAGE_NOTICED,  /* some are refused, or the daemon says in a sentence that it cannot go on; the others are right */
    IMAGE_WRONG,    /* an answer is another one, or somebody spins */
};

/* Starts the daemon on the disk (which it takes) and asks. why is set when WRONG. */
enum image_verdict image_judge(const struct image *image, struct sim_disk *disk, char why[200]);

#endif
