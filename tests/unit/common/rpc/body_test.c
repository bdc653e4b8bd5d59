#include <criterion/criterion.h>
#include <string.h>

#include "common/rpc/rpc.h"
#include "proto/link.pb-c.h"

Test(body, what_is_packed_unpacks)
{
    uint8_t instance[16] = {1, 2, 3}, packed[256];
    uint64_t synced[2] = {5, 6};
    Trillium__V1__Hello hello = TRILLIUM__V1__HELLO__INIT;
    hello.instance = (ProtobufCBinaryData){sizeof instance, instance};
    hello.n_synced = 2;
    hello.synced = synced;
    size_t size = trillium__v1__hello__pack(&hello, packed);
    struct arena arena = {0};
    Trillium__V1__Hello *back = rpc_decode(&arena, &trillium__v1__hello__descriptor, bytes_of(packed, size));
    cr_assert_not_null(back);
    cr_assert_eq(back->n_synced, 2u);
    cr_assert_eq(back->synced[1], 6u);
    cr_assert_eq(memcmp(back->instance.data, instance, 16), 0);
    arena_free(&arena);
}

Test(body, an_empty_body_is_a_message_of_defaults)
{
    struct arena arena = {0};
    Trillium__V1__Hello *hello = rpc_decode(&arena, &trillium__v1__hello__descriptor, bytes_of(NULL, 0));
    cr_assert_not_null(hello);
    cr_assert_eq(hello->boot, 0u);
    arena_free(&arena);
}

Test(body, malformed_bytes_are_refused)
{
    struct arena arena = {0};
    const uint8_t cut[] = {0x22, 0x10, 0x01};
    cr_assert_null(rpc_decode(&arena, &trillium__v1__hello__descriptor, bytes_of(cut, sizeof cut)));
    arena_free(&arena);
}

Test(body, a_small_body_cannot_unpack_into_much_memory)
{
    /* Unknown fields cost most: 2 bytes of body become a record each. */
    static uint8_t bomb[100000];
    for (size_t i = 0; i < sizeof bomb; i += 3) {
        bomb[i] = 0xf8; /* field 127, varint */
        if (i + 1 < sizeof bomb) bomb[i + 1] = 0x07;
    }
    struct arena arena = {0};
    rpc_decode(&arena, &trillium__v1__hello__descriptor, bytes_of(bomb, sizeof bomb));
    cr_assert_leq(arena.total, 4096 + 8 * sizeof bomb);
    arena_free(&arena);
}
