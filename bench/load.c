/*
 * load: the load generator, on libtrillium.
 *
 * Closed loop (--inflight N): N calls are always under way; gives the highest rate. Open loop (--rate R): call k is due
 * at start + k/R whatever became of those before; latency counts from the moment it was due, so a server that stands
 * still shows up in every call that was due meanwhile. Prints one JSON object: what was due in the measured time, and
 * (all_ops, cpu_us) the whole run, which is what the CPU time and frames of daemons are divided by.
 * docs/benchmarks/method.md.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "client/trillium.h"
#include "common/base/mem.h"
#include "common/base/prng.h"
#include "common/obs/histogram.h"

enum { CONTENT_BYTES = 160, CONTENT_MAX = 4096, OPEN_OUTSTANDING_MAX = 100000 };

enum mode { MODE_INSERT, MODE_LATEST, MODE_GET };

struct load {
    struct trillium *trillium;
    enum mode mode;
    unsigned channels, inflight, limit, content_bytes;
    double rate; /* 0: closed loop */
    double seconds, warmup;
    uint64_t seed, first_channel, over_us; /* over_us: calls that took longer are counted */
    struct prng prng;
    pthread_mutex_t lock; /* of prng */
    char content[CONTENT_MAX];
    struct histogram latency;
    _Atomic uint64_t done, failed, over, all_ops, messages, outstanding;
    uint64_t measure_from_ns, end_ns;
};

struct one {
    struct load *load;
    uint64_t due_ns;
    unsigned channel;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void start(struct one *one);

static void finished(struct one *one, int status)
{
    struct load *load = one->load;
    uint64_t now = now_ns();
    atomic_fetch_add(&load->all_ops, 1);
    if (one->due_ns >= load->measure_from_ns && one->due_ns < load->end_ns) {
        uint64_t took_us = (now - one->due_ns) / 1000;
        histogram_record(&load->latency, took_us);
        if (took_us >= load->over_us) atomic_fetch_add(&load->over, 1);
        atomic_fetch_add(&load->done, 1);
        if (trillium_class_of(status) != TRILLIUM_DONE) atomic_fetch_add(&load->failed, 1);
    }
    if (load->rate == 0 && now < load->end_ns) {
        one->due_ns = now;
        start(one);
        return;
    }
    mem_free(one);
    atomic_fetch_sub(&load->outstanding, 1);
}

static void sent(void *context, int status, uint64_t id)
{
    (void)id;
    finished(context, status);
}

static void listed(void *context, int status, const struct trillium_page *page)
{
    struct one *one = context;
    atomic_fetch_add(&one->load->messages, page->count);
    finished(one, status);
}

static void start(struct one *one)
{
    struct load *load = one->load;
    pthread_mutex_lock(&load->lock);
    uint64_t channel = load->first_channel + prng_below(&load->prng, load->channels);
    pthread_mutex_unlock(&load->lock);
    if (load->mode == MODE_INSERT) {
        struct trillium_message message = {
            .channel_id = channel, .author_id = 77, .content = {load->content, load->content_bytes}};
        trillium_send_async(load->trillium, &message, TRILLIUM_QUORUM, sent, one);
        return;
    }
    struct trillium_query query = {
        .channel_id = channel, .bound = TRILLIUM_NEWEST, .limit = load->limit, .level = TRILLIUM_QUORUM};
    trillium_list_async(load->trillium, &query, listed, one);
}

static void begin(struct load *load, uint64_t due_ns)
{
    struct one *one = mem_alloc(sizeof *one);
    *one = (struct one){.load = load, .due_ns = due_ns};
    atomic_fetch_add(&load->outstanding, 1);
    start(one);
}

static void sleep_until(uint64_t at_ns)
{
    struct timespec at = {(time_t)(at_ns / 1000000000), (long)(at_ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        ;
}

static void run_open(struct load *load, uint64_t from_ns)
{
    uint64_t k = 0;
    for (;;) {
        uint64_t due = from_ns + (uint64_t)((double)k * 1e9 / load->rate);
        if (due >= load->end_ns) return;
        if (due > now_ns()) sleep_until(due);
        if (atomic_load(&load->outstanding) >= OPEN_OUTSTANDING_MAX) {
            sleep_until(now_ns() + 1000000);
            continue;
        }
        begin(load, due);
        k++;
    }
}

static uint64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void print(struct load *load, double seconds)
{
    static const char *const names[] = {"insert", "latest", "get"};
    uint64_t done = atomic_load(&load->done), failed = atomic_load(&load->failed);
    printf("{\"mode\":\"%s\",\"loop\":\"%s\",\"inflight\":%u,\"offered_per_s\":%.0f,\"seconds\":%.2f,\"ops\":%llu,"
           "\"ops_per_s\":%.0f,\"failed\":%llu,\"messages\":%llu,\"p50_us\":%llu,\"p99_us\":%llu,\"p999_us\":%llu,"
           "\"max_us\":%llu,\"over\":%llu,\"all_ops\":%llu,\"content_bytes\":%u,\"cpu_us\":%llu}\n",
        names[load->mode], load->rate > 0 ? "open" : "closed", load->inflight, load->rate, seconds,
        (unsigned long long)done, (double)done / seconds, (unsigned long long)failed,
        (unsigned long long)atomic_load(&load->messages), (unsigned long long)histogram_quantile(&load->latency, 0.5),
        (unsigned long long)histogram_quantile(&load->latency, 0.99),
        (unsigned long long)histogram_quantile(&load->latency, 0.999), (unsigned long long)load->latency.max,
        (unsigned long long)atomic_load(&load->over), (unsigned long long)atomic_load(&load->all_ops),
        load->content_bytes, (unsigned long long)cpu_us());
}

static int usage(void)
{
    fprintf(stderr, "usage: bench_load --routers LIST [--mode insert|latest] [--inflight N | --rate R] [--seconds S]\n"
                    "                  [--warmup S] [--channels N] [--first-channel ID] [--limit N] [--seed N]\n"
                    "                  [--over-ms N] [--content-bytes N]\n");
    return 2;
}

static bool parse(struct load *load, int argc, char **argv, const char **routers)
{
    static const struct option options[] = {{"routers", 1, 0, 'r'}, {"mode", 1, 0, 'm'}, {"inflight", 1, 0, 'i'},
        {"rate", 1, 0, 'R'}, {"seconds", 1, 0, 's'}, {"warmup", 1, 0, 'w'}, {"channels", 1, 0, 'c'},
        {"first-channel", 1, 0, 'f'}, {"limit", 1, 0, 'l'}, {"seed", 1, 0, 'S'}, {"over-ms", 1, 0, 'o'},
        {"content-bytes", 1, 0, 'b'}, {0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'r':
            *routers = optarg;
            break;
        case 'm':
            load->mode = strcmp(optarg, "latest") == 0 ? MODE_LATEST : MODE_INSERT;
            break;
        case 'i':
            load->inflight = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'R':
            load->rate = strtod(optarg, NULL);
            break;
        case 's':
            load->seconds = strtod(optarg, NULL);
            break;
        case 'w':
            load->warmup = strtod(optarg, NULL);
            break;
        case 'c':
            load->channels = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'f':
            load->first_channel = strtoull(optarg, NULL, 10);
            break;
        case 'l':
            load->limit = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'S':
            load->seed = strtoull(optarg, NULL, 10);
            break;
        case 'o':
            load->over_us = strtoull(optarg, NULL, 10) * 1000;
            break;
        case 'b':
            load->content_bytes = (unsigned)strtoul(optarg, NULL, 10);
            break;
        default:
            return false;
        }
    }
    return *routers && optind == argc && load->channels > 0 && load->inflight > 0 && load->seconds > 0 &&
           load->content_bytes <= CONTENT_MAX;
}

int main(int argc, char **argv)
{
    static struct load load = {.channels = 1000,
        .inflight = 256,
        .limit = 50,
        .content_bytes = CONTENT_BYTES,
        .seconds = 5,
        .warmup = 1,
        .first_channel = 1000000,
        .over_us = UINT64_MAX};
    const char *routers = NULL;
    char error[256];
    if (!parse(&load, argc, argv, &routers)) return usage();
    struct trillium_options options = {.routers = routers};
    load.trillium = trillium_open(&options, error, sizeof error);
    if (!load.trillium) {
        fprintf(stderr, "bench_load: %s\n", error);
        return 1;
    }
    load.prng = prng_seeded(load.seed);
    pthread_mutex_init(&load.lock, NULL);
    for (unsigned i = 0; i < load.content_bytes; i++)
        load.content[i] = (char)('a' + prng_below(&load.prng, 26));
    struct trillium_query probe = {.channel_id = 1, .bound = TRILLIUM_NEWEST, .limit = 1};
    struct trillium_page page;
    int status = trillium_list(load.trillium, &probe, &page);
    if (trillium_class_of(status) != TRILLIUM_DONE) {
        fprintf(stderr, "bench_load: no router of %s serves: %s\n", routers, trillium_status_text(status));
        return 1;
    }
    trillium_page_free(&page);
    uint64_t from = now_ns();
    load.measure_from_ns = from + (uint64_t)(load.warmup * 1e9);
    load.end_ns = load.measure_from_ns + (uint64_t)(load.seconds * 1e9);
    if (load.rate > 0) {
        run_open(&load, from);
    } else {
        for (unsigned i = 0; i < load.inflight; i++)
            begin(&load, now_ns());
        sleep_until(load.end_ns);
    }
    for (int i = 0; i < 15000 && atomic_load(&load.outstanding) > 0; i++)
        sleep_until(now_ns() + 1000000);
    print(&load, load.seconds);
    trillium_close(load.trillium);
    return atomic_load(&load.failed) > 0;
}
