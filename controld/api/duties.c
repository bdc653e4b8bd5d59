#include "controld/api/duties.h"

#include "common/base/check.h"
#include "controld/catalog/placement.h"

enum { LOOK_MS = 1000, REPLICATION_AT_BIRTH = 3 };

static unsigned serving_nodes(const struct catalog *catalog)
{
    unsigned count = 0;
    for (unsigned i = 0; i < catalog->nodes.count; i++)
        count += catalog->nodes.items[i].state == NODE_SERVING;
    return count;
}

bool duties_next(const struct catalog *catalog, unsigned bootstrap_nodes, int64_t now_us, struct command *out)
{
    struct table_id chat = {CHAT_MESSAGES_ID};
    *out = (struct command){.stamp_us = now_us};
    if (!catalog_table(catalog, chat)) {
        out->kind = COMMAND_TABLE;
        out->table = CHAT_MESSAGES;
        return true;
    }
    unsigned nodes = serving_nodes(catalog);
    if (catalog->ranges_count == 0 && nodes > 0 && nodes >= bootstrap_nodes) {
        out->kind = COMMAND_PLACE;
        placement_first(catalog, chat, RANGES_AT_BIRTH, REPLICATION_AT_BIRTH, &out->place);
        return true;
    }
    for (unsigned i = 0; i < catalog->imports_count; i++) {
        const struct catalog_import *import = &catalog->imports[i];
        if (import->deadline_us >= now_us) continue;
        out->kind = COMMAND_IMPORT_EXPIRE;
        out->import =
            (struct command_import){.import = import->id, .table = import->table, .deadline_us = import->deadline_us};
        return true;
    }
    return false;
}

static void proposal_done(struct proposal *proposal, enum status status, const struct catalog_answer *answer)
{
    (void)answer;
    struct duties *duties = CONTAINER_OF(proposal, struct duties, proposal);
    duties->underway = false;
    if (status != STATUS_OK) LOG(reactor_log(duties->reactor), WARN, "duty.failed", "status=%s", status_name(status));
    /* Not at once: this is called while entries are being applied. */
    if (duties->leading) timer_start_in(&duties->timer, 0);
}

static void look(struct timer *timer)
{
    struct duties *duties = CONTAINER_OF(timer, struct duties, timer);
    if (!duties->leading || duties->underway) return;
    struct command command;
    if (duties_next(duties->catalog, duties->bootstrap_nodes, reactor_wall_us(duties->reactor), &command)) {
        duties->proposal.done = proposal_done;
        enum status status = proposals_make(duties->proposals, &command, &duties->proposal);
        duties->underway = status == STATUS_OK;
        LOG(reactor_log(duties->reactor), INFO, "duty.propose", "what=%s status=%s", command_kind_name(command.kind),
            status_name(status));
    }
    timer_start_in(timer, (uint64_t)LOOK_MS * 1000000);
}

void duties_init(struct duties *duties, struct reactor *reactor, const struct catalog *catalog,
    struct proposals *proposals, unsigned bootstrap_nodes)
{
    *duties = (struct duties){
        .reactor = reactor, .catalog = catalog, .proposals = proposals, .bootstrap_nodes = bootstrap_nodes};
    timer_init(&duties->timer, reactor, look);
}

void duties_lead(struct duties *duties, bool leading)
{
    duties->leading = leading;
    if (leading)
        timer_start_in(&duties->timer, 0);
    else
        timer_stop(&duties->timer);
}

void duties_look(struct duties *duties)
{
    if (duties->leading && !duties->underway) timer_start_in(&duties->timer, 0);
}
