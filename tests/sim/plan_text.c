/* The events of a plan as text, so that a run that found something can be kept, read and cut down by people. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/plan.h"

enum { LINE_BYTES = 512, NAME_BYTES = 24, SECONDS_MAX = 1000000 };

/* What stands behind the kind. */
enum who { WHO_NONE, WHO_HOST, WHO_CLIENT };
enum what { WHAT_NONE, WHAT_NUMBER, WHAT_HOST, WHAT_HOST_FACTOR, WHAT_HOSTS, WHAT_CONTROLLER };

struct grammar {
    enum who who;
    enum what what;
};

static const struct grammar grammars[FAULT_KINDS] = {
    [FAULT_KILL] = {WHO_HOST, WHAT_NONE},
    [FAULT_POWER] = {WHO_HOST, WHAT_NONE},
    [FAULT_POWER_ALL] = {WHO_NONE, WHAT_NONE},
    [FAULT_POWER_CONTROLLERS] = {WHO_NONE, WHAT_NONE},
    [FAULT_TORN] = {WHO_NONE, WHAT_CONTROLLER},
    [FAULT_SLOW_CUT] = {WHO_HOST, WHAT_NUMBER},
    [FAULT_STOP] = {WHO_HOST, WHAT_NONE},
    [FAULT_PAUSE] = {WHO_HOST, WHAT_NONE},
    [FAULT_CUT] = {WHO_HOST, WHAT_HOST},
    [FAULT_PARTITION] = {WHO_NONE, WHAT_HOSTS},
    [FAULT_SLOW_LINK] = {WHO_HOST, WHAT_HOST_FACTOR},
    [FAULT_RESET] = {WHO_HOST, WHAT_HOST},
    [FAULT_NET_LOSS] = {WHO_NONE, WHAT_NUMBER},
    [FAULT_NET_DUPLICATE] = {WHO_NONE, WHAT_NUMBER},
    [FAULT_NET_REORDER] = {WHO_NONE, WHAT_NUMBER},
    [FAULT_NET_SPIKE] = {WHO_NONE, WHAT_NUMBER},
    [FAULT_NET_RESET] = {WHO_NONE, WHAT_NUMBER},
    [FAULT_NET_QUEUE] = {WHO_NONE, WHAT_NUMBER},
    [FAULT_DISK_READ] = {WHO_HOST, WHAT_NUMBER},
    [FAULT_DISK_FLIP] = {WHO_HOST, WHAT_NUMBER},
    [FAULT_DISK_ROT] = {WHO_HOST, WHAT_NUMBER},
    [FAULT_DISK_SYNC] = {WHO_HOST, WHAT_NUMBER},
    [FAULT_DISK_WRITE] = {WHO_HOST, WHAT_NUMBER},
    [FAULT_DISK_SLOW] = {WHO_HOST, WHAT_NUMBER},
    [FAULT_DISK_FULL] = {WHO_HOST, WHAT_NUMBER},
    [FAULT_CLOCK_STEP] = {WHO_HOST, WHAT_NUMBER},
    [FAULT_CLOCK_RATE] = {WHO_HOST, WHAT_NUMBER},
    [FAULT_EPOCH] = {WHO_NONE, WHAT_NUMBER},
    [FAULT_CLIENT_KILL] = {WHO_CLIENT, WHAT_NONE},
    [FAULT_FLUSH] = {WHO_HOST, WHAT_NUMBER},
    [FAULT_COMPACT] = {WHO_HOST, WHAT_NUMBER},
    [FAULT_HORIZON] = {WHO_NONE, WHAT_NUMBER},
};

/* Hosts by name: controllers, nodes and routers are counted from 1, clients from 0. */

static void host_name(const struct plan_hosts *hosts, uint32_t host, char out[NAME_BYTES])
{
    if (host < hosts->controllers)
        snprintf(out, NAME_BYTES, "controller%u", host + 1);
    else if ((host -= hosts->controllers) < hosts->nodes)
        snprintf(out, NAME_BYTES, "node%u", host + 1);
    else if ((host -= hosts->nodes) < hosts->routers)
        snprintf(out, NAME_BYTES, "router%u", host + 1);
    else
        snprintf(out, NAME_BYTES, "client%u", host - hosts->routers);
}

static bool host_named(const struct plan_hosts *hosts, const char *name, uint32_t *out)
{
    char candidate[NAME_BYTES];
    for (uint32_t host = 0; host < plan_daemons(hosts) + hosts->clients; host++) {
        host_name(hosts, host, candidate);
        if (strcmp(name, candidate) != 0) continue;
        *out = host;
        return true;
    }
    return false;
}

/* Writing. */

static void write_hosts(const struct plan_hosts *hosts, uint64_t mask, FILE *file)
{
    char name[NAME_BYTES];
    const char *comma = " ";
    for (uint32_t host = 0; host < plan_daemons(hosts) + hosts->clients; host++) {
        if (!(mask >> host & 1)) continue;
        host_name(hosts, host, name);
        fprintf(file, "%s%s", comma, name);
        comma = ",";
    }
}

static void write_what(const struct plan_event *event, const struct plan_hosts *hosts, FILE *file)
{
    char name[NAME_BYTES];
    switch (grammars[event->kind].what) {
    case WHAT_NONE:
        break;
    case WHAT_NUMBER:
        fprintf(file, " %" PRId64, event->argument);
        break;
    case WHAT_HOST:
    case WHAT_CONTROLLER:
        host_name(hosts, (uint32_t)event->argument, name);
        fprintf(file, " %s", name);
        break;
    case WHAT_HOST_FACTOR:
        host_name(hosts, (uint32_t)(event->argument >> 32), name);
        fprintf(file, " %s %u", name, (uint32_t)event->argument);
        break;
    case WHAT_HOSTS:
        write_hosts(hosts, (uint64_t)event->argument, file);
        break;
    }
}

void plan_write(const struct plan *plan, const struct plan_hosts *hosts, FILE *file)
{
    char name[NAME_BYTES];
    for (uint32_t i = 0; i < plan->events_count; i++) {
        const struct plan_event *event = &plan->events[i];
        fprintf(file, "%.3f %s", (double)event->at_ns / 1e9, fault_name(event->kind));
        enum who who = grammars[event->kind].who;
        host_name(hosts, event->target + (who == WHO_CLIENT ? plan_daemons(hosts) : 0), name);
        if (who != WHO_NONE) fprintf(file, " %s", name);
        write_what(event, hosts, file);
        if (event->length_ns) fprintf(file, " for %.3f", (double)event->length_ns / 1e9);
        fprintf(file, "\n");
    }
}

/* Reading. */

static bool read_number(char **rest, int64_t *out)
{
    char *word = strsep(rest, " "), *end;
    if (word == NULL || *word == 0) return false;
    *out = strtoll(word, &end, 10);
    return *end == 0;
}

bool plan_read_seconds(const char *text, uint64_t *out_ns)
{
    char *end;
    if (*text < '0' || *text > '9') return false;
    uint64_t ms = strtoull(text, &end, 10), unit = 1000;
    if (ms > SECONDS_MAX) return false;
    ms *= 1000;
    if (*end == '.')
        for (end++; *end >= '0' && *end <= '9' && unit > 1; end++) {
            unit /= 10;
            ms += (uint64_t)(*end - '0') * unit;
        }
    *out_ns = ms * WORLD_MS;
    return *end == 0;
}

static bool read_seconds(char **rest, uint64_t *out_ns)
{
    const char *word = strsep(rest, " ");
    return word && plan_read_seconds(word, out_ns);
}

static bool read_host(char **rest, const struct plan_hosts *hosts, uint32_t *out)
{
    const char *word = strsep(rest, " ");
    return word && host_named(hosts, word, out);
}

static bool read_hosts(char **rest, const struct plan_hosts *hosts, int64_t *out)
{
    char *names = strsep(rest, " ");
    uint64_t mask = 0;
    if (names == NULL) return false;
    for (char *name; (name = strsep(&names, ","));) {
        uint32_t host;
        if (!host_named(hosts, name, &host)) return false;
        mask |= 1ull << host;
    }
    *out = (int64_t)mask;
    return true;
}

static bool read_who(char **rest, const struct plan_hosts *hosts, struct plan_event *event)
{
    enum who who = grammars[event->kind].who;
    uint32_t daemons = plan_daemons(hosts);
    if (who == WHO_NONE) return true;
    if (!read_host(rest, hosts, &event->target)) return false;
    /* Between clients there can be cuts as well; what happens to a daemon needs one. */
    bool any = grammars[event->kind].what == WHAT_HOST;
    if (who == WHO_HOST) return any || event->target < daemons;
    if (event->target < daemons) return false;
    event->target -= daemons;
    return true;
}

static bool read_what(char **rest, const struct plan_hosts *hosts, struct plan_event *event)
{
    uint32_t host = 0;
    int64_t factor = 0;
    switch (grammars[event->kind].what) {
    case WHAT_NONE:
        return true;
    case WHAT_NUMBER:
        return read_number(rest, &event->argument);
    case WHAT_HOSTS:
        return read_hosts(rest, hosts, &event->argument);
    case WHAT_HOST:
        if (!read_host(rest, hosts, &host)) return false;
        event->argument = host;
        return true;
    case WHAT_CONTROLLER: /* one of three */
        if (!read_host(rest, hosts, &host) || host >= hosts->controllers || hosts->controllers != 3) return false;
        event->argument = host;
        return true;
    case WHAT_HOST_FACTOR:
        if (!read_host(rest, hosts, &host) || !read_number(rest, &factor) || factor < 1 || factor > UINT16_MAX)
            return false;
        event->argument = (int64_t)host << 32 | factor;
        return true;
    }
    return false;
}

enum status plan_read_line(struct plan *plan, const struct plan_hosts *hosts, const char *line)
{
    char copy[LINE_BYTES], *rest = copy;
    struct plan_event event = {0};
    if (strlen(line) >= sizeof copy || plan->events_count == PLAN_EVENTS_MAX) return STATUS_BAD_REQUEST;
    memcpy(copy, line, strlen(line) + 1);
    if (!read_seconds(&rest, &event.at_ns)) return STATUS_BAD_REQUEST;
    const char *kind = strsep(&rest, " ");
    if (kind == NULL || (event.kind = fault_named(kind)) == FAULT_KINDS) return STATUS_BAD_REQUEST;
    if (!read_who(&rest, hosts, &event) || !read_what(&rest, hosts, &event)) return STATUS_BAD_REQUEST;
    const char *word = strsep(&rest, " ");
    if (word && (strcmp(word, "for") != 0 || !read_seconds(&rest, &event.length_ns) || rest)) return STATUS_BAD_REQUEST;
    plan->events[plan->events_count++] = event;
    plan->kinds |= 1ull << event.kind;
    return STATUS_OK;
}
