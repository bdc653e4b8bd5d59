#include "msgctl/pages.h"

#include "common/base/limits.h"
#include "common/base/mem.h"

static void append(struct pages *pages, const struct trillium_page *page)
{
    pages->held = mem_realloc(pages->held, (pages->held_count + 1) * sizeof *pages->held);
    pages->held[pages->held_count++] = *page;
    size_t need = pages->count + page->count;
    if (need > pages->capacity) {
        pages->capacity = need * 2;
        pages->messages = mem_realloc((void *)pages->messages, pages->capacity * sizeof *pages->messages);
    }
    for (size_t i = 0; i < page->count; i++)
        pages->messages[pages->count++] = &page->messages[i];
}

static void turn_round(struct pages *pages, size_t from)
{
    for (size_t a = from, b = pages->count; a + 1 < b; a++) {
        const struct trillium_message *message = pages->messages[a];
        pages->messages[a] = pages->messages[--b];
        pages->messages[b] = message;
    }
}

/* Upwards or downwards from where the query begins, limit messages. */
static int walk(struct trillium *trillium, struct trillium_query query, unsigned limit, struct pages *out)
{
    bool up = query.bound == TRILLIUM_OLDEST || query.bound == TRILLIUM_AFTER;
    query.oldest_first = up;
    out->more = limit == 0;
    while (limit > 0) {
        struct trillium_page page = {0};
        query.limit = limit < PAGE_ROWS_MAX ? limit : PAGE_ROWS_MAX;
        int status = trillium_list(trillium, &query, &page);
        if (trillium_class_of(status) != TRILLIUM_DONE) return status;
        append(out, &page);
        out->more = page.more;
        if (page.count == 0 || !page.more) break;
        limit -= page.count < limit ? (unsigned)page.count : limit;
        query.bound = up ? TRILLIUM_AFTER : TRILLIUM_BEFORE;
        query.message_id = page.messages[page.count - 1].message_id;
    }
    return TRILLIUM_OK;
}

static int collect_around(struct trillium *trillium, const struct trillium_query *query, struct pages *out)
{
    unsigned newer = (query->limit - 1) / 2;
    struct trillium_query part = *query;
    part.bound = TRILLIUM_AFTER;
    int status = newer > 0 ? walk(trillium, part, newer, out) : TRILLIUM_OK;
    turn_round(out, 0);
    if (status != TRILLIUM_OK) return status;
    /* The id itself and what is older; there is nothing newer than the largest id. */
    part.bound = query->message_id == UINT64_MAX ? TRILLIUM_NEWEST : TRILLIUM_BEFORE;
    part.message_id = query->message_id + 1;
    return walk(trillium, part, query->limit - newer, out);
}

int pages_collect(struct trillium *trillium, const struct trillium_query *query, struct pages *out)
{
    int status;
    *out = (struct pages){0};
    struct trillium_query first = *query;
    if (first.bound == TRILLIUM_NEWEST && first.oldest_first) first.bound = TRILLIUM_OLDEST;
    if (first.bound == TRILLIUM_AROUND)
        status = collect_around(trillium, &first, out);
    else
        status = walk(trillium, first, first.limit, out);
    bool ascending = first.bound == TRILLIUM_OLDEST || first.bound == TRILLIUM_AFTER;
    bool wanted = first.bound == TRILLIUM_OLDEST || first.oldest_first;
    if (ascending != wanted) turn_round(out, 0);
    return status;
}

void pages_free(struct pages *pages)
{
    for (size_t i = 0; i < pages->held_count; i++)
        trillium_page_free(&pages->held[i]);
    mem_free(pages->held);
    mem_free((void *)pages->messages);
    *pages = (struct pages){0};
}
