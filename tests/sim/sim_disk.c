#include "tests/sim/sim_disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "tests/sim/sim_mem.h"

enum { SIM_OPEN_FILES_MAX = 4096, SIM_PATH_BYTES_MAX = 512 };

struct open_file {
    struct sim_inode *inode; /* NULL: free */
    uint32_t flags;
    bool locked;
};

struct sim_disk {
    struct sim_tree tree;
    struct prng prng, crash_prng;
    struct sim_disk_faults faults;
    struct sim_disk_counts counts;
    const struct sim_disk_watch *watch;
    struct open_file files[SIM_OPEN_FILES_MAX];
};

struct sim_disk *sim_disk_create(uint64_t seed)
{
    struct sim_disk *disk = sim_alloc(sizeof *disk);
    sim_tree_init(&disk->tree);
    disk->prng = prng_split(seed, "disk");
    disk->crash_prng = prng_split(seed, "disk-crash");
    disk->faults = (struct sim_disk_faults){
        .crash_keep_ppm = 500000, .crash_tear_ppm = 150000, .crash_garble_ppm = 50000, .crash_zero_ppm = 50000};
    return disk;
}

void sim_disk_destroy(struct sim_disk *disk)
{
    sim_disk_process_end(disk);
    sim_tree_fini(&disk->tree);
    mem_free(disk);
}

struct sim_disk *sim_disk_clone(const struct sim_disk *disk, uint64_t seed)
{
    struct sim_disk *copy = sim_disk_create(seed);
    sim_tree_fini(&copy->tree);
    sim_tree_clone(&copy->tree, &disk->tree);
    copy->faults = disk->faults;
    return copy;
}

struct sim_disk_faults *sim_disk_faults(struct sim_disk *disk)
{
    return &disk->faults;
}

const struct sim_disk_counts *sim_disk_counts(const struct sim_disk *disk)
{
    return &disk->counts;
}

uint32_t sim_disk_unsynced(const struct sim_disk *disk)
{
    return sim_tree_changes(&disk->tree);
}

void sim_disk_process_end(struct sim_disk *disk)
{
    for (int i = 0; i < SIM_OPEN_FILES_MAX; i++) {
        if (disk->files[i].inode) sim_inode_release(&disk->tree, disk->files[i].inode);
        disk->files[i] = (struct open_file){0};
    }
}

static enum sim_fate draw_fate(void *context, const struct sim_change *change)
{
    struct sim_disk *disk = context;
    const struct sim_disk_faults *faults = &disk->faults;
    uint64_t draw = prng_below(&disk->crash_prng, 1000000);
    if (draw < faults->crash_keep_ppm) return SIM_KEEP;
    draw -= faults->crash_keep_ppm;
    if (change->kind != SIM_CHANGE_WRITE) return SIM_DROP;
    if (draw < faults->crash_tear_ppm) return SIM_TEAR;
    draw -= faults->crash_tear_ppm;
    if (draw < faults->crash_garble_ppm) return SIM_GARBLE;
    draw -= faults->crash_garble_ppm;
    return draw < faults->crash_zero_ppm ? SIM_ZERO : SIM_DROP;
}

void sim_disk_crash_with(
    struct sim_disk *disk, enum sim_fate (*choose)(void *context, const struct sim_change *change), void *context)
{
    sim_disk_process_end(disk);
    sim_tree_crash(&disk->tree, choose, context, &disk->crash_prng);
    disk->counts.power_cuts++;
}

void sim_disk_crash(struct sim_disk *disk)
{
    sim_disk_crash_with(disk, draw_fate, disk);
}

/* Looking on. */

void sim_disk_watch(struct sim_disk *disk, const struct sim_disk_watch *watch)
{
    disk->watch = watch;
}

static void tell_synced(const struct sim_disk *disk, bool names)
{
    if (!disk->watch || !disk->watch->synced) return;
    struct mem_scope *entered = mem_scope_enter(NULL);
    disk->watch->synced(disk->watch->context, names);
    mem_scope_enter(entered);
}

static void tell_unlinking(const struct sim_disk *disk, const char *path)
{
    if (!disk->watch || !disk->watch->unlinking) return;
    struct mem_scope *entered = mem_scope_enter(NULL);
    disk->watch->unlinking(disk->watch->context, path);
    mem_scope_enter(entered);
}

/* Requests. */

static uint64_t capacity_bytes(const struct sim_disk *disk)
{
    return disk->faults.capacity_bytes ? disk->faults.capacity_bytes : 1ull << 30;
}

static bool has_room(struct sim_disk *disk, const struct sim_inode *inode, uint64_t offset, uint64_t size)
{
    uint64_t pages = disk->tree.pages_now + sim_inode_pages_needed(inode, offset, size);
    if (pages * SIM_PAGE_BYTES <= capacity_bytes(disk)) return true;
    disk->counts.no_space++;
    return false;
}

static enum status fail(struct disk_request *request, int error)
{
    request->error = error;
    switch (error) {
    case ENOENT:
        return STATUS_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
    case EWOULDBLOCK:
        return STATUS_CONFLICT;
    case ENOSPC:
        return STATUS_NO_SPACE;
    default:
        return STATUS_IO;
    }
}

static struct open_file *open_file(struct sim_disk *disk, const struct disk_request *request)
{
    CHECK(request->file.handle >= 0 && request->file.handle < SIM_OPEN_FILES_MAX);
    struct open_file *file = &disk->files[request->file.handle];
    CHECK(file->inode != NULL);
    return file;
}

static enum status do_open(struct sim_disk *disk, struct disk_request *request)
{
    const char *name;
    struct sim_inode *parent = sim_tree_parent(&disk->tree, request->path, &name);
    if (parent == NULL) return fail(request, ENOENT);
    struct sim_inode *inode = sim_names_get(&parent->names_now, name);
    if (inode == NULL && !(request->flags & DISK_CREATE)) return fail(request, ENOENT);
    if (inode && (request->flags & DISK_EXCLUSIVE)) return fail(request, EEXIST);
    if (inode && inode->is_directory) return fail(request, EISDIR);
    int handle = 0;
    while (handle < SIM_OPEN_FILES_MAX && disk->files[handle].inode)
        handle++;
    if (handle == SIM_OPEN_FILES_MAX) return fail(request, EMFILE);
    if (inode == NULL) inode = sim_tree_make(&disk->tree, parent, name, false);
    sim_inode_hold(inode);
    disk->files[handle] = (struct open_file){inode, request->flags, false};
    request->file.handle = handle;
    return STATUS_OK;
}

static void check_alignment(const struct open_file *file, const struct disk_request *request)
{
    if (!(file->flags & DISK_DIRECT)) return;
    CHECK(request->offset % DISK_BLOCK_BYTES == 0 && request->size % DISK_BLOCK_BYTES == 0);
    CHECK((uintptr_t)request->data % DISK_BLOCK_BYTES == 0);
}

static enum status do_read(struct sim_disk *disk, struct disk_request *request)
{
    struct open_file *file = open_file(disk, request);
    check_alignment(file, request);
    disk->counts.reads++;
    if (prng_chance(&disk->prng, disk->faults.read_error_ppm)) {
        disk->counts.read_errors++;
        return fail(request, EIO);
    }
    bool flip = prng_chance(&disk->prng, disk->faults.read_flip_ppm);
    bool rot = prng_chance(&disk->prng, disk->faults.rot_ppm);
    uint64_t where = prng_next(&disk->prng);
    uint32_t size = sim_inode_read(file->inode, request->data, request->size, request->offset);
    if ((flip || rot) && size > 0) {
        uint8_t mask = (uint8_t)(1u << (where >> 61));
        ((uint8_t *)request->data)[where % size] ^= mask;
        if (rot) sim_inode_damage(file->inode, request->offset + where % size, mask);
        disk->counts.flips++;
    }
    request->result = size;
    return STATUS_OK;
}

static enum status do_write(struct sim_disk *disk, struct disk_request *request)
{
    struct open_file *file = open_file(disk, request);
    if (file->flags & DISK_READ_ONLY) return fail(request, EBADF);
    check_alignment(file, request);
    disk->counts.writes++;
    if (!has_room(disk, file->inode, request->offset, request->size)) return fail(request, ENOSPC);
    if (prng_chance(&disk->prng, disk->faults.write_error_ppm)) {
        uint32_t part = (uint32_t)prng_below(&disk->prng, request->size + 1u) / SIM_SECTOR_BYTES * SIM_SECTOR_BYTES;
        if (part) sim_inode_write(&disk->tree, file->inode, request->data, part, request->offset);
        disk->counts.write_errors++;
        return fail(request, EIO);
    }
    sim_inode_write(&disk->tree, file->inode, request->data, request->size, request->offset);
    if (request->flags & DISK_DSYNC) {
        disk->counts.syncs++;
        if (prng_chance(&disk->prng, disk->faults.sync_error_ppm)) {
            sim_inode_sync_lost(&disk->tree, file->inode, UINT64_MAX, &disk->prng);
            disk->counts.sync_errors++;
            return fail(request, EIO);
        }
        sim_inode_sync_newest(&disk->tree, file->inode);
        tell_synced(disk, false);
    }
    request->result = request->size;
    return STATUS_OK;
}

static enum status do_sync(struct sim_disk *disk, struct disk_request *request, uint64_t order)
{
    struct open_file *file = open_file(disk, request);
    disk->counts.syncs++;
    if (prng_chance(&disk->prng, disk->faults.sync_error_ppm)) {
        sim_inode_sync_lost(&disk->tree, file->inode, order, &disk->prng);
        disk->counts.sync_errors++;
        return fail(request, EIO);
    }
    sim_inode_sync(&disk->tree, file->inode, order);
    tell_synced(disk, false);
    return STATUS_OK;
}

static enum status do_sync_dir(struct sim_disk *disk, struct disk_request *request, uint64_t order)
{
    struct sim_inode *directory = sim_tree_find(&disk->tree, request->path);
    if (directory == NULL) return fail(request, ENOENT);
    if (!directory->is_directory) return fail(request, ENOTDIR);
    disk->counts.syncs++;
    if (prng_chance(&disk->prng, disk->faults.sync_error_ppm)) {
        disk->counts.sync_errors++;
        return fail(request, EIO);
    }
    sim_directory_sync(&disk->tree, directory, order);
    tell_synced(disk, true);
    return STATUS_OK;
}

static enum status do_move(struct sim_disk *disk, struct disk_request *request)
{
    const char *name, *name2;
    struct sim_inode *from = sim_tree_parent(&disk->tree, request->path, &name);
    struct sim_inode *to = sim_tree_parent(&disk->tree, request->path2, &name2);
    if (from == NULL || to == NULL) return fail(request, ENOENT);
    struct sim_inode *inode = sim_names_get(&from->names_now, name);
    struct sim_inode *target = sim_names_get(&to->names_now, name2);
    if (inode == NULL) return fail(request, ENOENT);
    if (request->op == DISK_LINK) {
        if (target) return fail(request, EEXIST);
        if (inode->is_directory) return fail(request, EPERM);
        sim_tree_link(&disk->tree, inode, to, name2);
        return STATUS_OK;
    }
    if (target && target->is_directory && !inode->is_directory) return fail(request, EISDIR);
    if (target && !target->is_directory && inode->is_directory) return fail(request, ENOTDIR);
    if (target && target->is_directory && target->names_now.count) return fail(request, ENOTEMPTY);
    sim_tree_rename(&disk->tree, from, name, to, name2);
    return STATUS_OK;
}

static enum status do_name(struct sim_disk *disk, struct disk_request *request)
{
    const char *name;
    struct sim_inode *parent = sim_tree_parent(&disk->tree, request->path, &name);
    if (parent == NULL) return fail(request, ENOENT);
    struct sim_inode *inode = name[0] ? sim_names_get(&parent->names_now, name) : parent;
    if (request->op == DISK_MKDIR) {
        if (inode) return inode->is_directory ? STATUS_OK : fail(request, EEXIST);
        sim_tree_make(&disk->tree, parent, name, true);
        return STATUS_OK;
    }
    if (inode == NULL) return fail(request, ENOENT);
    if (request->op == DISK_RMDIR && !inode->is_directory) return fail(request, ENOTDIR);
    if (request->op == DISK_RMDIR && inode->names_now.count) return fail(request, ENOTEMPTY);
    if (request->op == DISK_UNLINK && inode->is_directory) return fail(request, EISDIR);
    if (request->op == DISK_UNLINK) tell_unlinking(disk, request->path);
    sim_tree_unlink(&disk->tree, parent, name);
    return STATUS_OK;
}

static enum status do_resize(struct sim_disk *disk, struct disk_request *request)
{
    struct open_file *file = open_file(disk, request);
    if (file->flags & DISK_READ_ONLY) return fail(request, EBADF);
    bool grow_only = request->op == DISK_PREALLOCATE;
    if (grow_only && !has_room(disk, file->inode, 0, request->offset)) return fail(request, ENOSPC);
    sim_inode_resize(&disk->tree, file->inode, request->offset, grow_only);
    return STATUS_OK;
}

/* The names go to the daemon, so they are allocated in whatever scope is entered. */
static enum status do_list(struct sim_disk *disk, struct disk_request *request)
{
    struct sim_inode *directory = sim_tree_find(&disk->tree, request->path);
    if (directory == NULL) return fail(request, ENOENT);
    if (!directory->is_directory) return fail(request, ENOTDIR);
    const struct sim_names *names = &directory->names_now;
    size_t size = names->count * sizeof(char *) + 1;
    for (uint32_t i = 0; i < names->count; i++)
        size += strlen(names->names[i].name) + 1;
    char **block = mem_alloc(size);
    char *text = (char *)(block + names->count);
    for (uint32_t i = 0; i < names->count; i++) {
        block[i] = text;
        text = stpcpy(text, names->names[i].name) + 1;
    }
    request->list_names = (struct disk_names){names->count, block};
    return STATUS_OK;
}

static enum status do_lock(struct sim_disk *disk, struct disk_request *request)
{
    struct open_file *file = open_file(disk, request);
    for (int i = 0; i < SIM_OPEN_FILES_MAX; i++)
        if (&disk->files[i] != file && disk->files[i].inode == file->inode && disk->files[i].locked)
            return fail(request, EWOULDBLOCK);
    file->locked = true;
    return STATUS_OK;
}

static enum status execute(struct sim_disk *disk, struct disk_request *request, uint64_t order)
{
    struct open_file *file;
    switch (request->op) {
    case DISK_OPEN:
        return do_open(disk, request);
    case DISK_CLOSE:
        file = open_file(disk, request);
        sim_inode_release(&disk->tree, file->inode);
        *file = (struct open_file){0};
        return STATUS_OK;
    case DISK_READ:
        return do_read(disk, request);
    case DISK_WRITE:
        return do_write(disk, request);
    case DISK_SYNC:
        return do_sync(disk, request, order);
    case DISK_SYNC_DIR:
        return do_sync_dir(disk, request, order);
    case DISK_LINK:
    case DISK_RENAME:
        return do_move(disk, request);
    case DISK_UNLINK:
    case DISK_MKDIR:
    case DISK_RMDIR:
        return do_name(disk, request);
    case DISK_TRUNCATE:
    case DISK_PREALLOCATE:
        return do_resize(disk, request);
    case DISK_SIZE:
        request->result = open_file(disk, request)->inode->now.size;
        return STATUS_OK;
    case DISK_LIST:
        return do_list(disk, request);
    case DISK_SPACE:
        request->result2 = capacity_bytes(disk);
        request->result = disk->tree.pages_now * SIM_PAGE_BYTES;
        request->result = request->result < request->result2 ? request->result2 - request->result : 0;
        return STATUS_OK;
    case DISK_LOCK:
        return do_lock(disk, request);
    }
    CHECK(!"a known operation");
    return STATUS_IO;
}

/* Microseconds that an operation takes at least and at most. */
static void latency_bounds(enum disk_op op, uint64_t *low_us, uint64_t *high_us)
{
    *low_us = 20;
    *high_us = 120;
    if (op == DISK_SYNC || op == DISK_SYNC_DIR) {
        *low_us = 80;
        *high_us = 800;
    } else if (op == DISK_SIZE || op == DISK_SPACE || op == DISK_CLOSE || op == DISK_LOCK) {
        *low_us = 1;
        *high_us = 5;
    }
}

struct sim_disk_operation *sim_disk_start(struct sim_disk *disk, struct disk_request *request)
{
    struct sim_disk_operation *operation = sim_alloc(sizeof *operation);
    list_init(&operation->link);
    operation->request = request;
    operation->order = disk->tree.order;
    uint64_t low_us, high_us;
    latency_bounds(request->op, &low_us, &high_us);
    if (request->op == DISK_WRITE && (request->flags & DISK_DSYNC)) high_us = 800;
    operation->latency_ns = prng_between(&disk->prng, low_us * 1000, high_us * 1000);
    if (prng_chance(&disk->prng, 10000)) operation->latency_ns *= 20;
    if (disk->faults.slow_factor) operation->latency_ns *= disk->faults.slow_factor;
    return operation;
}

void sim_disk_finish(struct sim_disk *disk, struct sim_disk_operation *operation)
{
    struct disk_request *request = operation->request;
    request->error = 0;
    disk->counts.operations++;
    request->status = execute(disk, request, operation->order);
    mem_free(operation);
}

void sim_disk_abandon(struct sim_disk *disk, struct sim_disk_operation *operation)
{
    struct disk_request *request = operation->request;
    bool changes = request->op != DISK_READ && request->op != DISK_LIST && request->op != DISK_CLOSE;
    if (changes && prng_chance(&disk->prng, 500000)) {
        /* Nobody hears the answer, so an un-synced write stands for a synchronous one as well. */
        request->flags &= ~(uint32_t)DISK_DSYNC;
        execute(disk, request, operation->order);
    }
    mem_free(operation);
}

/* Assertions and damage. */

static void image_append(const struct sim_inode *inode, const struct sim_image *image, struct buffer *out)
{
    struct sim_inode view = *inode;
    view.now = *image;
    struct mem_scope *entered = mem_scope_enter(NULL);
    uint8_t *at = buffer_reserve(out, (size_t)image->size + 1);
    mem_scope_enter(entered);
    CHECK(image->size <= UINT32_MAX);
    out->size += sim_inode_read(&view, at, (uint32_t)image->size, 0);
}

bool sim_disk_contents(const struct sim_disk *disk, const char *path, struct buffer *out)
{
    const struct sim_inode *inode = sim_tree_find(&disk->tree, path);
    if (inode == NULL || inode->is_directory) return false;
    image_append(inode, &inode->now, out);
    return true;
}

/* NULL: there is nothing of the path. */
static const struct sim_inode *find_in(struct sim_disk_image image, const char *path)
{
    const struct sim_inode *inode = image.disk->tree.root;
    char part[SIM_PATH_BYTES_MAX];
    while (inode && *path) {
        size_t size = strcspn(path, "/");
        CHECK(size < sizeof part);
        memcpy(part, path, size);
        part[size] = 0;
        path += size + (path[size] == '/');
        if (size) inode = sim_names_get(image.durable ? &inode->names_durable : &inode->names_now, part);
    }
    return inode;
}

uint32_t sim_disk_peek(struct sim_disk_image image, const char *path, void *data, uint32_t size, uint64_t offset)
{
    const struct sim_inode *inode = find_in(image, path);
    if (inode == NULL || inode->is_directory) return 0;
    struct sim_inode view = *inode;
    if (image.durable) view.now = inode->durable;
    return sim_inode_read(&view, data, size, offset);
}

bool sim_disk_peek_names(struct sim_disk_image image, const char *path,
    void (*visit)(void *context, const char *name, uint64_t size), void *context)
{
    const struct sim_inode *directory = find_in(image, path);
    if (directory == NULL || !directory->is_directory) return false;
    const struct sim_names *names = image.durable ? &directory->names_durable : &directory->names_now;
    for (uint32_t i = 0; i < names->count; i++) {
        const struct sim_inode *inode = names->names[i].inode;
        visit(context, names->names[i].name, (image.durable ? &inode->durable : &inode->now)->size);
    }
    return true;
}

bool sim_disk_durable_contents(const struct sim_disk *disk, const char *path, struct buffer *out)
{
    const struct sim_inode *inode = find_in((struct sim_disk_image){disk, true}, path);
    if (inode == NULL || inode->is_directory) return false;
    image_append(inode, &inode->durable, out);
    return true;
}

bool sim_disk_damage(struct sim_disk *disk, const char *path, uint64_t offset, uint8_t mask)
{
    struct sim_inode *inode = sim_tree_find(&disk->tree, path);
    if (inode == NULL || inode->is_directory || offset >= inode->now.size) return false;
    sim_inode_damage(inode, offset, mask);
    return true;
}

static void walk(const struct sim_inode *directory, char path[SIM_PATH_BYTES_MAX], size_t length,
    void (*visit)(void *context, const char *path, uint64_t size), void *context)
{
    for (uint32_t i = 0; i < directory->names_now.count; i++) {
        const struct sim_name *name = &directory->names_now.names[i];
        int more = snprintf(path + length, SIM_PATH_BYTES_MAX - length, "%s%s", length ? "/" : "", name->name);
        CHECK(length + (size_t)more < SIM_PATH_BYTES_MAX);
        if (name->inode->is_directory)
            walk(name->inode, path, length + (size_t)more, visit, context);
        else
            visit(context, path, name->inode->now.size);
        path[length] = 0;
    }
}

void sim_disk_walk(
    const struct sim_disk *disk, void (*visit)(void *context, const char *path, uint64_t size), void *context)
{
    char path[SIM_PATH_BYTES_MAX] = "";
    walk(disk->tree.root, path, 0, visit, context);
}

uint64_t sim_disk_used(const struct sim_disk *disk)
{
    return disk->tree.pages_now * SIM_PAGE_BYTES;
}

struct hashing {
    const struct sim_disk *disk;
    uint64_t hash;
};

static void hash_file(void *context, const char *path, uint64_t size)
{
    struct hashing *hashing = context;
    struct buffer contents = {0};
    CHECK(sim_disk_contents(hashing->disk, path, &contents));
    hashing->hash = hash64(path, strlen(path), hashing->hash);
    hashing->hash = hash64(contents.data, (size_t)size, hashing->hash);
    buffer_free(&contents);
}

uint64_t sim_disk_hash(const struct sim_disk *disk)
{
    struct hashing hashing = {disk, 0};
    sim_disk_walk(disk, hash_file, &hashing);
    return hashing.hash;
}
