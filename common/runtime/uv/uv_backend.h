/*
 * uv_backend: a reactor on libuv: the loop waits and is woken, libuv's thread pool carries out disk requests. For
 * controld, routerd, clients, and noded where io_uring is forbidden.
 * Threads: as backend.h says.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_UV_UV_BACKEND_H
#define TRILLIUM_COMMON_RUNTIME_UV_UV_BACKEND_H

struct backend;
struct reactor;

/* Disk requests act below the directory root_fd (-1: the reactor does none), which stays open as long as the backend.
 */
struct backend *uv_backend_create(struct reactor *reactor, int root_fd);

#endif
