/* posix_env: the system's clocks and entropy, for the envs of real processes. Any thread. */
#ifndef TRILLIUM_COMMON_RUNTIME_POSIX_POSIX_ENV_H
#define TRILLIUM_COMMON_RUNTIME_POSIX_POSIX_ENV_H

#include <stddef.h>
#include <stdint.h>

struct env;

/* They fit struct env_ops; env is not used. */
uint64_t posix_mono_ns(struct env *env);
int64_t posix_wall_us(struct env *env);
void posix_entropy(struct env *env, void *out, size_t size);

#endif
