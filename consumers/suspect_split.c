/* See suspect_split.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/suspect_split.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <assert.h>
#include <stdlib.h>

#define DEATHS_ALONE_MAX 2 /* once may have been bad luck, such as memory that ran out */

struct split {
    size_t children_max;
    size_t running;
    struct split_group *open;         /* NULL: the next suspect begins one */
    struct split_group *first, *last; /* that wait for a child; the open one is none of them */
};

struct split *split_new(size_t children_max)
{
    assert(children_max >= 2);
    struct split *split = MEM_NEW(*split);
    split->children_max = children_max;
    return split;
}

void split_free(struct split *split)
{
    if (!split)
        return;
    assert(split->running == 0);
    while (split->first) {
        struct split_group *group = split->first;
        split->first = group->next;
        free(group);
    }
    free(split->open);
    free(split);
}

static void join(struct split_group *group, struct suspect *suspect)
{
    suspect->group = group;
    suspect->next = NULL;
    suspect->previous = group->last;
    if (group->last)
        group->last->next = suspect;
    else
        group->first = suspect;
    group->last = suspect;
    group->count++;
    group->joined++;
}

static void leave(struct suspect *suspect)
{
    struct split_group *group = suspect->group;
    if (suspect->previous)
        suspect->previous->next = suspect->next;
    else
        group->first = suspect->next;
    if (suspect->next)
        suspect->next->previous = suspect->previous;
    else
        group->last = suspect->previous;
    group->count--;
    suspect->group = NULL;
    suspect->next = suspect->previous = NULL;
}

static void wait_for_child(struct split *split, struct split_group *group)
{
    group->open = group->running = false;
    group->child = NULL;
    group->joined = group->count;
    group->next = NULL;
    if (split->last)
        split->last->next = group;
    else
        split->first = group;
    split->last = group;
}

struct split_group *split_add(struct split *split, struct suspect *suspect)
{
    if (MUTANT(suspects_few_at_once)) {
        if (!split->last || split->last->count == 8)
            wait_for_child(split, MEM_NEW(*split->last));
        join(split->last, suspect);
        return split->last;
    }
    if (!split->open) {
        split->open = MEM_NEW(*split->open);
        split->open->open = true;
    }
    join(split->open, suspect);
    return split->open;
}

static bool open_runs(const struct split *split)
{
    return split->open && split->open->running;
}

struct split_group *split_next(struct split *split)
{
    struct split_group *group = NULL;
    if (split->open && !split->open->running && split->open->count &&
        split->running < split->children_max) {
        group = split->open;
    } else if (split->first && split->running + !open_runs(split) < split->children_max) {
        group = split->first;
        split->first = group->next;
        if (!split->first)
            split->last = NULL;
    }
    if (group) {
        group->running = true;
        split->running++;
    }
    return group;
}

struct suspect *split_waiting(const struct split *split)
{
    if (split->first)
        return split->first->first;
    return split->open && !split->open->running ? split->open->first : NULL;
}

/* One that waits and has lost its last suspect is not worth a child. */
static void forget_waiting(struct split *split, struct split_group *group)
{
    struct split_group *before = NULL;
    struct split_group **link = &split->first;
    while (*link != group) {
        before = *link;
        link = &before->next;
    }
    *link = group->next;
    if (split->last == group)
        split->last = before;
    free(group);
}

void split_finished(struct split *split, struct suspect *suspect)
{
    struct split_group *group = suspect->group;
    leave(suspect);
    if (!group->count && !group->running && !group->open)
        forget_waiting(split, group);
}

void split_close(struct split *split, struct split_group *group)
{
    group->open = false;
    if (split->open == group)
        split->open = NULL;
}

static void halve(struct split *split, struct split_group *group)
{
    struct split_group *second = MEM_NEW(*second);
    size_t half = group->count / 2;
    while (group->count > half) {
        struct suspect *suspect = group->last;
        leave(suspect);
        join(second, suspect);
    }
    wait_for_child(split, group);
    wait_for_child(split, second);
}

struct suspect *split_ended(struct split *split, struct split_group *group, enum split_end end)
{
    split_close(split, group);
    split->running--;
    struct suspect *alone = group->count == 1 ? group->first : NULL;
    if (MUTANT(first_in_dead_child_convicted) && group->count && end == SPLIT_SIGNAL) {
        struct suspect *first = group->first;
        leave(first);
        if (group->count)
            wait_for_child(split, group);
        else
            free(group);
        return first;
    }
    if (alone && group->joined == 1 && end >= SPLIT_SIGNAL) {
        alone->deaths_alone++;
        alone->signals_alone += end == SPLIT_SIGNAL;
        if (alone->deaths_alone == DEATHS_ALONE_MAX) {
            leave(alone);
            free(group);
            return alone;
        }
    }
    if (group->count == 0)
        free(group);
    else if (alone || end < SPLIT_SIGNAL)
        wait_for_child(split, group);
    else
        halve(split, group);
    return NULL;
}

size_t split_running(const struct split *split)
{
    return split->running;
}
