/* ids: calls about ids and places; what the worker needs of them: parked RING calls. */
#ifndef TRILLIUM_ROUTERD_API_IDS_H
#define TRILLIUM_ROUTERD_API_IDS_H

#include <stdbool.h>

struct worker;

/* Answers the calls that are parked: all (a new view, a stop), or those that have waited for 20 s. */
void ids_answer_ring_waiters(struct worker *worker, bool all);

#endif
