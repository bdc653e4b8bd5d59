/*
 * sim_tree: files and directories of a simulated disk as two states, *now* (what reads see: the page cache) and
 * *durable* (what a power cut leaves), with the list of changes that lie between them. It knows no requests, latencies
 * or faults: sim_disk.h does.
 *
 * A change becomes durable when a sync covers it. At a power cut each remaining change meets a fate of its own, in the
 * order in which the changes were made.
 */
#ifndef TRILLIUM_TESTS_SIM_SIM_TREE_H
#define TRILLIUM_TESTS_SIM_SIM_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/base/prng.h"

enum { SIM_PAGE_BYTES = 4096, SIM_SECTOR_BYTES = 512 };

struct sim_page;
struct sim_inode;

/* A file's contents in one of the two states. */
struct sim_image {
    struct sim_page **pages; /* NULL: a hole of zeros */
    uint32_t pages_count;
    uint64_t size;
};

struct sim_name {
    char *name;
    struct sim_inode *inode;
};

/* A directory's names in one of the two states, sorted. */
struct sim_names {
    struct sim_name *names;
    uint32_t count, capacity;
};

struct sim_inode {
    uint64_t number;
    uint32_t refs; /* names in either state, changes, open files */
    bool is_directory;
    struct sim_image now, durable;
    uint32_t pages_now; /* allocated pages of now */
    struct sim_names names_now, names_durable;
    struct list changes; /* of contents, oldest first */
};

enum sim_change_kind {
    SIM_CHANGE_WRITE,  /* of data at offset */
    SIM_CHANGE_SIZE,   /* size becomes offset (truncate) or at least offset (preallocate) */
    SIM_CHANGE_ADD,    /* name in directory is inode */
    SIM_CHANGE_REMOVE, /* name in directory is gone */
    SIM_CHANGE_RENAME, /* name in directory becomes name2 in directory2, atomically */
};

/* A change that no sync has covered yet. */
struct sim_change {
    struct list link;
    enum sim_change_kind kind;
    uint64_t order; /* of all changes of the tree */
    struct sim_inode *inode;
    uint64_t offset;
    uint32_t size;
    bool grows; /* SIM_CHANGE_SIZE: never shrinks */
    uint8_t *data;
    struct sim_inode *directory, *directory2;
    char *name, *name2;
};

/* What a power cut does to one change. Names only KEEP or DROP. */
enum sim_fate {
    SIM_KEEP,
    SIM_DROP,
    SIM_TEAR,   /* a drawn subset of its sectors */
    SIM_GARBLE, /* sectors with drawn contents */
    SIM_ZERO,   /* its length without its data, where the file grew */
};

struct sim_tree {
    struct sim_inode *root;
    struct list changes; /* of names, oldest first */
    uint64_t order;      /* of the newest change */
    uint64_t inodes;     /* made so far */
    uint64_t pages_now;  /* allocated by files that are named or open */
};

void sim_tree_init(struct sim_tree *tree);
void sim_tree_fini(struct sim_tree *tree);
/* A copy of both states and of the changes; pages are shared until written. copy is uninitialised memory. */
void sim_tree_clone(struct sim_tree *copy, const struct sim_tree *tree);

/* Finds the inode of a path, or NULL. "" is the root. Absolute paths and ".." fail a CHECK. */
struct sim_inode *sim_tree_find(const struct sim_tree *tree, const char *path);
/* The directory of a path and the name in it, or NULL when a directory on the way is missing. */
struct sim_inode *sim_tree_parent(const struct sim_tree *tree, const char *path, const char **name);
struct sim_inode *sim_names_get(const struct sim_names *names, const char *name);

struct sim_inode *sim_tree_make(
    struct sim_tree *tree, struct sim_inode *directory, const char *name, bool is_directory);
void sim_tree_link(struct sim_tree *tree, struct sim_inode *inode, struct sim_inode *directory, const char *name);
void sim_tree_unlink(struct sim_tree *tree, struct sim_inode *directory, const char *name);
void sim_tree_rename(
    struct sim_tree *tree, struct sim_inode *from, const char *name, struct sim_inode *to, const char *name2);
void sim_inode_hold(struct sim_inode *inode);
void sim_inode_release(struct sim_tree *tree, struct sim_inode *inode);

/* Contents of the now state. */
uint32_t sim_inode_read(const struct sim_inode *inode, void *data, uint32_t size, uint64_t offset);
void sim_inode_write(struct sim_tree *tree, struct sim_inode *inode, const void *data, uint32_t size, uint64_t offset);
void sim_inode_resize(struct sim_tree *tree, struct sim_inode *inode, uint64_t size, bool grow_only);
/* Pages that a write of this range, or preallocating up to its end, would newly take. */
uint64_t sim_inode_pages_needed(const struct sim_inode *inode, uint64_t offset, uint64_t size);

/* Makes changes up to order durable. */
void sim_inode_sync(struct sim_tree *tree, struct sim_inode *inode, uint64_t order);
void sim_directory_sync(struct sim_tree *tree, struct sim_inode *directory, uint64_t order);
/* As above for the newest write only, with all older changes of the file that it overlaps (a synchronous write). */
void sim_inode_sync_newest(struct sim_tree *tree, struct sim_inode *inode);
/* Forgets changes up to order without making them durable: each is lost with the given chance, else made durable. */
void sim_inode_sync_lost(struct sim_tree *tree, struct sim_inode *inode, uint64_t order, struct prng *prng);

/* A power cut: choose gives the fate of each change; then now becomes what is durable, and what no name leads to is
   gone. Open files must have been released. */
void sim_tree_crash(struct sim_tree *tree, enum sim_fate (*choose)(void *context, const struct sim_change *change),
    void *context, struct prng *prng);
uint32_t sim_tree_changes(const struct sim_tree *tree);

/* Flips bits in both states (damage at rest). */
void sim_inode_damage(struct sim_inode *inode, uint64_t offset, uint8_t mask);

#endif
