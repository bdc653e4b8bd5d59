/* cursor: what store.c needs of cursors beyond lsm.h. Private to noded/lsm. */
#ifndef TRILLIUM_NODED_LSM_CURSOR_H
#define TRILLIUM_NODED_LSM_CURSOR_H

struct lsm_store;

/* Frees the closed cursors that were kept for reuse. */
void cursor_pool_free(struct lsm_store *store);

#endif
