#include "common/obs/http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/obs/http/process.h"

struct http {
    struct MHD_Daemon *daemon;
    struct metrics *metrics;
    struct health *health;
    uint16_t port;
};

struct answer {
    unsigned code;
    const char *type;
    struct buffer body;
};

static void say(struct answer *answer, const char *text)
{
    buffer_append(&answer->body, text, strlen(text));
}

static void health_answer(struct http *http, bool ready_wanted, struct answer *answer)
{
    char reason[HEALTH_REASON_BYTES];
    enum health_state state = health_get(http->health, reason);
    bool good = ready_wanted ? state == HEALTH_READY : state != HEALTH_FAILED;
    answer->code = good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    say(answer, health_name(state));
    if (reason[0] != 0) say(answer, ": ");
    say(answer, reason);
    say(answer, "\n");
}

static void answer_fill(struct http *http, const char *url, struct answer *answer)
{
    if (strcmp(url, "/metrics") == 0) {
        answer->type = "text/plain; version=0.0.4; charset=utf-8";
        metrics_render(http->metrics, &answer->body);
        process_render(&answer->body);
    } else if (strcmp(url, "/livez") == 0) {
        health_answer(http, false, answer);
    } else if (strcmp(url, "/readyz") == 0) {
        health_answer(http, true, answer);
    } else {
        answer->code = MHD_HTTP_NOT_FOUND;
        say(answer, "not here: try /metrics, /livez or /readyz\n");
    }
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *upload, size_t *upload_size, void **request)
{
    (void)version, (void)upload, (void)upload_size, (void)request;
    struct answer answer = {MHD_HTTP_OK, "text/plain; charset=utf-8", {0}};
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        answer.code = MHD_HTTP_METHOD_NOT_ALLOWED;
        say(&answer, "only GET and HEAD\n");
    } else {
        answer_fill(context, url, &answer);
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer.body.size, answer.body.data, MHD_RESPMEM_MUST_COPY);
    buffer_free(&answer.body);
    if (response == NULL) return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.type);
    enum MHD_Result result = MHD_queue_response(connection, answer.code, response);
    MHD_destroy_response(response);
    return result;
}

/* Parses an IPv4 or IPv6 address; false when it is neither. */
static bool address_of(const struct http_options *options, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    if (inet_pton(AF_INET, options->address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(options->port);
        return true;
    }
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET6, options->address, &six->sin6_addr) != 1) return false;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(options->port);
    return true;
}

enum status http_start(const struct http_options *options, struct http **out, char why[200])
{
    struct sockaddr_storage address;
    if (!address_of(options, &address)) {
        snprintf(why, 200, "'%s' is not an IP address", options->address);
        return STATUS_BAD_REQUEST;
    }
    struct http *http = mem_zalloc(sizeof *http);
    http->metrics = options->metrics;
    http->health = options->health;
    unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD | (address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0u);
    errno = 0;
    http->daemon = MHD_start_daemon(flags, options->port, NULL, NULL, on_request, http, MHD_OPTION_SOCK_ADDR, &address,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HTTP_IDLE_S, MHD_OPTION_END);
    if (http->daemon == NULL) {
        snprintf(why, 200, "%.100s:%u: %s", options->address, options->port,
            errno != 0 ? strerror(errno) : "the http server did not start");
        mem_free(http);
        return STATUS_IO;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    http->port = info != NULL && info->port != 0 ? info->port : options->port;
    *out = http;
    return STATUS_OK;
}

uint16_t http_port(const struct http *http)
{
    return http->port;
}

void http_stop(struct http *http)
{
    if (http == NULL) return;
    MHD_stop_daemon(http->daemon);
    mem_free(http);
}
