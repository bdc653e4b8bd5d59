#include "common/rpc/sp/sp_pipe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/mem.h"

enum {
    READS_MAX = 4,   /* of one pipe in a turn, so that a loud one does not keep the others waiting */
    PIECES_MAX = 64, /* frames in one system call */
    NS_PER_MS = 1000000,
};
_Static_assert((int)LINK_QUEUE_FRAMES_MAX < (int)LINK_NNG_QUEUE_FRAMES, "who keeps the window is never too slow");

static struct sp_buffer *buffer_of(struct link_buffer *base)
{
    return CONTAINER_OF(base, struct sp_buffer, base);
}

static uint64_t now_ns(const struct sp_pipe *pipe)
{
    return reactor_now_ns(pipe->end->reactor);
}

static void hold(struct sp_pipe *pipe, const struct sp_buffer *buffer)
{
    pipe->held_bytes += buffer->base.capacity;
    pipe->end->held_bytes += buffer->base.capacity;
}

static void let_go(struct sp_pipe *pipe, const struct sp_buffer *buffer)
{
    CHECK(pipe->held_bytes >= buffer->base.capacity);
    pipe->held_bytes -= buffer->base.capacity;
    pipe->end->held_bytes -= buffer->base.capacity;
}

void sp_address_write(const struct sockaddr *address, char out[SP_REMOTE_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "";
    out[0] = 0;
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(out, SP_REMOTE_BYTES, "%s:%u", host, ntohs(in->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;
        inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
        snprintf(out, SP_REMOTE_BYTES, "[%s]:%u", host, ntohs(in->sin6_port));
    }
}

void sp_socket_close(int fd)
{
    /* An error here says only that the peer was faster. */
    shutdown(fd, SHUT_RDWR);
    close(fd);
}

/* ---- the end ---- */

static void pipe_end(struct sp_pipe *pipe)
{
    struct link_end *end = pipe->end;
    struct list *node;
    if (pipe->ended) return;
    pipe->ended = true;
    reactor_unwatch(end->reactor, &pipe->watch);
    sp_socket_close(pipe->watch.fd);
    timer_stop(&pipe->deadline);
    task_cancel(&pipe->flush);
    if (pipe->reader.greeted)
        end->up_count--;
    else
        end->greeting_count--;
    if (pipe->incoming) {
        let_go(pipe, pipe->incoming);
        sp_pool_give(pipe->incoming);
        pipe->incoming = NULL;
    }
    while ((node = list_pop_front(&pipe->queue)) != NULL) {
        struct sp_buffer *buffer = CONTAINER_OF(node, struct sp_buffer, link);
        let_go(pipe, buffer);
        sp_pool_give(buffer);
    }
    CHECK(pipe->held_bytes == 0);
    list_remove(&pipe->link);
    list_push_back(&end->ended, &pipe->link);
    reactor_defer(end->reactor, &pipe->gone);
}

static void on_gone(struct task *task)
{
    struct sp_pipe *pipe = CONTAINER_OF(task, struct sp_pipe, gone);
    struct link_end *end = pipe->end;
    if (pipe->accepted && !end->closed) {
        end->net->down++;
        end->handler->down(end->context, &pipe->base);
    }
    list_remove(&pipe->link);
    mem_free(pipe);
}

/* Too much is held for all pipes: the one that makes us hold most ends. */
static void shed(struct link_end *end)
{
    uint64_t most = (uint64_t)LINK_SP_HELD_FRAMES_MAX * end->options.frame_bytes_max;
    while (end->held_bytes > most) {
        struct sp_pipe *worst = NULL;
        LIST_FOR_EACH (node, &end->up) {
            struct sp_pipe *pipe = CONTAINER_OF(node, struct sp_pipe, link);
            if (!worst || pipe->held_bytes > worst->held_bytes) worst = pipe;
        }
        CHECK(worst && worst->held_bytes > 0);
        end->net->shed++;
        pipe_end(worst);
    }
}

/* ---- sending ---- */

static void blocked(struct sp_pipe *pipe, bool is_blocked)
{
    struct reactor *reactor = pipe->end->reactor;
    if (is_blocked == pipe->blocked) return;
    pipe->blocked = is_blocked;
    reactor_watch(reactor, &pipe->watch, is_blocked ? WATCH_READ | WATCH_WRITE : WATCH_READ);
    if (is_blocked)
        timer_start_in(&pipe->deadline, (uint64_t)LINK_SP_STALL_MS * NS_PER_MS);
    else
        timer_stop(&pipe->deadline);
}

/* The oldest frames as pieces of memory. Returns how many. */
static int pieces_of(const struct sp_pipe *pipe, struct iovec pieces[PIECES_MAX], size_t *bytes)
{
    int count = 0;
    *bytes = 0;
    for (struct list *node = pipe->queue.next; node != &pipe->queue && count < PIECES_MAX; node = node->next) {
        struct sp_buffer *buffer = CONTAINER_OF(node, struct sp_buffer, link);
        uint32_t sent = count == 0 ? pipe->first_sent : 0;
        pieces[count].iov_base = buffer->head + sent;
        pieces[count].iov_len = SP_HEAD_BYTES + buffer->base.size - sent;
        *bytes += pieces[count++].iov_len;
    }
    return count;
}

/* So many bytes left. */
static void account(struct sp_pipe *pipe, size_t bytes)
{
    pipe->sent_ns = now_ns(pipe);
    while (bytes > 0) {
        struct sp_buffer *buffer = CONTAINER_OF(pipe->queue.next, struct sp_buffer, link);
        size_t rest = SP_HEAD_BYTES + buffer->base.size - pipe->first_sent;
        if (bytes < rest) {
            pipe->first_sent += (uint32_t)bytes;
            return;
        }
        bytes -= rest;
        pipe->first_sent = 0;
        pipe->queue_frames--;
        list_remove(&buffer->link);
        let_go(pipe, buffer);
        sp_pool_give(buffer);
    }
}

/* False: the connection is broken. */
static bool write_queue(struct sp_pipe *pipe)
{
    while (!list_is_empty(&pipe->queue)) {
        struct iovec pieces[PIECES_MAX];
        size_t bytes;
        int count = pieces_of(pipe, pieces, &bytes);
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
        ssize_t sent = sendmsg(pipe->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return false;
        if (sent > 0) account(pipe, (size_t)sent);
        if (sent < 0 || (size_t)sent < bytes) {
            blocked(pipe, true);
            return true;
        }
    }
    blocked(pipe, false);
    return true;
}

static void on_flush(struct task *task)
{
    struct sp_pipe *pipe = CONTAINER_OF(task, struct sp_pipe, flush);
    if (!pipe->ended && !write_queue(pipe)) pipe_end(pipe);
}

void sp_pipe_send(struct sp_pipe *pipe, struct link_buffer *base)
{
    struct sp_buffer *buffer = buffer_of(base);
    CHECK(base->size <= base->capacity && buffer->pool == &pipe->end->net->pool);
    if (pipe->ended) {
        sp_pool_give(buffer);
        return;
    }
    sp_head_write(buffer->head, base->size, base->reply_to ? (uint32_t)base->reply_to : SP_WORD_LAST);
    list_push_back(&pipe->queue, &buffer->link);
    pipe->queue_frames++;
    hold(pipe, buffer);
    if (pipe->queue_frames > LINK_NNG_QUEUE_FRAMES) {
        pipe->end->net->slow++;
        pipe_end(pipe);
        return;
    }
    if (!pipe->blocked) reactor_defer_send(pipe->end->reactor, &pipe->flush);
    shed(pipe->end);
}

void sp_pipe_close(struct sp_pipe *pipe)
{
    if (!pipe->ended && !pipe->blocked) (void)!write_queue(pipe);
    pipe_end(pipe);
}

/* ---- receiving ---- */

static void deliver(struct sp_pipe *pipe)
{
    struct sp_buffer *buffer = pipe->incoming;
    pipe->incoming = NULL;
    let_go(pipe, buffer);
    buffer->base.reply_to = pipe->reader.word;
    pipe->end->handler->frame(pipe->end->context, &pipe->base, &buffer->base);
}

/* Room for a frame whose head has come. */
static void begin_frame(struct sp_pipe *pipe)
{
    pipe->incoming = sp_pool_take(&pipe->end->net->pool, pipe->reader.body_bytes);
    pipe->incoming->base.size = pipe->reader.body_bytes;
    pipe->incoming_have = 0;
    hold(pipe, pipe->incoming);
    if (pipe->reader.body_bytes == 0)
        deliver(pipe);
    else
        shed(pipe->end);
}

/* So many bytes came in their place. */
static void received(struct sp_pipe *pipe, uint32_t bytes)
{
    pipe->incoming_have += bytes;
    CHECK(pipe->incoming_have <= pipe->incoming->base.size);
    if (pipe->incoming_have == pipe->incoming->base.size) deliver(pipe);
}

static void greeted(struct sp_pipe *pipe)
{
    struct link_end *end = pipe->end;
    timer_stop(&pipe->deadline);
    list_remove(&pipe->link);
    list_push_back(&end->up, &pipe->link);
    end->greeting_count--;
    end->up_count++;
    if (end->options.pipes_max > 0 && end->up_count > end->options.pipes_max) {
        end->net->full++;
        pipe_end(pipe);
        return;
    }
    end->net->added++;
    pipe->accepted = true;
    if (end->handler->up(end->context, &pipe->base)) return;
    pipe->accepted = false;
    end->net->down++;
    pipe_end(pipe);
}

/* Bytes that came, from where the reader and the frame being received left off. */
static void take(struct sp_pipe *pipe, struct bytes input)
{
    while (!pipe->ended) {
        if (pipe->incoming) {
            uint32_t rest = pipe->incoming->base.size - pipe->incoming_have;
            uint32_t bytes = input.size < rest ? (uint32_t)input.size : rest;
            if (bytes == 0) return;
            memcpy(pipe->incoming->body + pipe->incoming_have, input.data, bytes);
            input = bytes_of(input.data + bytes, input.size - bytes);
            received(pipe, bytes);
            continue;
        }
        switch (sp_reader_step(&pipe->reader, &input)) {
        case SP_MORE:
            return;
        case SP_GREETED:
            greeted(pipe);
            break;
        case SP_MESSAGE:
            begin_frame(pipe);
            break;
        case SP_BROKEN:
            pipe->end->net->broken++;
            pipe_end(pipe);
            return;
        }
    }
}

/* Reads once, what is left of a frame straight into its place. False: nothing more is there now, or the pipe ended. */
static bool read_some(struct sp_pipe *pipe)
{
    struct link_end *end = pipe->end;
    uint32_t rest = pipe->incoming ? pipe->incoming->base.size - pipe->incoming_have : 0;
    struct iovec pieces[2] = {{NULL, 0}, {end->scratch, sizeof end->scratch}};
    if (rest) pieces[0] = (struct iovec){pipe->incoming->body + pipe->incoming_have, rest};
    struct msghdr message = {.msg_iov = rest ? pieces : pieces + 1, .msg_iovlen = rest ? 2 : 1};
    ssize_t got = recvmsg(pipe->watch.fd, &message, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) return true;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (got <= 0) {
        pipe_end(pipe);
        return false;
    }
    size_t size = (size_t)got, placed = size < rest ? size : rest;
    if (placed) received(pipe, (uint32_t)placed);
    take(pipe, bytes_of(end->scratch, size - placed));
    return !pipe->ended && size == rest + sizeof end->scratch;
}

static void on_ready(struct watch *watch, unsigned events)
{
    struct sp_pipe *pipe = CONTAINER_OF(watch, struct sp_pipe, watch);
    if ((events & WATCH_WRITE) && pipe->blocked && !write_queue(pipe)) {
        pipe_end(pipe);
        return;
    }
    if (!(events & WATCH_READ)) return;
    for (int reads = 0; reads < READS_MAX; reads++)
        if (!read_some(pipe)) return;
}

/* ---- life ---- */

static void on_deadline(struct timer *timer)
{
    struct sp_pipe *pipe = CONTAINER_OF(timer, struct sp_pipe, deadline);
    struct link_end *end = pipe->end;
    if (!pipe->reader.greeted) {
        end->net->late++;
        pipe_end(pipe);
        return;
    }
    /* Of the peer's silence only that counts which it kept while we ran and asked. */
    uint64_t quiet = (uint64_t)LINK_SP_STALL_MS * NS_PER_MS, before = pipe->sent_ns;
    bool whole = write_queue(pipe);
    if (whole && !pipe->blocked) return;
    if (whole && (pipe->sent_ns != before || now_ns(pipe) - before < quiet)) {
        timer_start_at(&pipe->deadline, pipe->sent_ns + quiet);
        return;
    }
    end->net->slow++;
    pipe_end(pipe);
}

static bool greet(const struct sp_pipe *pipe)
{
    uint8_t greeting[SP_GREETING_BYTES];
    sp_greeting_write(greeting, SP_REP);
    return send(pipe->watch.fd, greeting, sizeof greeting, MSG_NOSIGNAL) == (ssize_t)sizeof greeting;
}

void sp_pipe_create(struct link_end *end, int fd, const struct sockaddr *from)
{
    struct sp_pipe *pipe = mem_zalloc(sizeof *pipe);
    int one = 1;
    pipe->base = (struct link_pipe){
        .ops = end->net->net.ops, .id = atomic_fetch_add(&end->net->next_pipe, 1) + 1, .remote = pipe->remote};
    pipe->end = end;
    sp_address_write(from, pipe->remote);
    watch_init(&pipe->watch, fd, on_ready);
    timer_init(&pipe->deadline, end->reactor, on_deadline);
    task_init(&pipe->flush, on_flush);
    task_init(&pipe->gone, on_gone);
    sp_reader_init(&pipe->reader, SP_REQ, end->options.frame_bytes_max);
    list_init(&pipe->queue);
    list_init(&pipe->link);
    list_push_back(&end->greeting, &pipe->link);
    end->greeting_count++;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 || !greet(pipe)) {
        pipe_end(pipe);
        return;
    }
    timer_start_in(&pipe->deadline, (uint64_t)LINK_SP_GREETING_MS * NS_PER_MS);
    reactor_watch(end->reactor, &pipe->watch, WATCH_READ);
    /* Who dials has usually greeted already. */
    on_ready(&pipe->watch, WATCH_READ);
}
