/*
 * scan: the least that reading a log can cost: every segment whole, past the page cache, with a checksum over it. One
 * thread per log number, as the shards have. Prints one JSON object; what a replay takes is judged beside it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/hash.h"
#include "common/base/mem.h"

enum { CHUNK_BYTES = 1 << 20, LOGS_MAX = 64 };

struct log_scan {
    char **files;
    int count;
    const char *log; /* "00": the first two letters of its segments' names */
    uint64_t bytes;
    uint32_t sum;
};

static void scan_file(struct log_scan *scan, const char *path, void *buffer)
{
    int fd = open(path, O_RDONLY | O_DIRECT);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    for (ssize_t got; (got = read(fd, buffer, CHUNK_BYTES)) > 0; scan->bytes += (uint64_t)got)
        scan->sum = crc32c(scan->sum, buffer, (size_t)got);
    close(fd);
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void *scan_log(void *argument)
{
    struct log_scan *scan = argument;
    void *buffer = mem_alloc_aligned(4096, CHUNK_BYTES);
    for (int i = 0; i < scan->count; i++)
        if (strncmp(name_of(scan->files[i]), scan->log, 2) == 0) scan_file(scan, scan->files[i], buffer);
    mem_free(buffer);
    return NULL;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct log_scan scans[LOGS_MAX];
    char names[LOGS_MAX][3];
    pthread_t threads[LOGS_MAX];
    int logs = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: bench_scan SEGMENT...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        int known = 0;
        while (known < logs && strncmp(names[known], name_of(argv[i]), 2) != 0)
            known++;
        if (known < logs || logs == LOGS_MAX) continue;
        memcpy(names[logs], name_of(argv[i]), 2);
        names[logs][2] = 0;
        scans[logs] = (struct log_scan){.files = argv + 1, .count = argc - 1, .log = names[logs]};
        logs++;
    }
    double began = now_s();
    uint64_t bytes = 0;
    uint32_t sum = 0;
    for (int i = 0; i < logs; i++)
        pthread_create(&threads[i], NULL, scan_log, &scans[i]);
    for (int i = 0; i < logs; i++) {
        pthread_join(threads[i], NULL);
        bytes += scans[i].bytes;
        sum ^= scans[i].sum;
    }
    printf("{\"logs\":%d,\"bytes\":%llu,\"seconds\":%.4f,\"sum\":%u}\n", logs, (unsigned long long)bytes,
        now_s() - began, sum);
    return 0;
}
