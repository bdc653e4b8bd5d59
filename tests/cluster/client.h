/*
 * client: what the parts of cluster_client share, the client that tests of real processes use. Each part is one
 * command: load sends a file's messages, verify reads everything and compares it with a file, storm writes and reads
 * until it is told to stop and leaves a history for the checker. It is an application on trillium.h, nothing more.
 */
#ifndef TRILLIUM_TESTS_CLUSTER_CLIENT_H
#define TRILLIUM_TESTS_CLUSTER_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/trillium.h"

enum { PROGRESS_OPS = 10 };

struct client_options {
    const char *routers, *uuid;
    const char *file;     /* load, verify: messages, one a line; storm: channels' ids start at first_channel */
    const char *history;  /* storm, readall: where the history goes */
    const char *failures; /* storm: one line per call that was not done */
    const char *progress; /* storm: grows by a line with every PROGRESS_OPS operations that were done */
    unsigned deadline_ms, writers, readers, channels, probes, inflight;
    uint64_t first_channel, seed;
    double rate; /* storm: writes a second of all writers; load: sends a second; 0: as fast as it goes */
    enum trillium_level level;
};

/* One line of a file: `message CHANNEL ID AUTHOR HEX` (HEX is "-" when empty). */
struct client_message {
    uint64_t channel_id, message_id;
    int64_t author_id;
    uint8_t *content;
    size_t content_size;
};

struct client_messages {
    struct client_message *all; /* as in the file */
    size_t count;
};

/* True at SIGTERM and SIGINT. */
extern atomic_bool client_is_stopped;

uint64_t client_now_us(void);
void client_sleep_us(uint64_t us);
/* Ends the program with a sentence when it cannot. */
struct trillium *client_open(const struct client_options *options);
struct client_messages client_messages_read(const char *path);
void client_messages_free(struct client_messages *messages);
/* What a history says of a message: a hash of author and content, and whether edited_at agrees with the content. */
uint64_t client_body_of(int64_t author_id, const void *content, size_t size);

/* Commands: the exit status of the program. */
int client_load(const struct client_options *options);
int client_verify(const struct client_options *options);
int client_storm(const struct client_options *options);
int client_readall(const struct client_options *options);

#endif
