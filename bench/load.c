/*
 * load: the load generator, on libtrillium.
 *
 * Closed loop (--inflight N): N calls are always under way; gives the highest rate. Open loop (--rate R): call k is due
 * at start + k/R whatever became of those before; latency counts from the moment it was due, so a server that stands
 * still shows up in every call that was due meanwhile. Prints one JSON object: what was due in the measured time, and
 * (all_ops, cpu_us) the whole run, which is what the CPU time and frames of daemons are divided by. With --every N one
 * more object, in a line, for each N seconds. docs/benchmarks/method.md.
 */
#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/calls.h"
#include "common/base/mem.h"
#include "common/obs/histogram.h"

enum { OPEN_OUTSTANDING_MAX = 100000, DRAIN_MS = 15000 };

struct load {
    struct calls calls;
    unsigned inflight;
    double rate; /* 0: closed loop */
    double seconds, warmup, every;
    bool purges;      /* instead of a load: deletes all messages of the channels */
    uint64_t count;   /* 0, or end after so many inserts */
    uint64_t over_us; /* calls that took longer are counted */
    struct histogram latency;
    _Atomic uint64_t done, failed, over, all_ops, messages, outstanding, inserted;
    uint64_t measure_from_ns;
    _Atomic uint64_t end_ns;
    /* Since the last line of --every. */
    struct histogram lately[CALL_KINDS];
    pthread_mutex_t lately_lock;
};

struct one {
    struct call call;
    struct load *load;
    uint64_t due_ns;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* An edit or delete of what another call deleted meanwhile did what it should. */
static bool failed(int status)
{
    return trillium_class_of(status) != TRILLIUM_DONE && trillium_class_of(status) != TRILLIUM_FINAL;
}

static void count(struct load *load, const struct one *one, int status, uint64_t now)
{
    uint64_t took_us = (now - one->due_ns) / 1000;
    atomic_fetch_add(&load->all_ops, 1);
    if (load->every > 0) {
        pthread_mutex_lock(&load->lately_lock);
        histogram_record(&load->lately[one->call.kind], took_us);
        pthread_mutex_unlock(&load->lately_lock);
    }
    if (one->call.kind == CALL_INSERT && !failed(status) && atomic_fetch_add(&load->inserted, 1) + 1 == load->count)
        atomic_store(&load->end_ns, now);
    if (one->due_ns < load->measure_from_ns || one->due_ns >= atomic_load(&load->end_ns)) return;
    histogram_record(&load->latency, took_us);
    if (took_us >= load->over_us) atomic_fetch_add(&load->over, 1);
    atomic_fetch_add(&load->done, 1);
    if (failed(status)) atomic_fetch_add(&load->failed, 1);
}

static void finished(struct call *call, int status, uint64_t messages)
{
    struct one *one = (struct one *)call;
    struct load *load = one->load;
    uint64_t now = now_ns();
    atomic_fetch_add(&load->messages, messages);
    count(load, one, status, now);
    if (load->rate == 0 && now < atomic_load(&load->end_ns)) {
        one->due_ns = now;
        call_begin(call);
        return;
    }
    mem_free(one);
    atomic_fetch_sub(&load->outstanding, 1);
}

static void begin(struct load *load, uint64_t due_ns)
{
    struct one *one = mem_alloc(sizeof *one);
    *one = (struct one){.call = {.calls = &load->calls, .done = finished}, .load = load, .due_ns = due_ns};
    atomic_fetch_add(&load->outstanding, 1);
    call_begin(&one->call);
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
        if (due >= atomic_load(&load->end_ns)) return;
        if (due > now_ns()) sleep_until(due);
        if (atomic_load(&load->outstanding) >= OPEN_OUTSTANDING_MAX) {
            sleep_until(now_ns() + 1000000);
            continue;
        }
        begin(load, due);
        k++;
    }
}

static void print_lately(struct load *load, double at)
{
    printf("{\"at_s\":%.1f,\"inserted\":%llu", at, (unsigned long long)atomic_load(&load->inserted));
    pthread_mutex_lock(&load->lately_lock);
    for (unsigned i = 0; i < CALL_KINDS; i++) {
        struct histogram *lately = &load->lately[i];
        printf(",\"%s\":{\"ops\":%llu,\"p50_us\":%llu,\"p99_us\":%llu,\"p999_us\":%llu}", call_names[i],
            (unsigned long long)histogram_count(lately), (unsigned long long)histogram_quantile(lately, 0.5),
            (unsigned long long)histogram_quantile(lately, 0.99),
            (unsigned long long)histogram_quantile(lately, 0.999));
        memset(lately, 0, sizeof *lately);
    }
    pthread_mutex_unlock(&load->lately_lock);
    printf("}\n");
    fflush(stdout);
}

static void run_closed(struct load *load, uint64_t from_ns)
{
    enum { STEP_NS = 20000000 };
    for (unsigned i = 0; i < load->inflight; i++)
        begin(load, now_ns());
    uint64_t step = load->every > 0 ? (uint64_t)(load->every * 1e9) : UINT64_MAX, last = from_ns;
    for (uint64_t now; (now = now_ns()) < atomic_load(&load->end_ns);) {
        if (now - last >= step) {
            last += step;
            print_lately(load, (double)(last - from_ns) / 1e9);
        }
        uint64_t end = atomic_load(&load->end_ns);
        sleep_until(end - now < STEP_NS ? end : now + STEP_NS);
    }
}

static uint64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* "insert", or what is mixed. */
static const char *mode_of(const struct calls *calls)
{
    const char *name = "mix";
    unsigned kinds = 0;
    for (unsigned i = 0; i < CALL_KINDS; i++)
        if (calls->weights[i] > 0 && kinds++ == 0) name = call_names[i];
    return kinds == 1 ? name : "mix";
}

static void print(struct load *load)
{
    uint64_t done = atomic_load(&load->done);
    double seconds = (double)(atomic_load(&load->end_ns) - load->measure_from_ns) / 1e9;
    printf("{\"mode\":\"%s\",\"loop\":\"%s\",\"inflight\":%u,\"offered_per_s\":%.0f,\"seconds\":%.2f,\"ops\":%llu,"
           "\"ops_per_s\":%.0f,\"failed\":%llu,\"messages\":%llu,\"p50_us\":%llu,\"p99_us\":%llu,\"p999_us\":%llu,"
           "\"max_us\":%llu,\"over\":%llu,\"all_ops\":%llu,\"content_bytes\":%u,\"cpu_us\":%llu}\n",
        mode_of(&load->calls), load->rate > 0 ? "open" : "closed", load->inflight, load->rate, seconds,
        (unsigned long long)done, (double)done / seconds, (unsigned long long)atomic_load(&load->failed),
        (unsigned long long)atomic_load(&load->messages), (unsigned long long)histogram_quantile(&load->latency, 0.5),
        (unsigned long long)histogram_quantile(&load->latency, 0.99),
        (unsigned long long)histogram_quantile(&load->latency, 0.999), (unsigned long long)load->latency.max,
        (unsigned long long)atomic_load(&load->over), (unsigned long long)atomic_load(&load->all_ops),
        load->calls.content_bytes, (unsigned long long)cpu_us());
}

static int usage(void)
{
    fprintf(stderr,
        "usage: bench_load --routers LIST [--mode insert|latest | --mix insert=83,edit=5,delete=2,latest=10]\n"
        "                  [--inflight N [--every S] | --rate R] [--seconds S] [--count INSERTS] [--warmup S]\n"
        "                  [--channels N] [--zipf EXPONENT] [--first-channel ID] [--limit N] [--seed N]\n"
        "                  [--over-ms N] [--content-bytes N]\n"
        "       bench_load --routers LIST --purge [--channels N] [--first-channel ID]\n");
    return 2;
}

static bool set(struct load *load, int option, const char *text, const char **routers)
{
    struct calls *calls = &load->calls;
    uint64_t number = text ? strtoull(text, NULL, 10) : 0;
    switch (option) {
    case 'r':
        *routers = text;
        return true;
    case 'm':
        memset(calls->weights, 0, sizeof calls->weights);
        calls->weights[strcmp(text, "latest") == 0 ? CALL_LATEST : CALL_INSERT] = 1;
        return true;
    case 'x':
        return calls_parse_weights(text, calls->weights);
    case 'i':
        load->inflight = (unsigned)number;
        return number > 0;
    case 'R':
        load->rate = strtod(text, NULL);
        return load->rate > 0;
    case 's':
        load->seconds = strtod(text, NULL);
        return load->seconds > 0;
    case 'n':
        load->count = number;
        return number > 0;
    case 'w':
        load->warmup = strtod(text, NULL);
        return true;
    case 'e':
        load->every = strtod(text, NULL);
        return load->every > 0;
    case 'c':
        calls->channels = (unsigned)number;
        return number > 0;
    case 'z':
        calls->zipf = strtod(text, NULL);
        return calls->zipf >= 0;
    case 'f':
        calls->first_channel = number;
        return true;
    case 'l':
        calls->limit = (unsigned)number;
        return number > 0;
    case 'S':
        calls->seed = number;
        return true;
    case 'o':
        load->over_us = number * 1000;
        return true;
    case 'b':
        calls->content_bytes = (unsigned)number;
        return number <= CALLS_CONTENT_MAX;
    case 'p':
        load->purges = true;
        return true;
    default:
        return false;
    }
}

static bool parse(struct load *load, int argc, char **argv, const char **routers)
{
    static const struct option options[] = {{"routers", 1, 0, 'r'}, {"mode", 1, 0, 'm'}, {"mix", 1, 0, 'x'},
        {"inflight", 1, 0, 'i'}, {"rate", 1, 0, 'R'}, {"seconds", 1, 0, 's'}, {"count", 1, 0, 'n'},
        {"warmup", 1, 0, 'w'}, {"every", 1, 0, 'e'}, {"channels", 1, 0, 'c'}, {"zipf", 1, 0, 'z'},
        {"first-channel", 1, 0, 'f'}, {"limit", 1, 0, 'l'}, {"seed", 1, 0, 'S'}, {"over-ms", 1, 0, 'o'},
        {"content-bytes", 1, 0, 'b'}, {"purge", 0, 0, 'p'}, {0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (!set(load, option, optarg, routers)) return false;
    return *routers && optind == argc;
}

/* Waits until some router serves. */
static bool is_served(struct trillium *trillium, const char *routers)
{
    struct trillium_query probe = {.channel_id = 1, .bound = TRILLIUM_NEWEST, .limit = 1};
    struct trillium_page page;
    int status = trillium_list(trillium, &probe, &page);
    if (trillium_class_of(status) != TRILLIUM_DONE) {
        fprintf(stderr, "bench_load: no router of %s serves: %s\n", routers, trillium_status_text(status));
        return false;
    }
    trillium_page_free(&page);
    return true;
}

static int purge(struct load *load)
{
    uint64_t from = now_ns();
    unsigned failures = calls_purge(&load->calls);
    printf("{\"mode\":\"purge\",\"channels\":%u,\"failed\":%u,\"seconds\":%.2f}\n", load->calls.channels, failures,
        (double)(now_ns() - from) / 1e9);
    trillium_close(load->calls.trillium);
    return failures > 0;
}

int main(int argc, char **argv)
{
    static struct load load = {.calls = {.weights = {[CALL_INSERT] = 1},
                                   .channels = 1000,
                                   .limit = 50,
                                   .content_bytes = 160,
                                   .first_channel = 1000000},
        .inflight = 256,
        .seconds = 5,
        .warmup = 1,
        .over_us = UINT64_MAX};
    const char *routers = NULL;
    char error[256];
    if (!parse(&load, argc, argv, &routers)) return usage();
    struct trillium_options options = {.routers = routers};
    struct trillium *trillium = load.calls.trillium = trillium_open(&options, error, sizeof error);
    if (!trillium) {
        fprintf(stderr, "bench_load: %s\n", error);
        return 1;
    }
    if (!is_served(trillium, routers)) return 1;
    if (load.purges) return purge(&load);
    calls_open(&load.calls);
    pthread_mutex_init(&load.lately_lock, NULL);
    uint64_t from = now_ns();
    load.measure_from_ns = from + (uint64_t)(load.warmup * 1e9);
    atomic_store(&load.end_ns, load.measure_from_ns + (uint64_t)(load.seconds * 1e9));
    if (load.rate > 0)
        run_open(&load, from);
    else
        run_closed(&load, from);
    for (unsigned i = 0; i < DRAIN_MS && atomic_load(&load.outstanding) > 0; i++)
        sleep_until(now_ns() + 1000000);
    print(&load);
    trillium_close(trillium);
    calls_close(&load.calls);
    return atomic_load(&load.failed) > 0;
}
