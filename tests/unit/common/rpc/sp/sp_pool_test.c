#include "common/rpc/sp/sp_pool.h"

#include <criterion/criterion.h>

#include "common/base/limits.h"
#include "common/base/mem.h"

Test(sp_pool, a_frame_has_room_for_what_was_asked)
{
    static const uint32_t sizes[] = {0, 1, 1024, 1025, 100000, FRAME_BYTES_MAX_CLIENT, FRAME_BYTES_MAX};
    struct sp_pool pool;
    sp_pool_init(&pool);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct sp_buffer *buffer = sp_pool_take(&pool, sizes[i]);
        cr_assert(buffer->base.capacity >= sizes[i] && buffer->base.capacity < 2 * sizes[i] + 1025);
        cr_assert_eq(buffer->base.data, buffer->head + SP_HEAD_BYTES);
        cr_assert(buffer->base.size == 0 && buffer->base.reply_to == 0);
        if (sizes[i]) buffer->base.data[sizes[i] - 1] = 1;
        sp_pool_give(buffer);
    }
    sp_pool_fini(&pool);
}

Test(sp_pool, memory_comes_again_instead_of_more)
{
    struct sp_pool pool;
    sp_pool_init(&pool);
    struct sp_buffer *first = sp_pool_take(&pool, 5000);
    first->base.size = 17;
    first->base.reply_to = 3;
    sp_pool_give(first);
    uint64_t before = mem_allocations();
    struct sp_buffer *second = sp_pool_take(&pool, 8000);
    cr_assert_eq(second, first);
    cr_assert(second->base.size == 0 && second->base.reply_to == 0);
    cr_assert_eq(mem_allocations(), before);
    sp_pool_give(second);
    sp_pool_fini(&pool);
}

Test(sp_pool, what_lies_idle_is_bounded)
{
    enum { COUNT = 12 };
    struct sp_pool pool;
    struct sp_buffer *buffers[COUNT];
    sp_pool_init(&pool);
    for (int i = 0; i < COUNT; i++)
        buffers[i] = sp_pool_take(&pool, FRAME_BYTES_MAX);
    cr_assert_eq(pool.out, COUNT);
    for (int i = 0; i < COUNT; i++)
        sp_pool_give(buffers[i]);
    cr_assert(pool.out == 0 && pool.idle_bytes == SP_POOL_IDLE_BYTES_MAX);
    sp_pool_fini(&pool);
}
