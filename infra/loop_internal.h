/* What the files of the loop share: the loop itself, and how its handles are freed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_LOOP_INTERNAL_H
#define INFRA_LOOP_INTERNAL_H

#include "infra/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

struct loop_post_entry {
    loop_fn fn;
    void *arg;
};

/* An array that is emptied as a whole and keeps its memory. */
struct loop_posts {
    struct loop_post_entry *items;
    size_t count;
    size_t capacity;
};

struct loop {
    uv_loop_t uv;
    uv_check_t turn; /* after the I/O of a turn: runs the tasks */
    uv_idle_t awake; /* active while a task is deferred, so that the next poll does not wait */
    uv_async_t wake; /* tells the loop of posts; open, it keeps loop_run from returning by itself */

    struct loop_task *deferred; /* to run at the end of this turn */
    struct loop_task **deferred_end;
    struct loop_task *running; /* taken out for this turn's run, not run yet */
    bool turning;              /* loop_run runs */
    bool in_timer;             /* a timer's callback runs */
    atomic_int_fast64_t turned_at_ms;

    pthread_mutex_t posts_lock; /* guards `posts` */
    struct loop_posts posts;
    struct loop_posts taken; /* loop thread only: the batch being run */
    size_t posts_max;
};

/* Closes a handle whose `data` is the heap object around it; libuv calls back once it has let go,
 * then that is freed. */
void loop_close_handle(uv_handle_t *handle);

#endif
