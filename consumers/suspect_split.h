/* Who of many suspects crashes its process, found without making the others wait: a pure book of
 * groups, each to run in a child process of its own. A new suspect joins the open group. When a
 * child dies, those of its group that had not finished are split in halves over two new groups; one
 * whose child dies twice though it had never held another one is found. So one that crashes among n
 * is found after at most log2(n) + 4 deaths, and one that does not crash is never found, whoever is
 * beside it.
 *
 * A group waits until one of `children_max` children is free; one child is kept for the open group,
 * so that new suspects do not wait for old ones.
 * thread: the owner's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_SUSPECT_SPLIT_H
#define CONSUMERS_SUSPECT_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

struct split;

/* Embedded in its owner, zeroed; the book's while it is in there. */
struct suspect {
    struct suspect *next, *previous; /* in its group */
    struct split_group *group;       /* NULL: in none */
    unsigned deaths_alone;           /* of children that held it alone */
    unsigned signals_alone;          /* of those, by a signal */
};

struct split_group {
    struct split_group *next; /* of those that wait */
    struct suspect *first, *last;
    size_t count;
    size_t joined; /* the same and those that have finished */
    bool open;     /* new suspects join it */
    bool running;  /* a child has it */
    void *child;   /* the owner's */
};

/* children_max: at least 2. */
struct split *split_new(size_t children_max);
/* Nobody may be in a group that runs. Accepts NULL. */
void split_free(struct split *split);

/* A new suspect; returns its group, which may be running. */
struct split_group *split_add(struct split *split, struct suspect *suspect);
/* The next group that may be given a child now: it counts as running from then on. NULL: none. */
struct split_group *split_next(struct split *split);
/* One of a group that waits; NULL: all groups that are not empty run. */
struct suspect *split_waiting(const struct split *split);
/* It has finished: it leaves its group. */
void split_finished(struct split *split, struct suspect *suspect);
/* New suspects go elsewhere. */
void split_close(struct split *split, struct split_group *group);

enum split_end {
    SPLIT_RETIRED, /* the child was not needed any more: its group is empty */
    SPLIT_UNBEGUN, /* it ended before it could begin anything: its group waits again as it is */
    SPLIT_SIGNAL,  /* a signal of its own killed it */
    SPLIT_EXIT     /* it ended by itself */
};
/* The group's child has ended, and the group with it. Returns the one that has been found, which is
 * in no group any more: it was alone in a child that died, twice. Else NULL. */
struct suspect *split_ended(struct split *split, struct split_group *group, enum split_end end);
/* Children that run. */
size_t split_running(const struct split *split);

#endif
