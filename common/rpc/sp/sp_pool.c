#include "common/rpc/sp/sp_pool.h"

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/mem.h"

enum { CLASS_BYTES_MIN = 1024 };
_Static_assert((CLASS_BYTES_MIN << (SP_POOL_CLASSES - 1)) > FRAME_BYTES_MAX, "the largest frame has a class");

static uint32_t class_bytes(unsigned size_class)
{
    return (uint32_t)CLASS_BYTES_MIN << size_class;
}

void sp_pool_init(struct sp_pool *pool)
{
    *pool = (struct sp_pool){0};
    CHECK(pthread_mutex_init(&pool->mutex, NULL) == 0);
    for (int size_class = 0; size_class < SP_POOL_CLASSES; size_class++)
        list_init(&pool->idle[size_class]);
}

void sp_pool_fini(struct sp_pool *pool)
{
    struct list *node;
    CHECK(pool->out == 0);
    for (int size_class = 0; size_class < SP_POOL_CLASSES; size_class++)
        while ((node = list_pop_front(&pool->idle[size_class])) != NULL)
            mem_free(CONTAINER_OF(node, struct sp_buffer, link));
    pthread_mutex_destroy(&pool->mutex);
}

struct sp_buffer *sp_pool_take(struct sp_pool *pool, uint32_t capacity)
{
    unsigned size_class = 0;
    while (class_bytes(size_class) < capacity)
        size_class++;
    CHECK(size_class < SP_POOL_CLASSES);
    pthread_mutex_lock(&pool->mutex);
    struct list *node = list_pop_front(&pool->idle[size_class]);
    if (node) pool->idle_bytes -= class_bytes(size_class);
    pool->out++;
    pthread_mutex_unlock(&pool->mutex);
    struct sp_buffer *buffer = node ? CONTAINER_OF(node, struct sp_buffer, link)
                                    : mem_alloc(sizeof(struct sp_buffer) + class_bytes(size_class));
    buffer->pool = pool;
    buffer->size_class = (uint8_t)size_class;
    list_init(&buffer->link);
    buffer->base = (struct link_buffer){.data = buffer->body, .capacity = class_bytes(size_class)};
    return buffer;
}

void sp_pool_give(struct sp_buffer *buffer)
{
    struct sp_pool *pool = buffer->pool;
    uint32_t bytes = class_bytes(buffer->size_class);
    CHECK(list_is_empty(&buffer->link));
    pthread_mutex_lock(&pool->mutex);
    CHECK(pool->out > 0);
    pool->out--;
    bool keep = pool->idle_bytes + bytes <= SP_POOL_IDLE_BYTES_MAX;
    if (keep) {
        pool->idle_bytes += bytes;
        list_push_front(&pool->idle[buffer->size_class], &buffer->link);
    }
    pthread_mutex_unlock(&pool->mutex);
    if (!keep) mem_free(buffer);
}
