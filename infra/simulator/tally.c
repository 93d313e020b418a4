/* A balanced tree of libc's (tsearch) from text to count. See tally.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/tally.h"

#include "schemas/mem.h"

#include <assert.h>
#include <search.h>
#include <stdlib.h>

struct tally {
    void *root;
    size_t distinct;
};
struct counter {
    struct span text; /* first: what a key for looking up is */
    int64_t count;
    char bytes[];
};

static int compare(const void *a, const void *b)
{
    const struct span *x = a;
    const struct span *y = b;
    size_t shared = x->size < y->size ? x->size : y->size;
    int order = shared ? memcmp(x->data, y->data, shared) : 0;
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static struct counter *find(const struct tally *tally, const struct span *text)
{
    void *node = tfind(text, &tally->root, compare);
    return node ? *(struct counter **)node : NULL;
}

struct tally *tally_new(void)
{
    struct tally *tally = MEM_NEW(*tally);
    return tally;
}

void tally_free(struct tally *tally)
{
    if (!tally)
        return;
    tdestroy(tally->root, free);
    free(tally);
}

void tally_add(struct tally *tally, struct span text)
{
    struct counter *counter = find(tally, &text);
    if (counter) {
        counter->count++;
        return;
    }
    counter = mem_zalloc(1, sizeof *counter + text.size);
    if (text.size)
        memcpy(counter->bytes, text.data, text.size);
    counter->text = (struct span){ counter->bytes, text.size };
    counter->count = 1;
    if (!tsearch(counter, &tally->root, compare))
        abort(); /* out of memory: the one reason tsearch has, and mem.h's policy */
    tally->distinct++;
}

void tally_remove(struct tally *tally, struct span text)
{
    struct counter *counter = find(tally, &text);
    assert(counter);
    if (--counter->count > 0)
        return;
    tdelete(&text, &tally->root, compare);
    free(counter);
    tally->distinct--;
}

int64_t tally_count(const struct tally *tally, struct span text)
{
    const struct counter *counter = find(tally, &text);
    return counter ? counter->count : 0;
}

size_t tally_distinct(const struct tally *tally)
{
    return tally->distinct;
}

struct visit {
    void (*fn)(void *arg, struct span text, int64_t count);
    void *arg;
};

static void visit_node(const void *node, VISIT when, void *closure)
{
    const struct counter *counter = *(const struct counter *const *)node;
    const struct visit *visit = closure;
    if (when == postorder || when == leaf)
        visit->fn(visit->arg, counter->text, counter->count);
}

void tally_each(const struct tally *tally, void (*fn)(void *arg, struct span text, int64_t count),
                void *arg)
{
    struct visit visit = { fn, arg };
    twalk_r(tally->root, visit_node, &visit);
}
