#include "common/cluster/address.h"

#include <criterion/criterion.h>

Test(address, a_port_is_added_only_where_none_is_given)
{
    char out[ADDRESS_BYTES];
    cr_assert_eq(address_complete("127.0.3.1", PORT_ROUTER, out), STATUS_OK);
    cr_assert_str_eq(out, "127.0.3.1:7200");
    cr_assert_eq(address_complete("example.org:99", PORT_ROUTER, out), STATUS_OK);
    cr_assert_str_eq(out, "example.org:99");
}

Test(address, a_shift_moves_the_port_and_stays_in_its_range)
{
    char out[ADDRESS_BYTES] = "untouched";
    cr_assert_eq(address_shift("127.0.3.1:7200", PORT_CLIENTS + 3, out), STATUS_OK);
    cr_assert_str_eq(out, "127.0.3.1:7235");
    cr_assert_eq(address_shift("127.0.3.1:65535", 1, out), STATUS_BAD_REQUEST);
    cr_assert_str_eq(out, "127.0.3.1:7235", "a refusal touches nothing");
}

Test(address, what_is_no_address_is_refused)
{
    static const char *const bad[] = {"", ":7200", "host:", "host:0", "host:port", "host:72x", "host:99999",
        "host: 7200", "host:+7200", "host:18446744073709551615", "host:007200"};
    char out[ADDRESS_BYTES], long_name[200];
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(address_complete(bad[i], 1, out), STATUS_BAD_REQUEST, "%s", bad[i]);
    cr_assert_eq(address_shift("host:18446744073709551615", 7, out), STATUS_BAD_REQUEST);
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    cr_assert_eq(address_complete(long_name, 1, out), STATUS_BAD_REQUEST);
}

Test(address, the_longest_host_can_be_shifted_once_it_is_complete)
{
    char host[ADDRESS_BYTES] = "", whole[ADDRESS_BYTES], out[ADDRESS_BYTES];
    memset(host, 'a', ADDRESS_BYTES - 7);
    cr_assert_eq(address_complete(host, 60000, whole), STATUS_OK);
    cr_assert_eq(address_shift(whole, 99, out), STATUS_OK);
    host[ADDRESS_BYTES - 7] = 'a';
    cr_assert_eq(address_complete(host, 60000, whole), STATUS_BAD_REQUEST);
}
