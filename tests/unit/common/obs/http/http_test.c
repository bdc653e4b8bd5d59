#include "common/obs/http/http.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Sends request, returns the whole answer in out, 0-terminated. */
static void ask(uint16_t port, const char *request, char *out, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(connection, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(write(connection, request, strlen(request)), (ssize_t)strlen(request));
    size_t used = 0;
    ssize_t got;
    while (used < size - 1 && (got = read(connection, out + used, size - 1 - used)) > 0)
        used += (size_t)got;
    out[used] = 0;
    close(connection);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static struct health health;
static struct metrics *metrics;
static struct http *server;

static void begin(void)
{
    char why[200];
    health_init(&health);
    metrics = metrics_create(10);
    cr_assert_eq(http_start(&(struct http_options){"127.0.0.1", 0, metrics, &health}, &server, why), STATUS_OK);
}

static void end(void)
{
    http_stop(server);
    metrics_destroy(metrics);
    health_fini(&health);
}

Test(http, readyz_follows_health_and_says_why, .init = begin, .fini = end)
{
    char text[4096];
    health_set(&health, HEALTH_STARTING, "waiting for controllers");
    ask(http_port(server), GET("/readyz"), text, sizeof text);
    cr_assert_not_null(strstr(text, "503"));
    cr_assert_not_null(strstr(text, "starting: waiting for controllers\n"));
    ask(http_port(server), GET("/livez"), text, sizeof text);
    cr_assert_not_null(strstr(text, "200 OK"));
    health_set(&health, HEALTH_READY, "%s", "");
    ask(http_port(server), GET("/readyz"), text, sizeof text);
    cr_assert_not_null(strstr(text, "200 OK"));
    health_set(&health, HEALTH_FAILED, "disk 1 failed to sync");
    ask(http_port(server), GET("/livez"), text, sizeof text);
    cr_assert_not_null(strstr(text, "503"));
}

Test(http, metrics_come_with_those_of_the_process, .init = begin, .fini = end)
{
    char text[16384];
    metrics_count(metrics_counter(metrics, "trillium_calls_total", "", "Calls."), 9);
    ask(http_port(server), GET("/metrics"), text, sizeof text);
    cr_assert_not_null(strstr(text, "trillium_calls_total 9\n"));
    cr_assert_not_null(strstr(text, "process_cpu_seconds_total "));
    cr_assert_not_null(strstr(text, "process_resident_memory_bytes "));
}

Test(http, other_paths_and_methods_are_refused, .init = begin, .fini = end)
{
    char text[4096];
    ask(http_port(server), GET("/"), text, sizeof text);
    cr_assert_not_null(strstr(text, "404"));
    ask(http_port(server), "DELETE /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", text, sizeof text);
    cr_assert_not_null(strstr(text, "405"));
}

Test(http, a_port_in_use_and_a_bad_address_are_told, .init = begin, .fini = end)
{
    char why[200] = "";
    struct http *second = NULL;
    struct http_options options = {"127.0.0.1", http_port(server), metrics, &health};
    cr_assert_eq(http_start(&options, &second, why), STATUS_IO);
    cr_assert_not_null(strstr(why, "127.0.0.1:"));
    options.address = "localhost";
    cr_assert_eq(http_start(&options, &second, why), STATUS_BAD_REQUEST);
    cr_assert_str_eq(why, "'localhost' is not an IP address");
}
