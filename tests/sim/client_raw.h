/* client_raw: a client that speaks the client conversation over rpc itself: ids by Reserve, edits stamped on the
   router's clock, retries of the same write. What a careful client without libtrillium does. */
#ifndef TRILLIUM_TESTS_SIM_CLIENT_RAW_H
#define TRILLIUM_TESTS_SIM_CLIENT_RAW_H

#include "tests/sim/client_ops.h"

extern const struct sim_client_ops CLIENT_RAW;

#endif
