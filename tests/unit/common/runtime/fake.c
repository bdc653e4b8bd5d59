#include "tests/unit/common/runtime/fake.h"

#include <string.h>

#include "common/base/check.h"
#include "common/runtime/disk.h"
#include "common/runtime/reactor.h"

static struct fake *fake_of(struct env *env)
{
    return CONTAINER_OF(env, struct fake, env);
}

static uint64_t mono_ns(struct env *env)
{
    return fake_of(env)->mono_ns;
}

static int64_t wall_us(struct env *env)
{
    return fake_of(env)->wall_us;
}

static void entropy(struct env *env, void *out, size_t size)
{
    (void)env;
    memset(out, 7, size);
}

__attribute__((noreturn)) static void die(struct env *env, enum status status, const char *why)
{
    (void)why;
    CHECK(fake_of(env)->escape != NULL);
    fake_of(env)->died = status;
    escape_jump(fake_of(env)->escape);
}

static struct fake *fake_of_backend(struct backend *backend)
{
    return CONTAINER_OF(backend, struct fake, backend);
}

static void submit(struct backend *backend, struct disk_request *request)
{
    list_push_back(&fake_of_backend(backend)->requests, &request->link);
}

static void poll(struct backend *backend)
{
    struct fake *fake = fake_of_backend(backend);
    fake->polls++;
    if (fake->hold) return;
    struct list due, *node;
    list_init(&due);
    list_splice_back(&due, &fake->requests);
    while ((node = list_pop_front(&due)) != NULL) {
        struct disk_request *request = CONTAINER_OF(node, struct disk_request, link);
        request->status = fake->status;
        request->result = fake->result;
        reactor_disk_done(fake->reactor, request);
    }
}

static void wake(struct backend *backend)
{
    fake_of_backend(backend)->wakes++;
}

static void destroy(struct backend *backend)
{
    CHECK(list_is_empty(&fake_of_backend(backend)->requests));
}

static struct backend *backend_create(struct env *env, struct reactor *reactor)
{
    fake_of(env)->reactor = reactor;
    return &fake_of(env)->backend;
}

static const struct env_ops env_ops = {mono_ns, wall_us, entropy, die, backend_create};
static const struct backend_ops backend_ops = {"fake", submit, poll, NULL, wake, destroy};

void fake_init(struct fake *fake)
{
    memset(fake, 0, sizeof *fake);
    fake->env.ops = &env_ops;
    fake->env.name = "fake";
    fake->mono_ns = 1000;
    fake->wall_us = 5;
    fake->backend.ops = &backend_ops;
    list_init(&fake->requests);
    fake->reactor = reactor_create(&fake->env, "fake", 0);
}

void fake_fini(struct fake *fake)
{
    reactor_destroy(fake->reactor);
}

uint64_t fake_settle(struct fake *fake)
{
    for (unsigned turns = 0; turns < 10000; turns++) {
        uint64_t next = reactor_turn(fake->reactor);
        bool idle = list_is_empty(&fake->requests) || fake->hold;
        if (next > fake->mono_ns && idle) return next;
    }
    CHECK(!"the reactor never comes to rest");
}

uint64_t fake_pass(struct fake *fake, uint64_t ns)
{
    fake->mono_ns += ns;
    return fake_settle(fake);
}
