/*
 * process: what the operating system says about this process, as Prometheus text: CPU time, resident memory, open
 * files, start time. Read at each scrape; any thread.
 */
#ifndef TRILLIUM_COMMON_OBS_HTTP_PROCESS_H
#define TRILLIUM_COMMON_OBS_HTTP_PROCESS_H

#include "common/base/bytes.h"

/* Appends to out; a figure that cannot be read is left out. */
void process_render(struct buffer *out);

#endif
