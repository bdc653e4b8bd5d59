#include "common/runtime/uring/uring_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/runtime/backend.h"
#include "common/runtime/disk.h"
#include "common/runtime/posix/helper.h"
#include "common/runtime/posix/posix_disk.h"
#include "common/runtime/reactor.h"
#include "common/runtime/watch.h"

/* Every slot of the disk has at most one entry in the submission queue, and the wake has one more; watches take what
   is left, and wait when nothing is: so it never overflows. */
enum { SUBMISSIONS = 1024, COMPLETIONS = 2 * SUBMISSIONS, SLOTS_MAX = 511, NS_PER_S = 1000000000 };
_Static_assert(SLOTS_MAX + 1 < SUBMISSIONS, "watches have room too");

/* A request in the ring. */
struct slot {
    struct list link;
    struct disk_request *request;
    uint32_t done;   /* bytes of a read or write */
    bool not_direct; /* an open is tried again without O_DIRECT */
    struct statx stat;
};

/* A watched descriptor, asked for once at a time: whether it is ready is looked at anew when it is asked for. It
   outlives its watch until the kernel has let go of it. */
struct watch_slot {
    struct list link;    /* asking, or nothing */
    struct watch *watch; /* NULL: forgotten */
    int fd;
    unsigned asked; /* of the kernel; 0: it has nothing of this */
    bool withdrawn; /* the kernel was told to forget it */
};
/* Completions say whose they are by an address; that of a watch has this bit. */
#define WATCH_MARK ((uintptr_t)1)

struct uring_backend {
    struct backend backend;
    struct reactor *reactor;
    int root_fd;
    struct io_uring ring;
    bool enabled; /* and thereby bound to the reactor's thread */
    bool looked;  /* the kernel was asked for completions since the last poll */
    int wake_fd;
    uint64_t wake_value; /* where the standing read of wake_fd goes; its address marks the completion */
    struct helper *helper;
    uint32_t slots;      /* exist */
    struct list idle;    /* slots */
    struct list waiting; /* requests for which there was no slot */
    struct list asking;  /* watch slots whose wish the kernel does not know yet */
    struct list told;    /* watch slots whose wish it knows */
};

static struct uring_backend *of(struct backend *backend)
{
    return CONTAINER_OF(backend, struct uring_backend, backend);
}

/* The best ring that the kernel gives: completions only when we ask for them, else without interrupts, else plain. It
   starts disabled, since its thread is not known yet. 0 or a negative errno. */
static int open_ring(struct io_uring *ring)
{
    static const unsigned choices[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        0,
    };
    int error = -EINVAL;
    for (unsigned i = 0; i < sizeof choices / sizeof choices[0] && error == -EINVAL; i++) {
        struct io_uring_params parameters = {
            .flags = choices[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE, .cq_entries = COMPLETIONS};
        error = io_uring_queue_init_params(SUBMISSIONS, ring, &parameters);
    }
    return error;
}

static bool has_all_operations(struct io_uring *ring, char why[URING_WHY_BYTES])
{
    static const struct {
        int operation;
        const char *name;
    } needed[] = {{IORING_OP_READ, "read"}, {IORING_OP_WRITE, "write"}, {IORING_OP_FSYNC, "fsync"},
        {IORING_OP_OPENAT, "openat"}, {IORING_OP_CLOSE, "close"}, {IORING_OP_STATX, "statx"},
        {IORING_OP_FALLOCATE, "fallocate"}, {IORING_OP_RENAMEAT, "renameat"}, {IORING_OP_UNLINKAT, "unlinkat"},
        {IORING_OP_MKDIRAT, "mkdirat"}, {IORING_OP_LINKAT, "linkat"}, {IORING_OP_POLL_ADD, "poll"},
        {IORING_OP_POLL_REMOVE, "poll_remove"}};
    if (!(ring->features & IORING_FEAT_EXT_ARG) || !(ring->features & IORING_FEAT_NODROP)) {
        snprintf(why, URING_WHY_BYTES, "the kernel's io_uring is too old");
        return false;
    }
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    if (probe == NULL) {
        snprintf(why, URING_WHY_BYTES, "the kernel's io_uring cannot be asked what it does");
        return false;
    }
    const char *missing = NULL;
    for (unsigned i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!io_uring_opcode_supported(probe, needed[i].operation)) missing = needed[i].name;
    io_uring_free_probe(probe);
    if (missing) snprintf(why, URING_WHY_BYTES, "the kernel's io_uring has no %s", missing);
    return missing == NULL;
}

bool uring_is_available(char why[URING_WHY_BYTES])
{
    struct io_uring ring;
    int error = open_ring(&ring);
    if (error < 0) {
        snprintf(why, URING_WHY_BYTES, "io_uring_setup: %s%s", strerror(-error),
            error == -EPERM ? " (as in most containers)" : "");
        return false;
    }
    bool all = has_all_operations(&ring, why);
    io_uring_queue_exit(&ring);
    return all;
}

/* The caller sets its data after preparing it, which clears it. */
static struct io_uring_sqe *next_entry(struct uring_backend *backend)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&backend->ring);
    CHECK(entry != NULL);
    return entry;
}

static void listen_for_wakes(struct uring_backend *backend)
{
    struct io_uring_sqe *entry = next_entry(backend);
    io_uring_prep_read(entry, backend->wake_fd, &backend->wake_value, sizeof backend->wake_value, 0);
    io_uring_sqe_set_data(entry, &backend->wake_value);
}

static bool ring_can(enum disk_op op)
{
    return op != DISK_SYNC_DIR && op != DISK_TRUNCATE && op != DISK_LIST && op != DISK_SPACE && op != DISK_LOCK;
}

static void prepare_open(struct uring_backend *backend, struct io_uring_sqe *entry, const struct slot *slot)
{
    int flags = posix_disk_open_flags(slot->request->flags);
    if (slot->not_direct) flags &= ~O_DIRECT;
    io_uring_prep_openat(entry, backend->root_fd, slot->request->path, flags, POSIX_DISK_FILE_MODE);
}

static void prepare_transfer(struct io_uring_sqe *entry, const struct slot *slot)
{
    const struct disk_request *request = slot->request;
    char *data = (char *)request->data + slot->done;
    uint32_t size = request->size - slot->done;
    uint64_t offset = request->offset + slot->done;
    if (request->op == DISK_READ) {
        io_uring_prep_read(entry, request->file.handle, data, size, offset);
    } else {
        io_uring_prep_write(entry, request->file.handle, data, size, offset);
        if (request->flags & DISK_DSYNC) entry->rw_flags = RWF_DSYNC;
    }
}

/* Puts the slot's request, or what is left of it, into the submission queue. */
static void prepare(struct uring_backend *backend, struct slot *slot)
{
    struct io_uring_sqe *entry = next_entry(backend);
    const struct disk_request *request = slot->request;
    int root = backend->root_fd, file = request->file.handle;
    switch (request->op) {
    case DISK_OPEN:
        prepare_open(backend, entry, slot);
        break;
    case DISK_CLOSE:
        io_uring_prep_close(entry, file);
        break;
    case DISK_READ:
    case DISK_WRITE:
        prepare_transfer(entry, slot);
        break;
    case DISK_SYNC:
        io_uring_prep_fsync(entry, file, IORING_FSYNC_DATASYNC);
        break;
    case DISK_LINK:
        io_uring_prep_linkat(entry, root, request->path, root, request->path2, 0);
        break;
    case DISK_RENAME:
        io_uring_prep_renameat(entry, root, request->path, root, request->path2, 0);
        break;
    case DISK_UNLINK:
        io_uring_prep_unlinkat(entry, root, request->path, 0);
        break;
    case DISK_MKDIR:
        io_uring_prep_mkdirat(entry, root, request->path, POSIX_DISK_DIRECTORY_MODE);
        break;
    case DISK_RMDIR:
        io_uring_prep_unlinkat(entry, root, request->path, AT_REMOVEDIR);
        break;
    case DISK_PREALLOCATE:
        io_uring_prep_fallocate(entry, file, 0, 0, (off_t)request->offset);
        break;
    case DISK_SIZE:
        io_uring_prep_statx(entry, file, "", AT_EMPTY_PATH, STATX_SIZE, &slot->stat);
        break;
    default:
        CHECK(!"an operation that the ring cannot do");
    }
    io_uring_sqe_set_data(entry, slot);
}

/* False when all slots are in use. */
static bool start(struct uring_backend *backend, struct disk_request *request)
{
    struct list *node = list_pop_front(&backend->idle);
    if (node == NULL && backend->slots == SLOTS_MAX) return false;
    if (node == NULL) backend->slots++;
    struct slot *slot = node ? CONTAINER_OF(node, struct slot, link) : mem_zalloc(sizeof *slot);
    list_init(&slot->link);
    slot->request = request;
    slot->done = 0;
    slot->not_direct = false;
    prepare(backend, slot);
    return true;
}

static void uring_submit(struct backend *base, struct disk_request *request)
{
    struct uring_backend *backend = of(base);
    if (!ring_can(request->op))
        helper_submit(backend->helper, request);
    else if (!list_is_empty(&backend->waiting) || !start(backend, request))
        list_push_back(&backend->waiting, &request->link);
}

/* What one result of a read or write means. True: the request is complete, *error says how. */
static bool transferred(struct slot *slot, int result, int *error)
{
    struct disk_request *request = slot->request;
    bool reading = request->op == DISK_READ;
    if (result > 0) slot->done += (uint32_t)result;
    request->result = slot->done;
    *error = 0;
    if (slot->done == request->size) return true;
    if (result == 0) {
        *error = reading ? 0 : EIO;
        return true;
    }
    /* A direct file ends inside a block: the rest of it cannot be asked for. */
    if (reading && result == -EINVAL && slot->done > 0) return true;
    *error = result < 0 ? -result : 0;
    return result < 0;
}

/* True: the request is complete with *error. False: it has to be tried once more, or goes on. */
static bool digest(struct slot *slot, int result, int *error)
{
    struct disk_request *request = slot->request;
    if (result == -EINTR || result == -EAGAIN) return false;
    *error = result < 0 ? -result : 0;
    switch (request->op) {
    case DISK_READ:
    case DISK_WRITE:
        return transferred(slot, result, error);
    case DISK_OPEN:
        if (result == -EINVAL && (request->flags & DISK_DIRECT) && !slot->not_direct) {
            slot->not_direct = true;
            return false;
        }
        if (result >= 0) request->file.handle = result;
        return true;
    case DISK_SIZE:
        request->result = slot->stat.stx_size;
        return true;
    default:
        return true;
    }
}

static void complete(struct uring_backend *backend, struct slot *slot, int result)
{
    struct disk_request *request = slot->request;
    int error;
    if (!digest(slot, result, &error)) {
        prepare(backend, slot);
        return;
    }
    list_push_front(&backend->idle, &slot->link);
    if (request->op == DISK_PREALLOCATE && error == EOPNOTSUPP) {
        /* The helper does it by writing. */
        helper_submit(backend->helper, request);
        return;
    }
    posix_disk_finish(request, error);
    reactor_disk_done(backend->reactor, request);
}

static void enable(struct uring_backend *backend)
{
    if (backend->enabled) return;
    /* liburing 2.3 declares io_uring_enable_rings but does not export it. */
    CHECK(io_uring_register((unsigned)backend->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) == 0);
    backend->enabled = true;
}

/* Codes with which the kernel asks for patience; what was not submitted goes with the next call. */
static void check_enter(int result)
{
    CHECK(result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ETIME);
}

/* ---- watches ---- */

static void slot_free(struct watch_slot *slot)
{
    list_remove(&slot->link);
    mem_free(slot);
}

/* The kernel has nothing of it, or what it has is not what is wanted. */
static void prepare_watch(struct uring_backend *backend, struct watch_slot *slot)
{
    unsigned wanted = slot->watch ? slot->watch->wanted : 0;
    uint64_t mark = (uintptr_t)slot | WATCH_MARK;
    if (slot->asked == 0 && wanted) {
        struct io_uring_sqe *entry = next_entry(backend);
        unsigned events = (wanted & WATCH_READ ? POLLIN : 0u) | (wanted & WATCH_WRITE ? POLLOUT : 0u);
        io_uring_prep_poll_add(entry, slot->fd, events);
        io_uring_sqe_set_data64(entry, mark);
        slot->asked = wanted;
    } else if (slot->asked && slot->asked != wanted && !slot->withdrawn) {
        struct io_uring_sqe *entry = next_entry(backend);
        io_uring_prep_poll_remove(entry, mark);
        io_uring_sqe_set_data64(entry, 0); /* its own completion is not looked at */
        slot->withdrawn = true;
    }
}

/* True when all wishes are in the submission queue. */
static bool prepare_watches(struct uring_backend *backend)
{
    while (io_uring_sq_space_left(&backend->ring) > SLOTS_MAX + 1) {
        struct list *node = list_pop_front(&backend->asking);
        if (node == NULL) return true;
        struct watch_slot *slot = CONTAINER_OF(node, struct watch_slot, link);
        if (slot->watch == NULL && slot->asked == 0) {
            slot_free(slot);
            continue;
        }
        list_push_back(&backend->told, &slot->link);
        prepare_watch(backend, slot);
    }
    return list_is_empty(&backend->asking);
}

static void ask_for(struct uring_backend *backend, struct watch_slot *slot)
{
    list_remove(&slot->link);
    list_push_back(&backend->asking, &slot->link);
}

static void uring_watch(struct backend *base, struct watch *watch)
{
    struct uring_backend *backend = of(base);
    if (watch->slot == NULL) {
        watch->slot = mem_zalloc(sizeof *watch->slot);
        watch->slot->watch = watch;
        watch->slot->fd = watch->fd;
        list_init(&watch->slot->link);
    }
    if (watch->slot->asked != watch->wanted) ask_for(backend, watch->slot);
}

static void uring_unwatch(struct backend *base, struct watch *watch)
{
    struct watch_slot *slot = watch->slot;
    slot->watch = NULL;
    watch->slot = NULL;
    ask_for(of(base), slot);
}

static void watch_told(struct uring_backend *backend, struct watch_slot *slot, int result)
{
    struct watch *watch = slot->watch;
    slot->asked = 0;
    slot->withdrawn = false;
    ask_for(backend, slot);
    if (watch == NULL || result == -ECANCELED) return;
    unsigned events = WATCH_READ | WATCH_WRITE;
    if (result >= 0 && !(result & (POLLERR | POLLHUP)))
        events = (result & POLLIN ? WATCH_READ : 0u) | (result & POLLOUT ? WATCH_WRITE : 0u);
    events &= watch->wanted;
    if (events) watch->ready(watch, events);
}

static void submit_watches(struct uring_backend *backend)
{
    while (!prepare_watches(backend)) {
        check_enter(io_uring_submit(&backend->ring));
        if (io_uring_sq_space_left(&backend->ring) <= SLOTS_MAX + 1) return; /* with the next turn */
    }
}

static void ask_kernel(struct uring_backend *backend)
{
    submit_watches(backend);
    unsigned flags = IO_URING_READ_ONCE(*backend->ring.sq.kflags);
    bool pending = flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
    if (io_uring_sq_ready(&backend->ring))
        check_enter(io_uring_submit_and_get_events(&backend->ring));
    else if (pending && !backend->looked)
        check_enter(io_uring_get_events(&backend->ring));
    backend->looked = false;
}

static void uring_poll(struct backend *base)
{
    struct uring_backend *backend = of(base);
    enable(backend);
    ask_kernel(backend);
    struct io_uring_cqe *completion;
    for (unsigned i = 0; i < COMPLETIONS && io_uring_peek_cqe(&backend->ring, &completion) == 0; i++) {
        uintptr_t mark = (uintptr_t)io_uring_cqe_get_data64(completion);
        int result = completion->res;
        io_uring_cqe_seen(&backend->ring, completion);
        if (mark == (uintptr_t)&backend->wake_value)
            listen_for_wakes(backend);
        else if (mark & WATCH_MARK)
            watch_told(backend, (struct watch_slot *)(mark & ~WATCH_MARK), result);
        else if (mark)
            complete(backend, (struct slot *)mark, result);
    }
    struct list done, *node;
    list_init(&done);
    helper_take(backend->helper, &done);
    while ((node = list_pop_front(&done)) != NULL)
        reactor_disk_done(backend->reactor, CONTAINER_OF(node, struct disk_request, link));
    while (!list_is_empty(&backend->waiting)) {
        struct disk_request *request = CONTAINER_OF(backend->waiting.next, struct disk_request, link);
        if (list_is_empty(&backend->idle)) break;
        list_remove(&request->link);
        CHECK(start(backend, request));
    }
}

static void uring_wait(struct backend *base, uint64_t until_ns)
{
    struct uring_backend *backend = of(base);
    struct io_uring_cqe *completion;
    enable(backend);
    submit_watches(backend);
    backend->looked = true;
    if (until_ns == REACTOR_NEVER) {
        check_enter(io_uring_submit_and_wait(&backend->ring, 1));
        return;
    }
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    uint64_t now_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
    if (until_ns <= now_ns) {
        backend->looked = false;
        return;
    }
    uint64_t rest = until_ns - now_ns;
    struct __kernel_timespec timeout = {.tv_sec = (int64_t)(rest / NS_PER_S), .tv_nsec = (long long)(rest % NS_PER_S)};
    check_enter(io_uring_submit_and_wait_timeout(&backend->ring, &completion, 1, &timeout, NULL));
}

static void wake_up(void *context)
{
    struct uring_backend *backend = context;
    uint64_t one = 1;
    /* Full (EAGAIN) is as good: the reader is being woken. */
    (void)!write(backend->wake_fd, &one, sizeof one);
}

static void uring_wake(struct backend *base)
{
    wake_up(of(base));
}

static void uring_destroy(struct backend *base)
{
    struct uring_backend *backend = of(base);
    CHECK(list_is_empty(&backend->waiting));
    helper_destroy(backend->helper);
    io_uring_queue_exit(&backend->ring);
    close(backend->wake_fd);
    struct list *node;
    while ((node = list_pop_front(&backend->idle)) != NULL) {
        mem_free(CONTAINER_OF(node, struct slot, link));
        backend->slots--;
    }
    CHECK(backend->slots == 0);
    list_splice_back(&backend->asking, &backend->told);
    while ((node = list_pop_front(&backend->asking)) != NULL)
        mem_free(CONTAINER_OF(node, struct watch_slot, link));
    mem_free(backend);
}

static const struct backend_ops uring_ops = {
    "uring", uring_submit, uring_poll, uring_wait, uring_wake, uring_destroy, NULL, uring_watch, uring_unwatch};

struct backend *uring_backend_create(struct reactor *reactor, int root_fd)
{
    struct uring_backend *backend = mem_zalloc(sizeof *backend);
    backend->backend.ops = &uring_ops;
    backend->reactor = reactor;
    backend->root_fd = root_fd;
    list_init(&backend->idle);
    list_init(&backend->waiting);
    list_init(&backend->asking);
    list_init(&backend->told);
    backend->wake_fd = eventfd(0, EFD_CLOEXEC);
    CHECK(backend->wake_fd >= 0);
    CHECK(open_ring(&backend->ring) == 0);
    backend->helper = helper_create(root_fd, wake_up, backend);
    listen_for_wakes(backend);
    return &backend->backend;
}
