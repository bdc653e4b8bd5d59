#include "noded/api/sight.h"

#include "noded/api/node.h"

bool noded_sight(const struct noded *noded, struct noded_sight *out)
{
    if (!noded->serving || atomic_load(&noded->stop_asked)) return false;
    *out = (struct noded_sight){0};
    for (unsigned i = 0; i < noded->shards; i++) {
        const struct seat *seat = &noded->seats[i];
        rpc_sight(seat->face.rpc, &out->rpc);
        out->parked += seat->face.space_calls.count;
        out->changes += seat->shard->changes_open;
        out->fibers += seat->shard->lookups + seat->face.fibers;
        size_t position = 0;
        for (struct replica *replica; (replica = map_next(&seat->shard->replicas, &position, NULL));) {
            out->cursors += lsm_cursors(replica->lsm);
            out->lapsed += replica->health != REPLICA_WHOLE;
        }
    }
    return true;
}

void noded_visit_files(const struct noded *noded,
    void (*visit)(void *context, uint64_t range, uint64_t file, bool changing), void *context)
{
    if (!noded->serving || atomic_load(&noded->stop_asked)) return;
    for (unsigned i = 0; i < noded->shards; i++) {
        size_t position = 0;
        for (struct replica *replica; (replica = map_next(&noded->seats[i].shard->replicas, &position, NULL));) {
            uint64_t file;
            bool changing;
            for (uint32_t n = 0; lsm_file(replica->lsm, n, &file, &changing); n++)
                visit(context, replica->id.value, file, changing);
        }
    }
}
