#include "tests/cluster/client.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/hash.h"
#include "common/base/mem.h"

atomic_bool client_is_stopped;

uint64_t client_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void client_sleep_us(uint64_t us)
{
    struct timespec pause = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    nanosleep(&pause, NULL);
}

struct trillium *client_open(const struct client_options *options)
{
    char error[256];
    struct trillium_options open = {
        .routers = options->routers, .cluster_uuid = options->uuid, .deadline_ms = options->deadline_ms};
    struct trillium *trillium = trillium_open(&open, error, sizeof error);
    if (trillium) return trillium;
    fprintf(stderr, "cluster_client: %s\n", error);
    exit(1);
}

uint64_t client_body_of(int64_t author_id, const void *content, size_t size)
{
    return hash64(content, size, (uint64_t)author_id);
}

/* ---- files of messages ---- */

static unsigned nibble(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static bool parse_line(char *line, struct client_message *message)
{
    int at = 0;
    if (sscanf(line, "message %" SCNu64 " %" SCNu64 " %" SCNd64 " %n", &message->channel_id, &message->message_id,
            &message->author_id, &at) != 3)
        return false;
    const char *hex = line + at;
    size_t size = hex[0] == '-' ? 0 : strcspn(hex, "\n") / 2;
    message->content = mem_alloc(size + 1);
    message->content_size = size;
    for (size_t i = 0; i < size; i++)
        message->content[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    return true;
}

struct client_messages client_messages_read(const char *path)
{
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) {
        fprintf(stderr, "cluster_client: %s: %s\n", path ? path : "--file", path ? strerror(errno) : "is needed");
        exit(2);
    }
    struct client_messages messages = {0};
    size_t capacity = 0, line_size = 0;
    char *line = NULL;
    while (getline(&line, &line_size, file) > 0) {
        if (messages.count == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            messages.all = mem_realloc(messages.all, capacity * sizeof *messages.all);
        }
        if (!parse_line(line, &messages.all[messages.count])) {
            fprintf(stderr, "cluster_client: %s: line %zu is not a message\n", path, messages.count + 1);
            exit(2);
        }
        messages.count++;
    }
    free(line);
    fclose(file);
    return messages;
}

void client_messages_free(struct client_messages *messages)
{
    for (size_t i = 0; i < messages->count; i++)
        mem_free(messages->all[i].content);
    mem_free(messages->all);
}

/* ---- the program ---- */

static void on_signal(int number)
{
    (void)number;
    atomic_store(&client_is_stopped, true);
}

static const struct command {
    const char *name;
    int (*run)(const struct client_options *options);
} COMMANDS[] = {{"load", client_load}, {"verify", client_verify}, {"storm", client_storm}, {"readall", client_readall}};

static bool take_option(struct client_options *options, const char *name, const char *value)
{
    uint64_t number = strtoull(value, NULL, 10);
    const struct {
        const char *name;
        const char **text;
        unsigned *number;
    } fields[] = {{"routers", &options->routers, NULL}, {"uuid", &options->uuid, NULL}, {"file", &options->file, NULL},
        {"history", &options->history, NULL}, {"failures", &options->failures, NULL},
        {"progress", &options->progress, NULL}, {"deadline-ms", NULL, &options->deadline_ms},
        {"writers", NULL, &options->writers}, {"readers", NULL, &options->readers},
        {"channels", NULL, &options->channels}, {"probes", NULL, &options->probes},
        {"inflight", NULL, &options->inflight}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strcmp(name, fields[i].name) != 0) continue;
        if (fields[i].text) *fields[i].text = value;
        if (fields[i].number) *fields[i].number = (unsigned)number;
        return true;
    }
    if (strcmp(name, "first-channel") == 0) return options->first_channel = number, true;
    if (strcmp(name, "seed") == 0) return options->seed = number, true;
    if (strcmp(name, "rate") == 0) return options->rate = strtod(value, NULL), true;
    if (strcmp(name, "level") != 0) return false;
    options->level = strcmp(value, "all") == 0   ? TRILLIUM_ALL
                     : strcmp(value, "one") == 0 ? TRILLIUM_ONE
                                                 : TRILLIUM_QUORUM;
    return true;
}

int main(int argc, char **argv)
{
    struct client_options options = {.routers = "127.0.3.1",
        .deadline_ms = 10000,
        .writers = 4,
        .readers = 2,
        .channels = 24,
        .probes = 12,
        .inflight = 256,
        .first_channel = 1,
        .seed = 1,
        .level = TRILLIUM_QUORUM};
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    for (int i = 2; i < argc; i += 2) {
        if (strncmp(argv[i], "--", 2) != 0 || i + 1 == argc || !take_option(&options, argv[i] + 2, argv[i + 1])) {
            fprintf(stderr, "cluster_client: what is %s?\n", argv[i]);
            return 2;
        }
    }
    for (size_t i = 0; argc > 1 && i < sizeof COMMANDS / sizeof *COMMANDS; i++)
        if (strcmp(argv[1], COMMANDS[i].name) == 0) return COMMANDS[i].run(&options);
    fprintf(stderr, "usage: cluster_client load|verify|storm|readall --NAME VALUE ...\n");
    return 2;
}
