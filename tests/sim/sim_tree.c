#include "tests/sim/sim_tree.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/map.h"
#include "tests/sim/sim_mem.h"

struct sim_page {
    uint32_t refs;
    uint8_t data[SIM_PAGE_BYTES];
};

/* Pages and images. */

static void page_release(struct sim_page *page)
{
    if (page && --page->refs == 0) mem_free(page);
}

/* The page of an image, private to it and so writable. */
static struct sim_page *page_writable(struct sim_image *image, uint64_t index)
{
    if (index >= image->pages_count) {
        uint32_t count = image->pages_count ? image->pages_count : 4;
        while (count <= index)
            count *= 2;
        image->pages = sim_realloc(image->pages, count * sizeof *image->pages);
        memset(image->pages + image->pages_count, 0, (count - image->pages_count) * sizeof *image->pages);
        image->pages_count = count;
    }
    struct sim_page *page = image->pages[index];
    if (page && page->refs == 1) return page;
    struct sim_page *fresh = sim_alloc(sizeof *fresh);
    fresh->refs = 1;
    if (page) memcpy(fresh->data, page->data, SIM_PAGE_BYTES);
    page_release(page);
    image->pages[index] = fresh;
    return fresh;
}

static void image_write(struct sim_image *image, const uint8_t *data, uint64_t size, uint64_t offset)
{
    if (offset + size > image->size) image->size = offset + size;
    while (size) {
        uint64_t at = offset % SIM_PAGE_BYTES, part = SIM_PAGE_BYTES - at < size ? SIM_PAGE_BYTES - at : size;
        memcpy(page_writable(image, offset / SIM_PAGE_BYTES)->data + at, data, part);
        data += part;
        offset += part;
        size -= part;
    }
}

static void image_resize(struct sim_image *image, uint64_t size)
{
    if (size < image->size) {
        uint64_t keep = (size + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES;
        for (uint64_t i = keep; i < image->pages_count; i++) {
            page_release(image->pages[i]);
            image->pages[i] = NULL;
        }
        uint64_t at = size % SIM_PAGE_BYTES;
        if (at && keep <= image->pages_count && image->pages[keep - 1])
            memset(page_writable(image, keep - 1)->data + at, 0, SIM_PAGE_BYTES - at);
    }
    image->size = size;
}

static void image_clear(struct sim_image *image)
{
    for (uint32_t i = 0; i < image->pages_count; i++)
        page_release(image->pages[i]);
    mem_free(image->pages);
    *image = (struct sim_image){0};
}

static struct sim_image image_share(const struct sim_image *image)
{
    struct sim_image copy = *image;
    copy.pages = sim_alloc(image->pages_count * sizeof *copy.pages);
    for (uint32_t i = 0; i < image->pages_count; i++) {
        copy.pages[i] = image->pages[i];
        if (copy.pages[i]) copy.pages[i]->refs++;
    }
    return copy;
}

static uint32_t image_pages(const struct sim_image *image)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < image->pages_count; i++)
        count += image->pages[i] != NULL;
    return count;
}

/* Names. */

/* Position of a name, or where it belongs. */
static uint32_t names_position(const struct sim_names *names, const char *name)
{
    uint32_t low = 0, high = names->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (strcmp(names->names[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct sim_inode *sim_names_get(const struct sim_names *names, const char *name)
{
    uint32_t at = names_position(names, name);
    return at < names->count && strcmp(names->names[at].name, name) == 0 ? names->names[at].inode : NULL;
}

static void names_remove(struct sim_tree *tree, struct sim_names *names, const char *name)
{
    uint32_t at = names_position(names, name);
    if (at >= names->count || strcmp(names->names[at].name, name) != 0) return;
    struct sim_inode *inode = names->names[at].inode;
    mem_free(names->names[at].name);
    memmove(names->names + at, names->names + at + 1, (names->count - at - 1) * sizeof *names->names);
    names->count--;
    sim_inode_release(tree, inode);
}

static void names_put(struct sim_tree *tree, struct sim_names *names, const char *name, struct sim_inode *inode)
{
    sim_inode_hold(inode);
    names_remove(tree, names, name);
    uint32_t at = names_position(names, name);
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? names->capacity * 2 : 8;
        names->names = sim_realloc(names->names, names->capacity * sizeof *names->names);
    }
    memmove(names->names + at + 1, names->names + at, (names->count - at) * sizeof *names->names);
    names->names[at] = (struct sim_name){sim_strdup(name), inode};
    names->count++;
}

static void names_clear(struct sim_tree *tree, struct sim_names *names)
{
    while (names->count)
        names_remove(tree, names, names->names[names->count - 1].name);
    mem_free(names->names);
    *names = (struct sim_names){0};
}

/* Inodes and changes. */

static struct sim_inode *inode_create(struct sim_tree *tree, bool is_directory)
{
    struct sim_inode *inode = sim_alloc(sizeof *inode);
    inode->number = ++tree->inodes;
    inode->is_directory = is_directory;
    list_init(&inode->changes);
    return inode;
}

void sim_inode_hold(struct sim_inode *inode)
{
    inode->refs++;
}

static void change_free(struct sim_tree *tree, struct sim_change *change)
{
    list_remove(&change->link);
    /* Changes of contents belong to their inode and hold no reference to it. */
    bool is_name = change->kind >= SIM_CHANGE_ADD;
    struct sim_inode *inode = is_name ? change->inode : NULL;
    if (inode) sim_inode_release(tree, inode);
    if (change->directory) sim_inode_release(tree, change->directory);
    if (change->directory2) sim_inode_release(tree, change->directory2);
    mem_free(change->name);
    mem_free(change->name2);
    mem_free(change->data);
    mem_free(change);
}

void sim_inode_release(struct sim_tree *tree, struct sim_inode *inode)
{
    CHECK(inode->refs > 0);
    if (--inode->refs) return;
    LIST_FOR_EACH (link, &inode->changes)
        change_free(tree, CONTAINER_OF(link, struct sim_change, link));
    tree->pages_now -= inode->pages_now;
    image_clear(&inode->now);
    image_clear(&inode->durable);
    names_clear(tree, &inode->names_now);
    names_clear(tree, &inode->names_durable);
    mem_free(inode);
}

static struct sim_change *content_change(struct sim_tree *tree, struct sim_inode *inode, enum sim_change_kind kind)
{
    struct sim_change *change = sim_alloc(sizeof *change);
    change->kind = kind;
    change->order = ++tree->order;
    change->inode = inode;
    list_push_back(&inode->changes, &change->link);
    return change;
}

static struct sim_change *name_change(struct sim_tree *tree, enum sim_change_kind kind, struct sim_inode *directory,
    const char *name, struct sim_inode *inode)
{
    struct sim_change *change = sim_alloc(sizeof *change);
    change->kind = kind;
    change->order = ++tree->order;
    change->inode = inode;
    change->directory = directory;
    change->name = sim_strdup(name);
    if (inode) sim_inode_hold(inode);
    sim_inode_hold(directory);
    list_push_back(&tree->changes, &change->link);
    return change;
}

static void pages_recount(struct sim_tree *tree, struct sim_inode *inode)
{
    tree->pages_now -= inode->pages_now;
    inode->pages_now = image_pages(&inode->now);
    tree->pages_now += inode->pages_now;
}

void sim_tree_init(struct sim_tree *tree)
{
    *tree = (struct sim_tree){0};
    list_init(&tree->changes);
    tree->root = inode_create(tree, true);
    sim_inode_hold(tree->root);
}

void sim_tree_fini(struct sim_tree *tree)
{
    LIST_FOR_EACH (link, &tree->changes)
        change_free(tree, CONTAINER_OF(link, struct sim_change, link));
    sim_inode_release(tree, tree->root);
    tree->root = NULL;
}

struct sim_inode *sim_tree_parent(const struct sim_tree *tree, const char *path, const char **name)
{
    CHECK(path[0] != '/' && strstr(path, "..") == NULL);
    struct sim_inode *directory = tree->root;
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        char part[256];
        CHECK((size_t)(slash - path) < sizeof part);
        memcpy(part, path, (size_t)(slash - path));
        part[slash - path] = 0;
        directory = sim_names_get(&directory->names_now, part);
        if (directory == NULL || !directory->is_directory) return NULL;
    }
    *name = path;
    return directory;
}

struct sim_inode *sim_tree_find(const struct sim_tree *tree, const char *path)
{
    const char *name;
    struct sim_inode *directory = sim_tree_parent(tree, path, &name);
    if (directory == NULL || name[0] == 0) return directory;
    return sim_names_get(&directory->names_now, name);
}

struct sim_inode *sim_tree_make(struct sim_tree *tree, struct sim_inode *directory, const char *name, bool is_directory)
{
    struct sim_inode *inode = inode_create(tree, is_directory);
    sim_tree_link(tree, inode, directory, name);
    return inode;
}

void sim_tree_link(struct sim_tree *tree, struct sim_inode *inode, struct sim_inode *directory, const char *name)
{
    names_put(tree, &directory->names_now, name, inode);
    name_change(tree, SIM_CHANGE_ADD, directory, name, inode);
}

void sim_tree_unlink(struct sim_tree *tree, struct sim_inode *directory, const char *name)
{
    struct sim_inode *inode = sim_names_get(&directory->names_now, name);
    CHECK(inode != NULL);
    name_change(tree, SIM_CHANGE_REMOVE, directory, name, inode);
    names_remove(tree, &directory->names_now, name);
}

void sim_tree_rename(
    struct sim_tree *tree, struct sim_inode *from, const char *name, struct sim_inode *to, const char *name2)
{
    struct sim_inode *inode = sim_names_get(&from->names_now, name);
    CHECK(inode != NULL);
    struct sim_change *change = name_change(tree, SIM_CHANGE_RENAME, from, name, inode);
    change->directory2 = to;
    change->name2 = sim_strdup(name2);
    sim_inode_hold(to);
    if (from == to && strcmp(name, name2) == 0) return;
    names_put(tree, &to->names_now, name2, inode);
    names_remove(tree, &from->names_now, name);
}

/* Contents. */

uint32_t sim_inode_read(const struct sim_inode *inode, void *data, uint32_t size, uint64_t offset)
{
    if (offset >= inode->now.size) return 0;
    if (size > inode->now.size - offset) size = (uint32_t)(inode->now.size - offset);
    uint8_t *to = data;
    for (uint32_t done = 0; done < size;) {
        uint64_t index = (offset + done) / SIM_PAGE_BYTES, at = (offset + done) % SIM_PAGE_BYTES;
        uint32_t part = (uint32_t)(SIM_PAGE_BYTES - at < size - done ? SIM_PAGE_BYTES - at : size - done);
        const struct sim_page *page = index < inode->now.pages_count ? inode->now.pages[index] : NULL;
        if (page)
            memcpy(to + done, page->data + at, part);
        else
            memset(to + done, 0, part);
        done += part;
    }
    return size;
}

uint64_t sim_inode_pages_needed(const struct sim_inode *inode, uint64_t offset, uint64_t size)
{
    uint64_t needed = 0;
    for (uint64_t i = offset / SIM_PAGE_BYTES; i * SIM_PAGE_BYTES < offset + size; i++)
        needed += i >= inode->now.pages_count || inode->now.pages[i] == NULL;
    return needed;
}

void sim_inode_write(struct sim_tree *tree, struct sim_inode *inode, const void *data, uint32_t size, uint64_t offset)
{
    struct sim_change *change = content_change(tree, inode, SIM_CHANGE_WRITE);
    change->offset = offset;
    change->size = size;
    change->data = sim_alloc(size ? size : 1);
    memcpy(change->data, data, size);
    uint64_t fresh = sim_inode_pages_needed(inode, offset, size);
    inode->pages_now += (uint32_t)fresh;
    tree->pages_now += fresh;
    image_write(&inode->now, data, size, offset);
}

void sim_inode_resize(struct sim_tree *tree, struct sim_inode *inode, uint64_t size, bool grow_only)
{
    struct sim_change *change = content_change(tree, inode, SIM_CHANGE_SIZE);
    change->offset = size;
    change->grows = grow_only;
    if (!grow_only || size > inode->now.size) image_resize(&inode->now, size);
    if (grow_only)
        for (uint64_t i = 0; i * SIM_PAGE_BYTES < size; i++)
            if (i >= inode->now.pages_count || inode->now.pages[i] == NULL) page_writable(&inode->now, i);
    pages_recount(tree, inode);
}

/* Durability. */

static void content_make_durable(struct sim_change *change)
{
    struct sim_image *image = &change->inode->durable;
    if (change->kind == SIM_CHANGE_WRITE)
        image_write(image, change->data, change->size, change->offset);
    else if (!change->grows || change->offset > image->size)
        image_resize(image, change->offset);
}

static void name_make_durable(struct sim_tree *tree, struct sim_change *change)
{
    if (change->kind == SIM_CHANGE_ADD) {
        names_put(tree, &change->directory->names_durable, change->name, change->inode);
    } else if (change->kind == SIM_CHANGE_REMOVE) {
        if (sim_names_get(&change->directory->names_durable, change->name) == change->inode)
            names_remove(tree, &change->directory->names_durable, change->name);
    } else {
        names_put(tree, &change->directory2->names_durable, change->name2, change->inode);
        if ((change->directory != change->directory2 || strcmp(change->name, change->name2) != 0) &&
            sim_names_get(&change->directory->names_durable, change->name) == change->inode)
            names_remove(tree, &change->directory->names_durable, change->name);
    }
}

void sim_inode_sync(struct sim_tree *tree, struct sim_inode *inode, uint64_t order)
{
    LIST_FOR_EACH (link, &inode->changes) {
        struct sim_change *change = CONTAINER_OF(link, struct sim_change, link);
        if (change->order > order) return;
        content_make_durable(change);
        change_free(tree, change);
    }
}

void sim_inode_sync_newest(struct sim_tree *tree, struct sim_inode *inode)
{
    CHECK(!list_is_empty(&inode->changes));
    struct sim_change *newest = CONTAINER_OF(inode->changes.previous, struct sim_change, link);
    LIST_FOR_EACH (link, &inode->changes) {
        struct sim_change *change = CONTAINER_OF(link, struct sim_change, link);
        bool overlaps = change->kind == SIM_CHANGE_SIZE || (change->offset < newest->offset + newest->size &&
                                                               newest->offset < change->offset + change->size);
        if (change != newest && !overlaps) continue;
        content_make_durable(change);
        change_free(tree, change);
    }
}

void sim_inode_sync_lost(struct sim_tree *tree, struct sim_inode *inode, uint64_t order, struct prng *prng)
{
    LIST_FOR_EACH (link, &inode->changes) {
        struct sim_change *change = CONTAINER_OF(link, struct sim_change, link);
        if (change->order > order) return;
        if (prng_chance(prng, 300000)) content_make_durable(change);
        change_free(tree, change);
    }
}

static bool touches(const struct sim_change *change, const struct sim_inode *directory, const char *name)
{
    if (change->directory == directory && (name == NULL || strcmp(change->name, name) == 0)) return true;
    return change->directory2 == directory && (name == NULL || strcmp(change->name2, name) == 0);
}

/* A rename becomes durable with its target directory; older changes of its source name go along. */
void sim_directory_sync(struct sim_tree *tree, struct sim_inode *directory, uint64_t order)
{
    LIST_FOR_EACH (link, &tree->changes) {
        struct sim_change *change = CONTAINER_OF(link, struct sim_change, link);
        if (change->order > order) return;
        struct sim_inode *target = change->kind == SIM_CHANGE_RENAME ? change->directory2 : change->directory;
        if (target != directory) continue;
        if (change->kind == SIM_CHANGE_RENAME && change->directory != directory) {
            for (struct list *older = tree->changes.next; older != &change->link;) {
                struct sim_change *before = CONTAINER_OF(older, struct sim_change, link);
                older = older->next;
                if (!touches(before, change->directory, change->name)) continue;
                name_make_durable(tree, before);
                change_free(tree, before);
            }
        }
        name_make_durable(tree, change);
        change_free(tree, change);
    }
}

/* Crash. */

static void content_meet(struct sim_change *change, enum sim_fate fate, struct prng *prng)
{
    if (fate == SIM_KEEP || (fate != SIM_DROP && change->kind == SIM_CHANGE_SIZE)) {
        content_make_durable(change);
    } else if (fate == SIM_ZERO) {
        struct sim_image *image = &change->inode->durable;
        if (change->offset + change->size > image->size) image->size = change->offset + change->size;
    } else if (fate == SIM_TEAR || fate == SIM_GARBLE) {
        for (uint64_t at = change->offset, end = change->offset + change->size; at < end;) {
            uint64_t next = (at / SIM_SECTOR_BYTES + 1) * SIM_SECTOR_BYTES;
            if (next > end) next = end;
            uint8_t *data = change->data + (at - change->offset);
            if (fate == SIM_GARBLE && prng_chance(prng, 400000)) prng_fill(prng, data, next - at);
            if (fate == SIM_GARBLE || prng_chance(prng, 500000))
                image_write(&change->inode->durable, data, next - at, at);
            at = next;
        }
    }
}

static void inode_crash(struct sim_tree *tree, struct sim_inode *inode,
    enum sim_fate (*choose)(void *context, const struct sim_change *change), void *context, struct prng *prng)
{
    LIST_FOR_EACH (link, &inode->changes) {
        struct sim_change *change = CONTAINER_OF(link, struct sim_change, link);
        content_meet(change, choose(context, change), prng);
        change_free(tree, change);
    }
    if (!inode->is_directory) {
        image_clear(&inode->now);
        inode->now = image_share(&inode->durable);
        pages_recount(tree, inode);
        return;
    }
    /* Hold what now names until the new now names it, since durable may name the same. */
    struct sim_names old = inode->names_now;
    inode->names_now = (struct sim_names){0};
    for (uint32_t i = 0; i < inode->names_durable.count; i++)
        names_put(tree, &inode->names_now, inode->names_durable.names[i].name, inode->names_durable.names[i].inode);
    names_clear(tree, &old);
    for (uint32_t i = 0; i < inode->names_now.count; i++)
        inode_crash(tree, inode->names_now.names[i].inode, choose, context, prng);
}

void sim_tree_crash(struct sim_tree *tree, enum sim_fate (*choose)(void *context, const struct sim_change *change),
    void *context, struct prng *prng)
{
    LIST_FOR_EACH (link, &tree->changes) {
        struct sim_change *change = CONTAINER_OF(link, struct sim_change, link);
        if (choose(context, change) == SIM_KEEP) name_make_durable(tree, change);
        change_free(tree, change);
    }
    inode_crash(tree, tree->root, choose, context, prng);
}

static uint32_t inode_changes(const struct sim_inode *inode)
{
    uint32_t count = 0;
    for (const struct list *link = inode->changes.next; link != &inode->changes; link = link->next)
        count++;
    for (uint32_t i = 0; i < inode->names_now.count; i++)
        count += inode_changes(inode->names_now.names[i].inode);
    return count;
}

uint32_t sim_tree_changes(const struct sim_tree *tree)
{
    uint32_t count = inode_changes(tree->root);
    for (const struct list *link = tree->changes.next; link != &tree->changes; link = link->next)
        count++;
    return count;
}

void sim_inode_damage(struct sim_inode *inode, uint64_t offset, uint8_t mask)
{
    struct sim_image *images[] = {&inode->now, &inode->durable};
    for (int i = 0; i < 2; i++)
        if (offset < images[i]->size) {
            struct sim_page *page = page_writable(images[i], offset / SIM_PAGE_BYTES);
            page->data[offset % SIM_PAGE_BYTES] ^= mask;
        }
}

/* Clone: inodes by number, so that hard links stay one file. */

static struct sim_inode *inode_clone(struct map *cloned, const struct sim_inode *inode);

static struct sim_names names_clone(struct map *cloned, const struct sim_names *names)
{
    struct sim_names copy = {sim_alloc(names->capacity * sizeof *copy.names), names->count, names->capacity};
    for (uint32_t i = 0; i < names->count; i++) {
        copy.names[i] = (struct sim_name){sim_strdup(names->names[i].name), inode_clone(cloned, names->names[i].inode)};
        sim_inode_hold(copy.names[i].inode);
    }
    return copy;
}

static struct sim_change *change_clone(struct map *cloned, const struct sim_change *change)
{
    struct sim_change *copy = sim_alloc(sizeof *copy);
    *copy = *change;
    list_init(&copy->link);
    if (change->data) copy->data = memcpy(sim_alloc(change->size + 1u), change->data, change->size);
    if (change->name) copy->name = sim_strdup(change->name);
    if (change->name2) copy->name2 = sim_strdup(change->name2);
    bool is_name = change->kind >= SIM_CHANGE_ADD;
    if (change->inode) copy->inode = inode_clone(cloned, change->inode);
    if (is_name && copy->inode) sim_inode_hold(copy->inode);
    if (change->directory) sim_inode_hold(copy->directory = inode_clone(cloned, change->directory));
    if (change->directory2) sim_inode_hold(copy->directory2 = inode_clone(cloned, change->directory2));
    return copy;
}

static struct sim_inode *inode_clone(struct map *cloned, const struct sim_inode *inode)
{
    struct sim_inode *copy = map_get(cloned, inode->number);
    if (copy) return copy;
    copy = sim_alloc(sizeof *copy);
    map_put(cloned, inode->number, copy);
    copy->number = inode->number;
    copy->is_directory = inode->is_directory;
    copy->pages_now = inode->pages_now;
    copy->now = image_share(&inode->now);
    copy->durable = image_share(&inode->durable);
    list_init(&copy->changes);
    for (const struct list *link = inode->changes.next; link != &inode->changes; link = link->next)
        list_push_back(&copy->changes, &change_clone(cloned, CONTAINER_OF(link, struct sim_change, link))->link);
    copy->names_now = names_clone(cloned, &inode->names_now);
    copy->names_durable = names_clone(cloned, &inode->names_durable);
    return copy;
}

void sim_tree_clone(struct sim_tree *copy, const struct sim_tree *tree)
{
    struct mem_scope *entered = mem_scope_enter(NULL);
    struct map cloned = {0};
    *copy = *tree;
    list_init(&copy->changes);
    copy->root = inode_clone(&cloned, tree->root);
    sim_inode_hold(copy->root);
    for (const struct list *link = tree->changes.next; link != &tree->changes; link = link->next)
        list_push_back(&copy->changes, &change_clone(&cloned, CONTAINER_OF(link, struct sim_change, link))->link);
    copy->pages_now = 0;
    size_t position = 0;
    for (struct sim_inode *inode; (inode = map_next(&cloned, &position, NULL));)
        copy->pages_now += inode->pages_now;
    map_free(&cloned);
    mem_scope_enter(entered);
}
