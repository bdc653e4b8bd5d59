#include "msgctl/settings.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"

static const struct config_field fields[] = {
    {"cluster.uuid", CONFIG_UUID, offsetof(struct settings_msgctl, cluster), "", 0, 0, NULL,
        "the cluster that must answer; empty: any"},
    {"endpoints.routers", CONFIG_LIST, offsetof(struct settings_msgctl, routers), "", 0, 64, NULL,
        "routers, host or host:port (7200); any of them, the rest is found"},
    {"endpoints.controllers", CONFIG_LIST, offsetof(struct settings_msgctl, controllers), "", 0, 16, NULL,
        "controllers, host or host:port (7100)"},
};
const struct config_table msgctl_table = {"msgctl", fields, sizeof fields / sizeof *fields};

/* run/msgctl.yaml here, or in a folder above the one that the program lies in. */
static bool find_default(char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "run/msgctl.yaml");
    if (access(out, R_OK) == 0) return true;
    char program[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    if (size <= 0) return false;
    program[size] = 0;
    for (unsigned levels = 0; levels < 5; levels++) {
        char *slash = strrchr(program, '/');
        if (!slash || slash == program) return false;
        *slash = 0;
        int length = snprintf(out, PATH_MAX, "%s/run/msgctl.yaml", program);
        if (length > 0 && length < PATH_MAX && access(out, R_OK) == 0) return true;
    }
    return false;
}

static const char *first_of(const char *flag, const char *variable)
{
    if (flag) return flag;
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

static const char *choose_file(const struct settings_flags *flags, char found[PATH_MAX])
{
    const char *named = first_of(flags->config, "TRILLIUM_CONFIG");
    if (named) return named;
    return find_default(found) ? found : NULL;
}

bool settings_msgctl_load(const struct settings_flags *flags, struct settings_msgctl *out)
{
    char found[PATH_MAX];
    const char *routers = first_of(flags->routers, "TRILLIUM_ROUTERS");
    const char *controllers = first_of(flags->controllers, "TRILLIUM_CONTROLLERS");
    const char *overrides[2];
    unsigned count = 0;
    struct buffer text[2] = {{0}, {0}};
    if (routers) buffer_printf(&text[count], "endpoints.routers=%s%c", routers, 0);
    if (routers) overrides[count] = (const char *)text[count].data, count++;
    if (controllers) buffer_printf(&text[count], "endpoints.controllers=%s%c", controllers, 0);
    if (controllers) overrides[count] = (const char *)text[count].data, count++;
    /* Who names routers by hand means these, not the cluster of a file that happens to lie here. */
    bool alone = routers && controllers && !flags->config;
    const char *file = alone ? NULL : choose_file(flags, found);
    struct config_input input = {.file = file, .overrides = overrides, .overrides_count = count};
    struct config_errors errors = {0};
    enum status status = config_load(&msgctl_table, &input, out, &errors);
    if (status != STATUS_OK) fputs(config_errors_text(&errors), stderr);
    config_errors_free(&errors);
    buffer_free(&text[0]);
    buffer_free(&text[1]);
    if (status != STATUS_OK) return false;
    out->file = file ? mem_strdup(file) : NULL;
    if (routers) memset(&out->cluster, 0, sizeof out->cluster);
    return true;
}

void settings_msgctl_free(struct settings_msgctl *settings)
{
    mem_free(settings->file);
    settings->file = NULL;
    config_free(&msgctl_table, settings);
}

char *settings_join(const struct config_list *list)
{
    struct buffer out = {0};
    for (size_t i = 0; i < list->count; i++)
        buffer_printf(&out, "%s%s", i ? "," : "", list->items[i]);
    buffer_append(&out, "", 1);
    return (char *)out.data;
}
