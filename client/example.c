/*
 * The smallest whole program on libtrillium: sends three messages, edits one, deletes one, prints the channel.
 *   cc example.c $(pkg-config --cflags --libs trillium) && ./a.out 127.0.3.1 42
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <trillium.h>

static int check(int status, const char *what)
{
    if (trillium_class_of(status) == TRILLIUM_DONE) return 0;
    fprintf(stderr, "%s: %s\n", what, trillium_status_text(status));
    exit(1);
}

int main(int argc, char **argv)
{
    char error[256];
    struct trillium_options options = {.routers = argc > 1 ? argv[1] : "127.0.3.1"};
    uint64_t channel = argc > 2 ? strtoull(argv[2], NULL, 10) : 42;
    struct trillium *trillium = trillium_open(&options, error, sizeof error);
    if (!trillium) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    static const char *const texts[] = {"hello", "how are you?", "oops"};
    struct trillium_ref sent[3];
    for (int i = 0; i < 3; i++) {
        struct trillium_message message = {
            .channel_id = channel, .author_id = 7, .content = {texts[i], strlen(texts[i])}};
        check(trillium_send(trillium, &message, TRILLIUM_QUORUM), "send");
        sent[i] = (struct trillium_ref){channel, message.message_id, TRILLIUM_QUORUM};
    }
    check(trillium_edit(trillium, &sent[1], (struct trillium_bytes){"how are you today?", 18}), "edit");
    check(trillium_delete(trillium, &sent[2]), "delete");
    struct trillium_page page;
    struct trillium_query query = {.channel_id = channel, .bound = TRILLIUM_NEWEST, .limit = 50};
    check(trillium_list(trillium, &query, &page), "list");
    for (size_t i = 0; i < page.count; i++)
        printf("%llu %.*s\n", (unsigned long long)page.messages[i].message_id, (int)page.messages[i].content.size,
            (const char *)page.messages[i].content.data);
    trillium_page_free(&page);
    trillium_close(trillium);
    return 0;
}
