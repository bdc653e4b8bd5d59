/* page_cutter: a large raw page, cut into pages that fit into one log record each. */
#ifndef TRILLIUM_NODED_REPLICA_PAGE_CUTTER_H
#define TRILLIUM_NODED_REPLICA_PAGE_CUTTER_H

#include "common/model/page.h"
#include "noded/replica/record.h"

/* Largest page in one log record; larger ones are cut. */
enum { PAGE_RECORD_BYTES = 128 << 10 };

struct page_cutter {
    struct page_reader reader;
    struct page_builder piece;
};

/* The page was checked (replica_check_page) and outlives the cutter. */
void page_cutter_init(struct page_cutter *cutter, struct bytes page);
/* Sets body, lo and hi of the record to the next piece, which lives until the next call; false when nothing is left. */
bool page_cutter_next(struct page_cutter *cutter, struct record *record);
void page_cutter_fini(struct page_cutter *cutter);

#endif
