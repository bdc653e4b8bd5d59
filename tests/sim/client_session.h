/* client_session: a client on libtrillium's core (client/session.h), which retries, follows the router ring and makes
   ids under a lease by itself. */
#ifndef TRILLIUM_TESTS_SIM_CLIENT_SESSION_H
#define TRILLIUM_TESTS_SIM_CLIENT_SESSION_H

#include "tests/sim/client_ops.h"

extern const struct sim_client_ops CLIENT_SESSION;

#endif
