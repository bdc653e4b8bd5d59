#include "routerd/coalesce/coalesce.h"

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"

/* All flights whose keys share a hash; a handful at most. */
struct chain {
    struct list flights;
};

_Static_assert(sizeof(struct flight_key) == 32, "no padding in the key");

static void depart_all(struct task *task);

void coalesce_init(struct coalesce *coalesce, struct reactor *reactor,
    void (*depart)(void *context, struct flight *flight), void *context)
{
    *coalesce = (struct coalesce){.reactor = reactor, .depart = depart, .context = context};
    list_init(&coalesce->departing);
    task_init(&coalesce->departures, depart_all);
}

void coalesce_fini(struct coalesce *coalesce)
{
    CHECK(coalesce->chains.count == 0);
    task_cancel(&coalesce->departures);
    map_free(&coalesce->chains);
}

static uint64_t key_hash(const struct flight_key *key)
{
    return hash64(key, sizeof *key, 0);
}

static bool key_equal(const struct flight_key *a, const struct flight_key *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static struct flight *find(struct chain *chain, const struct flight_key *key, bool flying)
{
    LIST_FOR_EACH (link, &chain->flights) {
        struct flight *flight = CONTAINER_OF(link, struct flight, link);
        if (flight->flying == flying && key_equal(&flight->key, key)) return flight;
    }
    return NULL;
}

static struct chain *chain_of(struct coalesce *coalesce, const struct flight_key *key)
{
    uint64_t hash = key_hash(key);
    struct chain *chain = map_get(&coalesce->chains, hash);
    if (chain) return chain;
    chain = mem_alloc(sizeof *chain);
    list_init(&chain->flights);
    map_put(&coalesce->chains, hash, chain);
    return chain;
}

static void depart_all(struct task *task)
{
    struct coalesce *coalesce = CONTAINER_OF(task, struct coalesce, departures);
    struct list *link;
    while ((link = list_pop_front(&coalesce->departing))) {
        struct flight *flight = CONTAINER_OF(link, struct flight, departure);
        CHECK(!flight->flying && !find(chain_of(coalesce, &flight->key), &flight->key, true));
        flight->flying = true;
        coalesce->flights++;
        coalesce->depart(coalesce->context, flight);
    }
}

/* The flight departs later in this turn; until then it may be boarded. */
static void announce(struct flight *flight)
{
    list_push_back(&flight->coalesce->departing, &flight->departure);
    reactor_defer(flight->coalesce->reactor, &flight->coalesce->departures);
}

void coalesce_board(struct coalesce *coalesce, const struct flight_key *key, struct passenger *passenger)
{
    struct chain *chain = chain_of(coalesce, key);
    struct flight *flight = find(chain, key, false);
    if (PLANT(stale_boarding) && find(chain, key, true)) flight = find(chain, key, true);
    if (!flight) {
        flight = mem_zalloc(sizeof *flight);
        flight->key = *key;
        flight->trace = passenger->trace;
        flight->coalesce = coalesce;
        list_init(&flight->passengers);
        list_init(&flight->departure);
        list_push_back(&chain->flights, &flight->link);
        if (!find(chain, key, true)) announce(flight);
    } else {
        coalesce->joined++;
    }
    flight->boarded++;
    passenger->flight = flight;
    list_push_back(&flight->passengers, &passenger->link);
}

void coalesce_leave(struct passenger *passenger)
{
    if (!passenger->flight) return;
    list_remove(&passenger->link);
    passenger->flight = NULL;
}

void coalesce_land(struct flight *flight, enum status status, struct bytes page, bool more)
{
    CHECK(flight->flying);
    struct coalesce *coalesce = flight->coalesce;
    struct chain *chain = chain_of(coalesce, &flight->key);
    list_remove(&flight->link);
    struct flight *next = find(chain, &flight->key, false);
    if (next) {
        announce(next);
    } else if (list_is_empty(&chain->flights)) {
        map_remove(&coalesce->chains, key_hash(&flight->key));
        mem_free(chain);
    }
    struct list *link;
    while ((link = list_pop_front(&flight->passengers))) {
        struct passenger *passenger = CONTAINER_OF(link, struct passenger, link);
        passenger->flight = NULL;
        passenger->flight_trace = flight->trace;
        passenger->landed(passenger, status, page, more);
    }
    mem_free(flight);
}
