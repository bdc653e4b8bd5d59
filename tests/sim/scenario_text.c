/* Scenarios as text: one setting or one event per line. */
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/scenario.h"

enum { LINE_BYTES = 512, WEIGHTS = sizeof((struct workload_options *)0)->weights / sizeof(uint32_t) };

/* Settings that are one number. */
struct setting {
    const char *name;
    size_t offset;
    uint32_t low, high, usual;
};

#define OF(field) offsetof(struct scenario, field)

static const struct setting settings[] = {
    {"controllers", OF(hosts.controllers), 1, 3, 3},
    {"clients", OF(workload.users), 1, 8, 3},
    {"lanes", OF(workload.lanes), 1, WORKLOAD_LANES_MAX, 2},
    {"channels", OF(workload.channels), 1, WORKLOAD_CHANNELS_MAX, 4},
    {"think-ms", OF(workload.think_ms), 1, 60000, 120},
    {"content-bytes", OF(workload.content_bytes_max), 0, SIM_CONTENT_BYTES_MAX, 200},
    {"attempts", OF(workload.attempts_max), 1, 1000, 3},
    {"budget-ms", OF(workload.budget_ms), 1, 30000, 2000},
    {"sessions", OF(workload.sessions), 0, 8, 1},
    {"import-ppm", OF(workload.import_ppm), 0, 1000000, 0},
    {"hot-ppm", OF(workload.hot_ppm), 0, 1000000, 100000},
    {"follow-ppm", OF(workload.follow_ppm), 0, 1000000, 50000},
    {"one-ppm", OF(workload.one_ppm), 0, 1000000, 0},
    {"all-ppm", OF(workload.all_ppm), 0, 1000000, 0},
    {"node-memory-mib", OF(node_memory_mib), 16, 1024, 16},
    {"snapshot-entries", OF(snapshot_entries), 16, 1000000, 16},
    {"append-bytes", OF(append_bytes), 1, 1 << 20, 262144},
    {"disk-keep-ppm", OF(disk_keep_ppm), 0, 1000000, 500000},
};

enum { SETTINGS = sizeof settings / sizeof settings[0] };

static uint32_t *number_of(struct scenario *scenario, const struct setting *setting)
{
    return (uint32_t *)((char *)scenario + setting->offset);
}

static void set_defaults(struct scenario *scenario)
{
    static const uint32_t weights[WEIGHTS] = {36, 14, 6, 1, 14, 24, 5};
    *scenario = (struct scenario){.seed = 1,
        .hosts = {.nodes = 3, .routers = 2},
        .net_delay_ns = 200 * WORLD_US,
        .net_jitter_ns = 100 * WORLD_US,
        .plan = {.safety_ns = 40 * WORLD_S}};
    for (size_t i = 0; i < SETTINGS; i++)
        *number_of(scenario, &settings[i]) = settings[i].usual;
    for (uint32_t i = 0; i < SCENARIO_HOSTS_MAX; i++)
        scenario->shards[i] = scenario->workers[i] = 2;
    memcpy(scenario->workload.weights, weights, sizeof weights);
}

/* Writing. */

static void write_list(const char *name, const uint32_t *numbers, uint32_t count, FILE *file)
{
    fprintf(file, "%s", name);
    for (uint32_t i = 0; i < count; i++)
        fprintf(file, " %u", numbers[i]);
    fprintf(file, "\n");
}

void scenario_write(const struct scenario *scenario, FILE *file)
{
    const struct plan_hosts *hosts = &scenario->hosts;
    struct scenario copy = *scenario;
    fprintf(file, "seed %" PRIu64 "\n", scenario->seed);
    for (size_t i = 0; i < SETTINGS; i++)
        fprintf(file, "%s %u\n", settings[i].name, *number_of(&copy, &settings[i]));
    write_list("nodes", scenario->shards, hosts->nodes, file);
    write_list("routers", scenario->workers, hosts->routers, file);
    write_list("weights", scenario->workload.weights, WEIGHTS, file);
    fprintf(file, "clocks-us");
    for (uint32_t i = 0; i < plan_daemons(hosts); i++)
        fprintf(file, " %" PRId64, scenario->clock_offset_us[i]);
    uint64_t delay_us = scenario->net_delay_ns / WORLD_US, jitter_us = scenario->net_jitter_ns / WORLD_US;
    fprintf(file, "\nnetwork-us %" PRIu64 " %" PRIu64 "\n", delay_us, jitter_us);
    if (scenario->all_served) fprintf(file, "all-served\n");
    if (scenario->none_lapsed) fprintf(file, "none-lapsed\n");
    fprintf(file, "safety-s %.3f\n", (double)scenario->plan.safety_ns / 1e9);
    plan_write(&scenario->plan, hosts, file);
}

/* Reading. */

/* False unless there are low..high numbers and nothing else. */
static bool read_numbers(char *rest, int64_t *out, uint32_t low, uint32_t high, uint32_t *count)
{
    *count = 0;
    for (char *word; (word = strsep(&rest, " "));) {
        char *end;
        if (*word == 0 || *count == high) return false;
        out[(*count)++] = strtoll(word, &end, 10);
        if (*end) return false;
    }
    return *count >= low;
}

/* Of nodes or routers: how many shards or workers each has. */
static bool read_reactors(char *rest, uint32_t *reactors, uint32_t most, uint32_t *count)
{
    int64_t numbers[SCENARIO_HOSTS_MAX];
    if (!read_numbers(rest, numbers, 1, most, count)) return false;
    for (uint32_t i = 0; i < *count; i++) {
        if (numbers[i] < 1 || numbers[i] > 4) return false;
        reactors[i] = (uint32_t)numbers[i];
    }
    return true;
}

static bool read_weights(char *rest, uint32_t *weights)
{
    int64_t numbers[WEIGHTS], sum = 0;
    uint32_t count;
    if (!read_numbers(rest, numbers, WEIGHTS, WEIGHTS, &count)) return false;
    for (uint32_t i = 0; i < WEIGHTS; i++) {
        if (numbers[i] < 0 || numbers[i] > 10000) return false;
        weights[i] = (uint32_t)numbers[i];
        sum += numbers[i];
    }
    return sum > 0;
}

static bool read_network(char *rest, struct scenario *scenario)
{
    int64_t numbers[2];
    uint32_t count;
    if (!read_numbers(rest, numbers, 2, 2, &count) || numbers[0] < 0 || numbers[1] < 0) return false;
    scenario->net_delay_ns = (uint64_t)numbers[0] * WORLD_US;
    scenario->net_jitter_ns = (uint64_t)numbers[1] * WORLD_US;
    return true;
}

static bool read_number(char *rest, struct scenario *scenario, const char *name)
{
    int64_t number;
    uint32_t count;
    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *setting = &settings[i];
        if (strcmp(name, setting->name) != 0) continue;
        if (!read_numbers(rest, &number, 1, 1, &count) || number < setting->low || number > setting->high) return false;
        *number_of(scenario, setting) = (uint32_t)number;
        return true;
    }
    return false;
}

static bool read_setting(char *line, struct scenario *scenario)
{
    char *rest = line;
    const char *name = strsep(&rest, " ");
    char none[1] = "";
    uint32_t count;
    struct plan_hosts *hosts = &scenario->hosts;
    if (strcmp(name, "all-served") == 0) return scenario->all_served = rest == NULL;
    if (strcmp(name, "none-lapsed") == 0) return scenario->none_lapsed = rest == NULL;
    if (rest == NULL) rest = none;
    if (strcmp(name, "seed") == 0) return sscanf(rest, "%" SCNu64, &scenario->seed) == 1;
    if (strcmp(name, "nodes") == 0) return read_reactors(rest, scenario->shards, 6, &hosts->nodes);
    if (strcmp(name, "routers") == 0) return read_reactors(rest, scenario->workers, 4, &hosts->routers);
    if (strcmp(name, "weights") == 0) return read_weights(rest, scenario->workload.weights);
    if (strcmp(name, "clocks-us") == 0)
        return read_numbers(rest, scenario->clock_offset_us, 0, SCENARIO_HOSTS_MAX, &count);
    if (strcmp(name, "network-us") == 0) return read_network(rest, scenario);
    if (strcmp(name, "safety-s") == 0) return plan_read_seconds(rest, &scenario->plan.safety_ns);
    return read_number(rest, scenario, name);
}

enum status scenario_read(struct scenario *scenario, FILE *file, char why[SCENARIO_WHY_BYTES])
{
    char line[LINE_BYTES];
    set_defaults(scenario);
    for (uint32_t number = 1; fgets(line, sizeof line, file); number++) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] == 0 || line[0] == '#') continue;
        scenario->hosts.clients = scenario->workload.users;
        bool event = line[0] >= '0' && line[0] <= '9';
        bool good =
            event ? plan_read_line(&scenario->plan, &scenario->hosts, line) == STATUS_OK : read_setting(line, scenario);
        if (good) continue;
        snprintf(why, SCENARIO_WHY_BYTES, "line %u is no %s: %.100s", number, event ? "event" : "setting", line);
        return STATUS_BAD_REQUEST;
    }
    scenario->hosts.clients = scenario->workload.users;
    plan_sort(&scenario->plan);
    return STATUS_OK;
}
