#include "controld/api/proposals.h"

#include "common/base/check.h"

void proposals_init(struct proposals *proposals, struct member *member)
{
    *proposals = (struct proposals){.member = member};
    list_init(&proposals->waiting);
}

enum status proposals_make(struct proposals *proposals, const struct command *command, struct proposal *proposal)
{
    if (proposals->count == PROPOSALS_MAX) return STATUS_BUSY;
    struct buffer payload = {0};
    command_encode(command, &payload);
    CHECK(payload.size <= COMMAND_BYTES_MAX);
    enum status status = member_propose(proposals->member, buffer_bytes(&payload), &proposal->index, &proposal->term);
    buffer_free(&payload);
    if (status != STATUS_OK) return status;
    list_push_back(&proposals->waiting, &proposal->link);
    proposals->count++;
    proposals->made++;
    return STATUS_OK;
}

static void finish(
    struct proposals *proposals, struct proposal *proposal, enum status status, const struct catalog_answer *answer)
{
    list_remove(&proposal->link);
    proposals->count--;
    proposals->lost += answer == NULL;
    proposal->done(proposal, status, answer);
}

void proposals_applied(struct proposals *proposals, uint64_t index, uint64_t term, const struct catalog_answer *answer)
{
    while (!list_is_empty(&proposals->waiting)) {
        struct proposal *proposal = CONTAINER_OF(proposals->waiting.next, struct proposal, link);
        if (proposal->index > index) return;
        if (proposal->index == index && proposal->term == term && answer)
            finish(proposals, proposal, answer->status, answer);
        else if (proposal->index == index)
            finish(proposals, proposal, STATUS_NOT_OWNER, NULL); /* another entry took its place: it had no effect */
        else
            finish(proposals, proposal, STATUS_LOST, NULL);
    }
}

void proposals_lose(struct proposals *proposals, uint64_t term)
{
    LIST_FOR_EACH (link, &proposals->waiting) {
        struct proposal *proposal = CONTAINER_OF(link, struct proposal, link);
        if (term == 0 || proposal->term != term) finish(proposals, proposal, STATUS_LOST, NULL);
    }
}
