/* meta_memory: a meta_store in memory. Nothing survives its destruction; a commit is "durable" when it returns. */
#ifndef TRILLIUM_CONTROLD_STORE_META_MEMORY_H
#define TRILLIUM_CONTROLD_STORE_META_MEMORY_H

#include "controld/store/meta_store.h"

struct meta_store *meta_memory_create(void);

#endif
