#include "common/rpc/sp/link_sp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/rpc/sp/sp_pipe.h"

enum {
    ACCEPTS_MAX = 8, /* in a turn: each costs tens of microseconds, which those that are served wait for */
    BACKLOG = 1024,
    REST_MS = 100, /* between tries while no descriptor is left */
    NS_PER_MS = 1000000,
    HOST_BYTES = 64,
};

static struct link_sp *net_of(struct net *net)
{
    return CONTAINER_OF(net, struct link_sp, net);
}

static struct sp_pipe *pipe_of(struct link_pipe *pipe)
{
    return CONTAINER_OF(pipe, struct sp_pipe, base);
}

/* ---- accepting ---- */

static void refuse(struct link_end *end, int fd)
{
    /* The greeting tells the dialer that it found the right place, only full. */
    uint8_t greeting[SP_GREETING_BYTES];
    sp_greeting_write(greeting, SP_REP);
    (void)!send(fd, greeting, sizeof greeting, MSG_NOSIGNAL);
    sp_socket_close(fd);
    end->net->full++;
}

static void take_connection(struct link_end *end, int fd, const struct sockaddr *from)
{
    end->net->accepted++;
    if (end->options.pipes_max > 0 && end->up_count >= end->options.pipes_max) {
        refuse(end, fd);
        return;
    }
    if (end->greeting_count >= LINK_SP_GREETINGS_MAX) {
        end->net->displaced++;
        sp_pipe_close(CONTAINER_OF(end->greeting.next, struct sp_pipe, link));
    }
    sp_pipe_create(end, fd, from);
}

/* No descriptor or no memory of the kernel's: asking at once would only spin. */
static void rest(struct link_end *end, int error)
{
    if (end->net->accepts_held++ == 0) LOG(end->net->env->log, WARN, "link.accept", "why=\"%s\"", strerror(error));
    reactor_watch(end->reactor, &end->watch, 0);
    timer_start_in(&end->rest, (uint64_t)REST_MS * NS_PER_MS);
}

static void on_rested(struct timer *timer)
{
    struct link_end *end = CONTAINER_OF(timer, struct link_end, rest);
    reactor_watch(end->reactor, &end->watch, WATCH_READ);
}

static void on_connection(struct watch *watch, unsigned events)
{
    struct link_end *end = CONTAINER_OF(watch, struct link_end, watch);
    (void)events;
    for (int i = 0; i < ACCEPTS_MAX && !end->closed; i++) {
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof from;
        int fd = accept4(watch->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take_connection(end, fd, (const struct sockaddr *)&from);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest(end, errno);
            return;
        }
        /* Anything else is the fate of one connection. */
    }
}

/* ---- opening ---- */

/* "IP:PORT", "[IP]:PORT" for version 6. */
static bool parse_address(const char *text, struct sockaddr_storage *out, socklen_t *size)
{
    char host[HOST_BYTES];
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof host) return false;
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] != 0) return false;
    unsigned long port = strtoul(colon + 1, NULL, 10);
    if (port > UINT16_MAX) return false;
    size_t length = (size_t)(colon - text);
    memcpy(host, text, length);
    host[length] = 0;
    memset(out, 0, sizeof *out);
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)out;
    if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        *size = sizeof *in;
        return true;
    }
    if (host[0] != '[' || host[length - 1] != ']') return false;
    host[length - 1] = 0;
    if (inet_pton(AF_INET6, host + 1, &in6->sin6_addr) != 1) return false;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    *size = sizeof *in6;
    return true;
}

static enum status status_of(int error)
{
    if (error == EADDRINUSE) return STATUS_CONFLICT;
    return error == EADDRNOTAVAIL ? STATUS_BAD_REQUEST : STATUS_IO;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof own;
    CHECK(getsockname(fd, (struct sockaddr *)&own, &size) == 0);
    in_port_t port = own.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&own)->sin6_port
                                               : ((struct sockaddr_in *)(void *)&own)->sin_port;
    return ntohs(port);
}

/* A socket that listens; a negative errno when there is none. */
static int listen_at(const struct sockaddr_storage *address, socklen_t size)
{
    int one = 1;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, (const struct sockaddr *)address, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

static void on_bury(struct task *task);

static enum status door_open(
    struct net *net, const char *address, const struct link_options *options, struct link_end **out)
{
    struct sockaddr_storage at;
    socklen_t size;
    CHECK(!options->dial && options->frame_bytes_max <= FRAME_BYTES_MAX);
    if (!parse_address(address, &at, &size)) return STATUS_BAD_REQUEST;
    int fd = listen_at(&at, size);
    if (fd < 0) return status_of(-fd);
    struct link_end *end = mem_zalloc(sizeof *end);
    end->net = net_of(net);
    end->reactor = options->reactor;
    end->options = *options;
    end->handler = options->handler;
    end->context = options->context;
    end->port = port_of(fd);
    list_init(&end->greeting);
    list_init(&end->up);
    list_init(&end->ended);
    task_init(&end->bury, on_bury);
    timer_init(&end->rest, end->reactor, on_rested);
    watch_init(&end->watch, fd, on_connection);
    reactor_watch(end->reactor, &end->watch, WATCH_READ);
    *out = end;
    return STATUS_OK;
}

/* ---- closing ---- */

/* Its pipes' last tasks ran before this one. */
static void on_bury(struct task *task)
{
    struct link_end *end = CONTAINER_OF(task, struct link_end, bury);
    CHECK(list_is_empty(&end->greeting) && list_is_empty(&end->up) && list_is_empty(&end->ended));
    CHECK(end->held_bytes == 0);
    mem_free(end);
}

static void door_close(struct link_end *end)
{
    CHECK(!end->closed);
    end->closed = true;
    timer_stop(&end->rest);
    reactor_unwatch(end->reactor, &end->watch);
    sp_socket_close(end->watch.fd);
    LIST_FOR_EACH (node, &end->greeting)
        sp_pipe_close(CONTAINER_OF(node, struct sp_pipe, link));
    LIST_FOR_EACH (node, &end->up)
        sp_pipe_close(CONTAINER_OF(node, struct sp_pipe, link));
    reactor_defer(end->reactor, &end->bury);
}

static void door_pipe_close(struct link_pipe *pipe)
{
    sp_pipe_close(pipe_of(pipe));
}

/* ---- the door ---- */

static struct link_buffer *door_buffer_create(struct net *net, uint32_t capacity)
{
    return &sp_pool_take(&net_of(net)->pool, capacity)->base;
}

static void door_buffer_free(struct link_buffer *buffer)
{
    sp_pool_give(CONTAINER_OF(buffer, struct sp_buffer, base));
}

static void door_send(struct link_pipe *pipe, struct link_buffer *buffer)
{
    sp_pipe_send(pipe_of(pipe), buffer);
}

static const struct net_ops OPS = {
    .open = door_open,
    .close = door_close,
    .buffer_create = door_buffer_create,
    .buffer_free = door_buffer_free,
    .send = door_send,
    .pipe_close = door_pipe_close,
};

struct net *link_sp_create(struct env *env)
{
    struct link_sp *net = mem_zalloc(sizeof *net);
    net->net.ops = &OPS;
    net->env = env;
    sp_pool_init(&net->pool);
    return &net->net;
}

void link_sp_destroy(struct net *net)
{
    struct link_sp *link = net_of(net);
    sp_pool_fini(&link->pool);
    mem_free(link);
}

struct link_sp_counters link_sp_counters(struct net *net)
{
    struct link_sp *link = net_of(net);
    return (struct link_sp_counters){
        .accepted = link->accepted,
        .pipes_added = link->added,
        .pipes_down = link->down,
        .pipes_full = link->full,
        .greetings_late = link->late,
        .greetings_displaced = link->displaced,
        .pipes_broken = link->broken,
        .pipes_slow = link->slow,
        .pipes_shed = link->shed,
        .accepts_held = link->accepts_held,
    };
}

uint16_t link_sp_port(const struct link_end *end)
{
    return end->port;
}
