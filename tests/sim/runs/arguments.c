#include "tests/sim/runs/arguments.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noreturn)) static void usage(void)
{
    fprintf(stderr, "usage: sim --seeds A..B [--twice] | --seed N | --scenario NAME|FILE|all | --hours N\n"
                    "           [--trace] [--until S] [--history FILE] [--write-plan FILE] [--minimise] [--quiet]\n"
                    "           [--plant NAME] [--only KINDS] [--without KINDS] [--length N]\n"
                    "           [--jobs N] [--ledger FILE] [--label TEXT] [--keep DIRECTORY]\n");
    exit(2);
}

static uint64_t parse_kinds(const char *text)
{
    uint64_t kinds = 0;
    char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    char *rest = copy;
    for (char *name; (name = strsep(&rest, ","));) {
        if (*name == 0 || strcmp(name, "none") == 0) continue;
        enum fault_kind kind = fault_named(name);
        if (kind == FAULT_KINDS) {
            fprintf(stderr, "sim: there is no fault %s; there are:", name);
            for (int i = 0; i < FAULT_KINDS; i++)
                fprintf(stderr, " %s", fault_name((enum fault_kind)i));
            fprintf(stderr, "\n");
            exit(2);
        }
        kinds |= 1ull << kind;
    }
    return kinds;
}

static bool parse_switch(struct arguments *out, const char *word)
{
    const struct {
        const char *name;
        bool *value;
    } switches[] = {
        {"--twice", &out->twice}, {"--trace", &out->trace}, {"--quiet", &out->quiet}, {"--minimise", &out->minimise}};
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++)
        if (strcmp(word, switches[i].name) == 0) return *switches[i].value = true;
    return false;
}

static bool parse_text(struct arguments *out, const char *word, const char *value)
{
    const struct {
        const char *name, **value;
    } texts[] = {{"--plant", &out->plant}, {"--history", &out->history}, {"--scenario", &out->scenario},
        {"--write-plan", &out->write_plan}, {"--ledger", &out->campaign.ledger}, {"--label", &out->campaign.label},
        {"--keep", &out->campaign.keep}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(word, texts[i].name) != 0) continue;
        *texts[i].value = value;
        return true;
    }
    return false;
}

static bool parse_number(struct arguments *out, const char *word, const char *value)
{
    if (strcmp(word, "--seed") == 0)
        out->first = out->last = strtoull(value, NULL, 10);
    else if (strcmp(word, "--seeds") == 0)
        return sscanf(value, "%" SCNu64 "..%" SCNu64, &out->first, &out->last) == 2;
    else if (strcmp(word, "--until") == 0)
        out->until_s = strtod(value, NULL);
    else if (strcmp(word, "--hours") == 0)
        out->campaign.hours = strtod(value, NULL);
    else if (strcmp(word, "--jobs") == 0)
        out->campaign.jobs = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(word, "--length") == 0)
        out->bounds.length = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(word, "--only") == 0)
        out->bounds.kinds = parse_kinds(value);
    else if (strcmp(word, "--without") == 0)
        out->bounds.kinds &= ~parse_kinds(value);
    else
        return false;
    return true;
}

void arguments_parse(struct arguments *arguments, int count, char **words)
{
    *arguments = (struct arguments){.first = 1, .last = 20, .campaign = {.jobs = 1, .first = CAMPAIGN_SEED_MIN}};
    struct plan_bounds none = {.kinds = UINT64_MAX};
    arguments->bounds = none;
    for (int i = 1; i < count; i++) {
        if (parse_switch(arguments, words[i])) continue;
        if (i + 1 == count) usage();
        if (!parse_text(arguments, words[i], words[i + 1]) && !parse_number(arguments, words[i], words[i + 1])) usage();
        i++;
    }
    /* Campaigns run longer: more of their time is under faults. */
    if (arguments->bounds.length == 0) arguments->bounds.length = arguments->campaign.hours > 0 ? 4 : 1;
    arguments->campaign.bounds = arguments->bounds;
    if (arguments->bounds.length > 100 || arguments->campaign.jobs < 1 || arguments->campaign.jobs > CAMPAIGN_JOBS_MAX)
        usage();
}
