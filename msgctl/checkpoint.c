#include "msgctl/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char header[] = "trillium-import 2\n";
enum { FILE_BYTES_MAX = 4 << 20 };

static bool state_directory(char *out, size_t size)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int length = -1;
    if (state && state[0] == '/')
        length = snprintf(out, size, "%s/trillium", state);
    else if (home && home[0] == '/')
        length = snprintf(out, size, "%s/.local/state/trillium", home);
    return length > 0 && (size_t)length < size;
}

static int make_directories(const char *path)
{
    char part[CHECKPOINT_PATH_BYTES];
    snprintf(part, sizeof part, "%s", path);
    for (char *at = part + 1;; at++) {
        char was = *at;
        if (was != '/' && was != 0) continue;
        *at = 0;
        if (mkdir(part, 0700) != 0 && errno != EEXIST) return errno;
        if (was == 0) return 0;
        *at = was;
    }
}

enum status checkpoint_open(struct checkpoint *checkpoint, const struct digest *source, const struct uuid *cluster,
    char why[CHECKPOINT_WHY_BYTES])
{
    char directory[CHECKPOINT_PATH_BYTES - 128], uuid[UUID_TEXT_BYTES], lock[CHECKPOINT_PATH_BYTES + 8];
    checkpoint->lock_fd = -1;
    if (!state_directory(directory, sizeof directory)) {
        snprintf(why, CHECKPOINT_WHY_BYTES, "neither XDG_STATE_HOME nor HOME names a folder");
        return STATUS_IO;
    }
    int error = make_directories(directory);
    uuid_text(cluster, uuid);
    snprintf(checkpoint->path, sizeof checkpoint->path, "%s/import-%016llx%016llx-%s", directory,
        (unsigned long long)source->high, (unsigned long long)source->low, uuid);
    snprintf(lock, sizeof lock, "%s.lock", checkpoint->path);
    int fd = error ? -1 : open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        snprintf(why, CHECKPOINT_WHY_BYTES, "%s: %s", error ? directory : lock, strerror(error ? error : errno));
        return STATUS_IO;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        snprintf(why, CHECKPOINT_WHY_BYTES, "another import of this file into this cluster runs (%s is locked)", lock);
        return STATUS_CONFLICT;
    }
    checkpoint->lock_fd = fd;
    return STATUS_OK;
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    if (checkpoint->lock_fd >= 0) close(checkpoint->lock_fd);
    checkpoint->lock_fd = -1;
}

static bool read_file(const char *path, struct buffer *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t got;
    do {
        uint8_t *to = buffer_reserve(out, 1 << 16);
        got = read(fd, to, 1 << 16);
        if (got > 0) out->size += (size_t)got;
    } while (got > 0 && out->size < FILE_BYTES_MAX);
    close(fd);
    return got == 0;
}

enum status checkpoint_decode(struct bytes bytes, struct tracker *tracker, struct checkpoint_state *state)
{
    struct buffer copy = {0};
    unsigned long long numbers[5];
    long long completed = 0;
    int used = 0;
    size_t head = sizeof header - 1;
    if (bytes.size <= head || memcmp(bytes.data, header, head) != 0) return STATUS_BAD_REQUEST;
    buffer_append(&copy, bytes.data + head, bytes.size - head);
    buffer_append(&copy, "", 1);
    const char *text = (const char *)copy.data;
    enum status status = STATUS_BAD_REQUEST;
    if (sscanf(text, "counts %llu %llu %llu %llu %llu\ncompleted %lld\n%n", &numbers[0], &numbers[1], &numbers[2],
            &numbers[3], &numbers[4], &completed, &used) == 6 &&
        used > 0)
        status = tracker_parse(tracker, bytes_of(text + used, copy.size - 1 - (size_t)used));
    if (status == STATUS_OK)
        *state = (struct checkpoint_state){
            .counts = {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]}, .completed_ms = completed};
    buffer_free(&copy);
    return status;
}

enum status checkpoint_load(
    const struct checkpoint *checkpoint, struct tracker *tracker, struct checkpoint_state *state)
{
    struct buffer file = {0};
    bool found = checkpoint->lock_fd >= 0 && read_file(checkpoint->path, &file);
    enum status status = found ? checkpoint_decode(buffer_bytes(&file), tracker, state) : STATUS_NOT_FOUND;
    buffer_free(&file);
    return status;
}

static bool write_all(int fd, struct bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t done = write(fd, bytes.data, bytes.size);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        bytes.data += done;
        bytes.size -= (size_t)done;
    }
    return true;
}

enum status checkpoint_save(
    const struct checkpoint *checkpoint, const struct tracker *tracker, const struct checkpoint_state *state)
{
    if (checkpoint->lock_fd < 0) return STATUS_OK;
    char path[CHECKPOINT_PATH_BYTES + 8];
    struct buffer text = {0};
    const struct checkpoint_counts *counts = &state->counts;
    buffer_printf(&text, "%scounts %llu %llu %llu %llu %llu\ncompleted %lld\n", header,
        (unsigned long long)counts->stored, (unsigned long long)counts->deleted, (unsigned long long)counts->taken,
        (unsigned long long)counts->refused, (unsigned long long)counts->broken, (long long)state->completed_ms);
    tracker_print(tracker, &text);
    snprintf(path, sizeof path, "%s.new", checkpoint->path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write_all(fd, buffer_bytes(&text)) && fdatasync(fd) == 0;
    if (fd >= 0) close(fd);
    ok = ok && rename(path, checkpoint->path) == 0;
    buffer_free(&text);
    return ok ? STATUS_OK : STATUS_IO;
}
