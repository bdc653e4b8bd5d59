#include "msgctl/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "common/base/mem.h"
#include "msgctl/ndjson.h"

enum {
    RAW_BYTES = 256 << 10,
    TEXT_BYTES = 2 * NDJSON_LINE_BYTES_MAX,
    DIGEST_CHUNK_BYTES = 1 << 20,
    STREAM_WAIT_MS = 5
};
_Static_assert(TEXT_BYTES > NDJSON_LINE_BYTES_MAX + 2, "a whole line fits");

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

struct input {
    int fd;
    char *name;
    enum packing packing;
    bool is_stream; /* a pipe or a terminal: reading may have to wait */
    bool at_end;    /* of the file */
    bool between;   /* packed: a frame or member has ended, another may follow */
    uint64_t size, position;
    uint64_t lines, offset; /* unpacked, taken as lines */
    size_t raw_at, raw_size;
    size_t text_at, text_size;
    z_stream gzip;
    ZSTD_DStream *zstd;
    uint8_t raw[RAW_BYTES];
    uint8_t text[TEXT_BYTES];
};

static enum status fail(const struct input *input, enum status status, char why[INPUT_WHY_BYTES], const char *what)
{
    snprintf(why, INPUT_WHY_BYTES, "%s: %s", input->name, what);
    return status;
}

/* Fills raw when it is empty. */
static enum status fill_raw(struct input *input, char why[INPUT_WHY_BYTES])
{
    if (input->raw_at < input->raw_size || input->at_end) return STATUS_OK;
    if (input->is_stream && poll(&(struct pollfd){.fd = input->fd, .events = POLLIN}, 1, STREAM_WAIT_MS) <= 0)
        return STATUS_BUSY;
    ssize_t got;
    do
        got = read(input->fd, input->raw, RAW_BYTES);
    while (got < 0 && errno == EINTR);
    if (got < 0) return fail(input, STATUS_IO, why, strerror(errno));
    input->raw_at = 0;
    input->raw_size = (size_t)got;
    input->at_end = got == 0;
    return STATUS_OK;
}

static enum packing judge(const uint8_t *data, size_t size)
{
    if (size >= 2 && data[0] == 0x1f && data[1] == 0x8b) return PACKING_GZIP;
    if (size >= 4 && memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0) return PACKING_ZSTD;
    if (size >= 4 && (data[0] & 0xf0) == 0x50 && memcmp(data + 1, "\x2a\x4d\x18", 3) == 0) return PACKING_ZSTD;
    return PACKING_NONE;
}

/* Pipes may hand out their first bytes one by one. */
static enum status fill_first(struct input *input, char why[INPUT_WHY_BYTES])
{
    while (input->raw_size < 4 && !input->at_end) {
        ssize_t got = read(input->fd, input->raw + input->raw_size, RAW_BYTES - input->raw_size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(input, STATUS_IO, why, strerror(errno));
        input->raw_size += (size_t)got;
        input->at_end = got == 0;
    }
    input->packing = judge(input->raw, input->raw_size);
    if (input->packing == PACKING_GZIP && inflateInit2(&input->gzip, 15 + 16) != Z_OK)
        return fail(input, STATUS_IO, why, "zlib cannot start");
    if (input->packing == PACKING_ZSTD) input->zstd = ZSTD_createDStream();
    input->between = true;
    return STATUS_OK;
}

static enum status open_file(struct input *input, const char *path, char why[INPUT_WHY_BYTES])
{
    struct stat stat;
    input->fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (input->fd < 0 || fstat(input->fd, &stat) != 0) return fail(input, STATUS_IO, why, strerror(errno));
    if (S_ISDIR(stat.st_mode)) return fail(input, STATUS_IO, why, "is a directory");
    input->size = S_ISREG(stat.st_mode) ? (uint64_t)stat.st_size : 0;
    input->is_stream = !S_ISREG(stat.st_mode);
    return fill_first(input, why);
}

enum status input_open(const char *path, struct input **out, char why[INPUT_WHY_BYTES])
{
    struct input *input = mem_alloc(sizeof *input);
    memset(input, 0, offsetof(struct input, raw));
    input->name = mem_strdup(strcmp(path, "-") == 0 ? "standard input" : path);
    enum status status = open_file(input, path, why);
    if (status != STATUS_OK) {
        input_close(input);
        return status;
    }
    *out = input;
    return STATUS_OK;
}

void input_close(struct input *input)
{
    if (!input) return;
    if (input->packing == PACKING_GZIP) inflateEnd(&input->gzip);
    if (input->zstd) ZSTD_freeDStream(input->zstd);
    if (input->fd >= 0) close(input->fd);
    mem_free(input->name);
    mem_free(input);
}

static enum status unpack_gzip(struct input *input, char why[INPUT_WHY_BYTES])
{
    z_stream *stream = &input->gzip;
    if (input->between && inflateReset(stream) != Z_OK) return fail(input, STATUS_IO, why, "zlib cannot start");
    stream->next_in = input->raw + input->raw_at;
    stream->avail_in = (unsigned)(input->raw_size - input->raw_at);
    stream->next_out = input->text + input->text_size;
    stream->avail_out = (unsigned)(TEXT_BYTES - input->text_size);
    int result = inflate(stream, Z_NO_FLUSH);
    input->position += input->raw_size - input->raw_at - stream->avail_in;
    input->raw_at = input->raw_size - stream->avail_in;
    input->text_size = TEXT_BYTES - stream->avail_out;
    input->between = result == Z_STREAM_END;
    if (result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR) return STATUS_OK;
    return fail(input, STATUS_CORRUPT, why, "damaged gzip data");
}

static enum status unpack_zstd(struct input *input, char why[INPUT_WHY_BYTES])
{
    ZSTD_inBuffer in = {input->raw, input->raw_size, input->raw_at};
    ZSTD_outBuffer out = {input->text, TEXT_BYTES, input->text_size};
    size_t left = ZSTD_decompressStream(input->zstd, &out, &in);
    input->position += in.pos - input->raw_at;
    input->raw_at = in.pos;
    input->text_size = out.pos;
    if (ZSTD_isError(left)) return fail(input, STATUS_CORRUPT, why, "damaged zstd data");
    input->between = left == 0;
    return STATUS_OK;
}

static void copy_plain(struct input *input)
{
    size_t count = input->raw_size - input->raw_at, room = TEXT_BYTES - input->text_size;
    if (count > room) count = room;
    memcpy(input->text + input->text_size, input->raw + input->raw_at, count);
    input->raw_at += count;
    input->text_size += count;
    input->position += count;
}

/* Makes room in text and puts more into it. NOT_FOUND: there is no more. */
static enum status fill_text(struct input *input, char why[INPUT_WHY_BYTES])
{
    memmove(input->text, input->text + input->text_at, input->text_size - input->text_at);
    input->text_size -= input->text_at;
    input->text_at = 0;
    size_t before = input->text_size;
    while (input->text_size == before) {
        enum status status = fill_raw(input, why);
        if (status != STATUS_OK) return status;
        bool dry = input->raw_at == input->raw_size;
        if (dry && input->packing == PACKING_NONE) return STATUS_NOT_FOUND;
        if (dry && input->between) return STATUS_NOT_FOUND;
        if (input->packing == PACKING_GZIP) status = unpack_gzip(input, why);
        if (input->packing == PACKING_ZSTD) status = unpack_zstd(input, why);
        if (input->packing == PACKING_NONE) copy_plain(input);
        if (status != STATUS_OK) return status;
        if (dry && input->text_size == before && !input->between)
            return fail(input, STATUS_CORRUPT, why, "ends in the middle of its packed data");
    }
    return STATUS_OK;
}

/* Drops what is there and what comes, up to and with the end of the line. */
static enum status pass_over(struct input *input, char why[INPUT_WHY_BYTES])
{
    for (;;) {
        uint8_t *start = input->text + input->text_at;
        uint8_t *end = memchr(start, '\n', input->text_size - input->text_at);
        size_t dropped = end ? (size_t)(end - start) + 1 : input->text_size - input->text_at;
        input->text_at += dropped;
        input->offset += dropped;
        if (end) return STATUS_OK;
        enum status status = fill_text(input, why);
        if (status != STATUS_OK) return status == STATUS_NOT_FOUND ? STATUS_OK : status;
    }
}

static void skip_mark(struct input *input)
{
    if (input->text_size - input->text_at < 3 || memcmp(input->text + input->text_at, "\xef\xbb\xbf", 3) != 0) return;
    input->text_at += 3;
    input->offset += 3;
}

enum status input_next(struct input *input, struct input_line *out, char why[INPUT_WHY_BYTES])
{
    size_t searched = 0;
    for (;;) {
        if (input->offset == 0) skip_mark(input);
        uint8_t *start = input->text + input->text_at;
        size_t size = input->text_size - input->text_at;
        uint8_t *end = size > searched ? memchr(start + searched, '\n', size - searched) : NULL;
        searched = size;
        bool last = false;
        if (!end && size <= NDJSON_LINE_BYTES_MAX) {
            enum status status = fill_text(input, why);
            if (status == STATUS_OK) continue;
            if (status != STATUS_NOT_FOUND || size == 0) return status;
            last = true;
            start = input->text + input->text_at; /* it was moved to the front */
        }
        size_t length = end ? (size_t)(end - start) : size;
        out->number = ++input->lines;
        if (length > NDJSON_LINE_BYTES_MAX) {
            enum status status = pass_over(input, why);
            out->end = input->offset;
            return status == STATUS_OK ? STATUS_TOO_BIG : status;
        }
        input->text_at += length + !last;
        input->offset += length + !last;
        out->end = input->offset;
        if (length > 0 && start[length - 1] == '\r') length--;
        out->text = bytes_of(start, length);
        return STATUS_OK;
    }
}

enum status input_seek(struct input *input, uint64_t offset, uint64_t lines_count, char why[INPUT_WHY_BYTES])
{
    if (input->packing == PACKING_NONE && offset <= input->size && lseek(input->fd, (off_t)offset, SEEK_SET) >= 0) {
        input->raw_at = input->raw_size = 0;
        input->at_end = false;
        input->position = input->offset = offset;
    }
    while (input->offset < offset) {
        if (input->text_at == input->text_size) {
            enum status status = fill_text(input, why);
            if (status == STATUS_NOT_FOUND) return fail(input, STATUS_CORRUPT, why, "is shorter than it was");
            if (status != STATUS_OK) return status;
        }
        uint64_t left = offset - input->offset;
        size_t count = input->text_size - input->text_at;
        if (count > left) count = (size_t)left;
        input->text_at += count;
        input->offset += count;
    }
    input->lines = lines_count;
    return STATUS_OK;
}

uint64_t input_size(const struct input *input)
{
    return input->size;
}

uint64_t input_position(const struct input *input)
{
    return input->position;
}

bool input_digest(struct input *input, struct digest *out)
{
    if (input->size == 0) return false;
    uint8_t *chunk = mem_alloc(DIGEST_CHUNK_BYTES);
    struct digest digest = {0};
    uint64_t at = 0;
    bool ok = true;
    while (at < input->size && ok) {
        ssize_t got = pread(input->fd, chunk, DIGEST_CHUNK_BYTES, (off_t)at);
        ok = got > 0;
        if (!ok) break;
        digest = hash128(chunk, (size_t)got, digest.low ^ digest.high);
        at += (uint64_t)got;
    }
    mem_free(chunk);
    *out = digest;
    return ok;
}
