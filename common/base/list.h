/* list: a circular doubly linked list of embedded nodes. A node that is in no list points to itself. */
#ifndef TRILLIUM_COMMON_BASE_LIST_H
#define TRILLIUM_COMMON_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *previous;
};

#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
/* The body may remove the current item. */
#define LIST_FOR_EACH(item, head)                                                                                      \
    for (struct list *item = (head)->next, *item##_next = item->next; item != (head);                                  \
         item = item##_next, item##_next = item->next)

static inline void list_init(struct list *list)
{
    list->next = list->previous = list;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_add_after(struct list *at, struct list *node)
{
    node->next = at->next;
    node->previous = at;
    at->next->previous = node;
    at->next = node;
}

static inline void list_push_front(struct list *head, struct list *node)
{
    list_add_after(head, node);
}

static inline void list_push_back(struct list *head, struct list *node)
{
    list_add_after(head->previous, node);
}

static inline void list_remove(struct list *node)
{
    node->next->previous = node->previous;
    node->previous->next = node->next;
    list_init(node);
}

/* NULL when empty. */
static inline struct list *list_pop_front(struct list *head)
{
    struct list *node = head->next;
    if (node == head) return NULL;
    list_remove(node);
    return node;
}

/* Moves all of from to the end of to. */
static inline void list_splice_back(struct list *to, struct list *from)
{
    if (list_is_empty(from)) return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

#endif
