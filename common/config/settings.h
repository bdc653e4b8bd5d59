/*
 * settings: the configuration keys that every daemon has. A daemon's own struct embeds struct settings and its table
 * starts with the rows SETTINGS_FIELDS(struct tag, member).
 */
#ifndef TRILLIUM_COMMON_CONFIG_SETTINGS_H
#define TRILLIUM_COMMON_CONFIG_SETTINGS_H

#include "common/config/config.h"

struct settings {
    struct uuid cluster_uuid;
    char *cluster_name;
    char *listen_address;
    char *listen_backend; /* "sp" or "nng" */
    char *log_level;
    char *log_file;        /* "" is standard error */
    int64_t log_bytes_max; /* of log_file; one older file of the same size is kept */
    char *storage_directory;
    int64_t memory_max;
};

#define SETTINGS_FIELDS(tag, member)                                                                                   \
    {"cluster.uuid", CONFIG_UUID, offsetof(struct tag, member.cluster_uuid), NULL, 0, 0, NULL,                         \
        "the cluster this daemon belongs to; peers of another cluster are refused"},                                   \
        {"cluster.name", CONFIG_STRING, offsetof(struct tag, member.cluster_name), "trillium", 1, 64, NULL,            \
            "a name for people, shown by msgctl and in logs"},                                                         \
        {"listen.address", CONFIG_STRING, offsetof(struct tag, member.listen_address), "127.0.0.1", 1, 255, NULL,      \
            "the IP address to listen on, and the one that peers are told"},                                           \
        {"listen.backend", CONFIG_CHOICE, offsetof(struct tag, member.listen_backend), "sp", 0, 0, "sp|nng",           \
            "who accepts connections: sp is the daemon's own threads, nng those of that library; both speak the "      \
            "same"},                                                                                                   \
        {"storage.directory", CONFIG_STRING, offsetof(struct tag, member.storage_directory), NULL, 1, 4000, NULL,      \
            "where the daemon keeps its data; used by one process at a time"},                                         \
        {"memory.max", CONFIG_SIZE, offsetof(struct tag, member.memory_max), "512MiB", 16 << 20, INT64_C(1) << 46,     \
            NULL, "the memory that the daemon sizes its caches and queues by and stays below"},                        \
        {"log.level", CONFIG_CHOICE, offsetof(struct tag, member.log_level), "info", 0, 0, "debug|info|warn|error",    \
            "lines below this level are dropped"},                                                                     \
        {"log.file", CONFIG_STRING, offsetof(struct tag, member.log_file), "", 0, 4000, NULL,                          \
            "the file to log to; empty is standard error"},                                                            \
    {                                                                                                                  \
        "log.bytes_max", CONFIG_SIZE, offsetof(struct tag, member.log_bytes_max), "8MiB", 64 << 10, INT64_C(1) << 40,  \
            NULL, "when log.file is larger it becomes log.file.1, which replaces the one before"                       \
    }

#endif
