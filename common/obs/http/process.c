#include "common/obs/http/process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void cpu_render(struct buffer *out)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return;
    long long micros =
        (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000ll + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    buffer_printf(out,
        "# HELP process_cpu_seconds_total User and system CPU time.\n# TYPE process_cpu_seconds_total counter\n"
        "process_cpu_seconds_total %lld.%06lld\n",
        micros / 1000000, micros % 1000000);
}

static void memory_render(struct buffer *out)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return;
    unsigned long long size, resident;
    if (fscanf(file, "%llu %llu", &size, &resident) == 2)
        buffer_printf(out,
            "# HELP process_resident_memory_bytes Resident memory.\n# TYPE process_resident_memory_bytes gauge\n"
            "process_resident_memory_bytes %llu\n",
            resident * (unsigned long long)sysconf(_SC_PAGESIZE));
    fclose(file);
}

static void files_render(struct buffer *out)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) return;
    int count = -3; /* ".", ".." and the folder itself */
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    buffer_printf(
        out, "# HELP process_open_fds Open files.\n# TYPE process_open_fds gauge\nprocess_open_fds %d\n", count);
}

void process_render(struct buffer *out)
{
    cpu_render(out);
    memory_render(out);
    files_render(out);
}
