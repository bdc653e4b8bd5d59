/*
 * env_real: the env of a real process: the system's clocks and entropy, a data directory, io_uring or libuv, and a
 * death that is logged. The simulator's counterpart is in tests/sim.
 * Threads: made and closed on the main thread; the env itself from any.
 */
#ifndef TRILLIUM_COMMON_DAEMON_ENV_REAL_H
#define TRILLIUM_COMMON_DAEMON_ENV_REAL_H

#include "common/base/status.h"
#include "common/runtime/identity.h"
#include "common/runtime/env.h"

enum env_backend { ENV_BACKEND_AUTO, ENV_BACKEND_URING, ENV_BACKEND_UV };
enum { ENV_WHY_BYTES = 512 };

struct env_real;

struct env_real_options {
    const char *name;      /* "node1"; lives as long as the env */
    const char *directory; /* the data directory, made when missing; NULL: the daemon keeps no files; lives as long */
    enum env_backend backend;
    struct log *log; /* may be NULL */
};

/*
 * Opens the data directory and locks it for this process; nothing in it changes yet. Failures come with a sentence in
 * why: CONFLICT (another process uses the directory), DENIED (io_uring was demanded and is not to be had), NO_SPACE,
 * IO.
 */
MUST_CHECK enum status env_real_open(
    const struct env_real_options *options, struct env_real **out, char why[ENV_WHY_BYTES]);
/* Whose directory it is, before anything of the daemon touches it. NOT_FOUND: nobody's yet; CONFLICT: another
   cluster's, or a newer program's; CORRUPT, IO. why has a sentence. */
MUST_CHECK enum status env_real_identity(
    struct env_real *real, const struct uuid *cluster, struct identity *out, char why[ENV_WHY_BYTES]);
/* Writes this process's number into the lock, for the message to whoever comes second. NO_SPACE, IO with a sentence. */
MUST_CHECK enum status env_real_sign(struct env_real *real, char why[ENV_WHY_BYTES]);
/* False: less than so many bytes are free in the data directory. */
bool env_real_has_space(const struct env_real *real, uint64_t bytes);
/* The sentence for NO_SPACE: which directory, how much is free, what to do. env_die says it by itself. */
void env_real_space(const struct env_real *real, char out[ENV_WHY_BYTES]);
/* All reactors are destroyed. Unlocks the directory. */
void env_real_close(struct env_real *real);
/* Its net is NULL until the owner sets it. */
struct env *env_real_env(struct env_real *real);

/* Which backend was chosen, and, when AUTO had to take libuv, why ("" otherwise). */
enum env_backend env_real_backend(const struct env_real *real);
const char *env_real_backend_why(const struct env_real *real);

#endif
