/* The commands on files of a data directory: file dump, file check. Nothing is changed and no cluster is asked. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "msgctl/commands.h"
#include "msgctl/files/files.h"
#include "msgctl/json.h"
#include "msgctl/output.h"

enum { DEPTH_MAX = 8 };

/* ---- printing what is found ---- */

struct printer {
    struct files_sink sink;
    bool is_json;
    struct buffer line;
};

static void print_name(struct printer *printer, const char *name)
{
    buffer_printf(&printer->line, printer->is_json ? ",\"%s\":" : " %s=", name);
}

static void print_begin(struct files_sink *sink, const char *what)
{
    struct printer *printer = (struct printer *)sink;
    buffer_clear(&printer->line);
    buffer_printf(&printer->line, printer->is_json ? "{\"what\":\"%s\"" : "%s", what);
}

static void print_id(struct files_sink *sink, const char *name, uint64_t value)
{
    struct printer *printer = (struct printer *)sink;
    print_name(printer, name);
    if (printer->is_json) buffer_append(&printer->line, "\"", 1);
    json_append_u64(&printer->line, value);
    if (printer->is_json) buffer_append(&printer->line, "\"", 1);
}

static void print_number(struct files_sink *sink, const char *name, int64_t value)
{
    struct printer *printer = (struct printer *)sink;
    print_name(printer, name);
    json_append_i64(&printer->line, value);
}

static void print_text(struct files_sink *sink, const char *name, struct bytes value)
{
    struct printer *printer = (struct printer *)sink;
    print_name(printer, name);
    if (printer->is_json) {
        json_append_string(&printer->line, value);
        return;
    }
    buffer_append(&printer->line, "\"", 1);
    output_escape(&printer->line, value);
    buffer_append(&printer->line, "\"", 1);
}

static void print_bytes(struct files_sink *sink, const char *name, struct bytes value)
{
    struct printer *printer = (struct printer *)sink;
    print_name(printer, name);
    if (printer->is_json) buffer_append(&printer->line, "\"", 1);
    for (size_t i = 0; i < value.size; i++)
        buffer_printf(&printer->line, "%02x", value.data[i]);
    if (printer->is_json) buffer_append(&printer->line, "\"", 1);
}

static void print_end(struct files_sink *sink)
{
    struct printer *printer = (struct printer *)sink;
    buffer_append(&printer->line, printer->is_json ? "}\n" : "\n", printer->is_json ? 2 : 1);
    fwrite(printer->line.data, 1, printer->line.size, stdout);
}

/* ---- one file ---- */

struct walk {
    struct cli *cli;
    struct files_sink *sink; /* NULL: only check */
    json_t *list;            /* of checks, with -o json */
    unsigned files, bad, foreign;
};

static enum status map_file(const char *path, struct bytes *out, char *why, size_t why_size)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fstat(fd, &stat) == 0;
    void *data = NULL;
    if (ok && stat.st_size > 0) data = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    ok = ok && data != MAP_FAILED;
    if (!ok) snprintf(why, why_size, "%s", strerror(errno));
    if (ok) *out = bytes_of(data, (size_t)stat.st_size);
    if (fd >= 0) close(fd);
    return ok ? STATUS_OK : STATUS_IO;
}

static void tell_check(struct walk *walk, const char *path, enum status status, const struct files_report *report)
{
    bool foreign = status == STATUS_NOT_FOUND;
    const char *verdict = status == STATUS_OK ? "ok" : foreign ? "foreign" : status_name(status);
    if (walk->list) {
        json_array_append_new(walk->list, json_pack("{s:s, s:s, s:s, s:s}", "path", path, "kind",
                                              report->header.kind ? file_kind_name(report->header.kind) : "", "verdict",
                                              verdict, "text", status == STATUS_OK ? report->summary : report->why));
        return;
    }
    struct buffer line = {0};
    output_escape(&line, bytes_text(path));
    if (status == STATUS_OK)
        buffer_printf(&line, ": ok: %s: ", file_kind_name(report->header.kind));
    else
        buffer_printf(&line, ": %s: ", verdict);
    output_escape(&line, bytes_text(status == STATUS_OK ? report->summary : report->why));
    printf("%.*s\n", (int)line.size, (const char *)line.data);
    buffer_free(&line);
}

static void look_at(struct walk *walk, const char *path, bool named)
{
    struct files_report report = {0};
    struct bytes content = {0};
    enum status status = map_file(path, &content, report.why, sizeof report.why);
    if (status == STATUS_OK) status = files_inspect(path, content, walk->sink, &report);
    if (content.size > 0) munmap((void *)(uintptr_t)content.data, content.size);
    walk->files++;
    bool foreign = status == STATUS_NOT_FOUND;
    walk->foreign += foreign;
    if (status != STATUS_OK && (!foreign || named)) walk->bad++;
    if (!walk->sink && (!foreign || named))
        tell_check(walk, path, status, &report);
    else if (walk->sink && status != STATUS_OK && (!foreign || named))
        cli_say(walk->cli, "%s: %s: %s", path, status_name(status), report.why);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static void look_below(struct walk *walk, const char *path, bool named, unsigned depth)
{
    struct stat stat_;
    struct dirent **entries;
    if (stat(path, &stat_) != 0 || !S_ISDIR(stat_.st_mode)) {
        look_at(walk, path, named);
        return;
    }
    int count = depth < DEPTH_MAX ? scandir(path, &entries, not_dots, by_name) : -1;
    if (count < 0) {
        cli_say(walk->cli, "%s: %s", path, depth < DEPTH_MAX ? strerror(errno) : "too many folders in folders");
        walk->bad++;
        return;
    }
    for (int i = 0; i < count; i++) {
        char *below = mem_alloc(PATH_MAX);
        int size = snprintf(below, PATH_MAX, "%s/%s", path, entries[i]->d_name);
        if (size > 0 && size < PATH_MAX) look_below(walk, below, false, depth + 1);
        mem_free(below);
        (free)(entries[i]); /* scandir's own */
    }
    (free)(entries);
}

static enum exit_code run_check(struct cli *cli)
{
    struct walk walk = {.cli = cli, .list = cli->is_json ? json_array() : NULL};
    for (unsigned i = 0; i < cli->arguments_count; i++)
        look_below(&walk, cli->arguments[i], true, 0);
    if (walk.list)
        output_json(json_pack("{s:i, s:i, s:i, s:o}", "files", (int)(walk.files - walk.foreign), "bad", (int)walk.bad,
            "foreign", (int)walk.foreign, "checks", walk.list));
    else
        printf("%u files, %u bad\n", walk.files - walk.foreign, walk.bad);
    return walk.bad ? EXIT_FAILED : EXIT_DONE;
}

static enum exit_code run_dump(struct cli *cli)
{
    struct printer printer = {
        .sink = {print_begin, print_id, print_number, print_text, print_bytes, print_end}, .is_json = cli->is_json};
    struct walk walk = {.cli = cli, .sink = &printer.sink};
    for (unsigned i = 0; i < cli->arguments_count; i++)
        look_below(&walk, cli->arguments[i], true, 0);
    buffer_free(&printer.line);
    return walk.bad ? EXIT_FAILED : EXIT_DONE;
}

const struct command file_commands[] = {
    {.name = "file check",
        .arguments = "FILE|FOLDER...",
        .summary = "Says whether files of a data directory are whole",
        .help =
            "Reads everything in them: checksums, structure, every record and row. Works on a stopped daemon's files,\n"
            "or on copies; of a running one the newest log segment may be caught in mid-write.",
        .arguments_min = 1,
        .arguments_max = CLI_ARGUMENTS_MAX,
        .run = run_check,
        .is_offline = true},
    {.name = "file dump",
        .arguments = "FILE|FOLDER...",
        .summary = "Prints what is in files of a data directory, one thing a line",
        .help = "With -o json each line is a JSON object.",
        .arguments_min = 1,
        .arguments_max = CLI_ARGUMENTS_MAX,
        .run = run_dump,
        .is_offline = true},
    COMMANDS_END,
};
