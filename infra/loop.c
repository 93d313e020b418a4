/* See loop.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/loop_internal.h"
#include "schemas/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct loop_timer {
    uv_timer_t uv;
    struct loop *loop;
    loop_fn fn;
    void *arg;
};

struct loop_fd {
    uv_poll_t uv;
    int fd;
    unsigned events;
    loop_fd_fn fn;
    void *arg;
};

struct loop_signal {
    uv_signal_t uv;
    loop_signal_fn fn;
    void *arg;
};

struct blocking {
    uv_work_t uv;
    loop_fn work;
    loop_fn done;
    void *arg;
};

/* --- the loop --- */

static void note_turn(struct loop *loop)
{
    atomic_store_explicit(&loop->turned_at_ms, (int64_t)uv_now(&loop->uv), memory_order_relaxed);
}

static void run_tasks(struct loop *loop)
{
    loop->running = loop->deferred;
    loop->deferred = NULL;
    loop->deferred_end = &loop->deferred;
    while (loop->running) {
        struct loop_task *task = loop->running;
        loop->running = task->next;
        task->next = NULL;
        task->deferred = false;
        task->fn(task->arg);
    }
    if (!loop->deferred)
        uv_idle_stop(&loop->awake);
}

static void on_turn(uv_check_t *check)
{
    struct loop *loop = check->data;
    note_turn(loop);
    run_tasks(loop);
}

/* libuv counts an active idle handle as a reason not to wait; there is nothing else to do. */
static void on_awake(uv_idle_t *idle)
{
    (void)idle;
}

static void on_wake(uv_async_t *wake)
{
    struct loop *loop = wake->data;
    pthread_mutex_lock(&loop->posts_lock);
    struct loop_posts batch = loop->posts;
    loop->posts = loop->taken;
    loop->taken = batch;
    pthread_mutex_unlock(&loop->posts_lock);

    for (size_t i = 0; i < batch.count; i++)
        batch.items[i].fn(batch.items[i].arg);
    loop->taken.count = 0;
}

struct loop *loop_new(size_t posts_max)
{
    struct loop *loop = MEM_NEW(*loop);
    loop->posts_max = posts_max;
    loop->deferred_end = &loop->deferred;
    pthread_mutex_init(&loop->posts_lock, NULL);

    /* These fail only where descriptors have run out at start, and nothing works without a loop. */
    int failed = uv_loop_init(&loop->uv);
    assert(failed == 0);
    failed = uv_async_init(&loop->uv, &loop->wake, on_wake);
    assert(failed == 0);
    uv_check_init(&loop->uv, &loop->turn);
    uv_idle_init(&loop->uv, &loop->awake);
    loop->wake.data = loop->turn.data = loop->awake.data = loop;
    uv_check_start(&loop->turn, on_turn);
    note_turn(loop);
    return loop;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void loop_close_handle(uv_handle_t *handle)
{
    uv_close(handle, on_closed);
}

/* The loop's own handles live in the loop; every other one is in a heap object of its own. */
static void close_any(uv_handle_t *handle, void *arg)
{
    const struct loop *loop = arg;
    if (uv_is_closing(handle))
        return;
    if (handle->data == loop)
        uv_close(handle, NULL);
    else
        loop_close_handle(handle);
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    uv_walk(&loop->uv, close_any, loop);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    int busy = uv_loop_close(&loop->uv);
    assert(busy == 0);
    pthread_mutex_destroy(&loop->posts_lock);
    free(loop->posts.items);
    free(loop->taken.items);
    free(loop);
}

void loop_run(struct loop *loop)
{
    loop->turning = true;
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    loop->turning = false;
}

void loop_turn(struct loop *loop, bool wait)
{
    loop->turning = true;
    uv_run(&loop->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    loop->turning = false;
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

int64_t loop_now_ms(const struct loop *loop)
{
    return (int64_t)uv_now(&loop->uv);
}

int64_t loop_turned_at_ms(const struct loop *loop)
{
    return atomic_load_explicit(&loop->turned_at_ms, memory_order_relaxed);
}

/* --- posts and tasks --- */

bool loop_post(struct loop *loop, loop_fn fn, void *arg)
{
    pthread_mutex_lock(&loop->posts_lock);
    struct loop_posts *posts = &loop->posts;
    bool fits = posts->count < loop->posts_max;
    if (fits) {
        if (posts->count == posts->capacity) {
            posts->capacity = posts->capacity ? posts->capacity * 2 : 16;
            posts->items = mem_resize(posts->items, posts->capacity, sizeof *posts->items);
        }
        posts->items[posts->count++] = (struct loop_post_entry){ .fn = fn, .arg = arg };
    }
    bool first = fits && posts->count == 1;
    pthread_mutex_unlock(&loop->posts_lock);
    /* Whoever posts into an empty queue wakes the loop; it takes all that has come by then. */
    if (first)
        uv_async_send(&loop->wake);
    return fits;
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    if (task->deferred)
        return;
    task->deferred = true;
    task->next = NULL;
    if (!loop->deferred)
        uv_idle_start(&loop->awake, on_awake);
    *loop->deferred_end = task;
    loop->deferred_end = &task->next;
}

void loop_undefer(struct loop *loop, struct loop_task *task)
{
    if (!task->deferred)
        return;
    struct loop_task **lists[] = { &loop->deferred, &loop->running };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct loop_task **link = lists[i];
        while (*link && *link != task)
            link = &(*link)->next;
        if (!*link)
            continue;
        *link = task->next;
        if (loop->deferred_end == &task->next)
            loop->deferred_end = link;
        break;
    }
    task->next = NULL;
    task->deferred = false;
}

/* --- timers --- */

static void on_timer(uv_timer_t *uv)
{
    const struct loop_timer *timer = uv->data;
    struct loop *loop = timer->loop;
    loop->in_timer = true;
    timer->fn(timer->arg);
    loop->in_timer = false;
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *arg)
{
    struct loop_timer *timer = MEM_NEW(*timer);
    timer->loop = loop;
    timer->fn = fn;
    timer->arg = arg;
    uv_timer_init(&loop->uv, &timer->uv);
    timer->uv.data = timer;
    return timer;
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms, int64_t repeat_ms)
{
    /* libuv runs a timer that is due and was started by another timer's callback in the same phase:
     * with no delay at all it could go round there for ever and never reach the I/O. */
    int64_t delay_ms_min = timer->loop->in_timer ? 1 : 0;
    if (delay_ms < delay_ms_min)
        delay_ms = delay_ms_min;
    /* Before the first turn the loop's time is that of its making, which a slow start may have left
     * far behind. */
    if (!timer->loop->turning)
        uv_update_time(&timer->loop->uv);
    uv_timer_start(&timer->uv, on_timer, (uint64_t)delay_ms,
                   repeat_ms > 0 ? (uint64_t)repeat_ms : 0);
}

void loop_timer_stop(struct loop_timer *timer)
{
    uv_timer_stop(&timer->uv);
}

bool loop_timer_runs(const struct loop_timer *timer)
{
    return uv_is_active((const uv_handle_t *)&timer->uv);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer)
        loop_close_handle((uv_handle_t *)&timer->uv);
}

/* --- file descriptors --- */

static void on_fd(uv_poll_t *uv, int status, int uv_events);

static int to_uv(unsigned events)
{
    return ((events & LOOP_READ) ? UV_READABLE : 0) | ((events & LOOP_WRITE) ? UV_WRITABLE : 0) |
           ((events & LOOP_HANGUP) ? UV_DISCONNECT : 0);
}

static unsigned from_uv(int events)
{
    return ((events & UV_READABLE) ? LOOP_READ : 0U) | ((events & UV_WRITABLE) ? LOOP_WRITE : 0U) |
           ((events & UV_DISCONNECT) ? LOOP_HANGUP : 0U);
}

static void poll_for(struct loop_fd *watch)
{
    int failed = watch->events ? uv_poll_start(&watch->uv, to_uv(watch->events), on_fd)
                               : uv_poll_stop(&watch->uv);
    assert(failed == 0);
}

static void on_fd(uv_poll_t *uv, int status, int uv_events)
{
    struct loop_fd *watch = uv->data;
    unsigned events = from_uv(uv_events);
    if (status < 0) {
        /* libuv stops watching on an error. The owner learns of it by reading or writing, and until
         * it has acted the watch goes on, as it does with any condition that lasts. */
        events = watch->events;
        poll_for(watch);
    }
    watch->fn(watch->arg, watch->fd, events);
}

struct loop_fd *loop_fd_new(struct loop *loop, int fd, loop_fd_fn fn, void *arg)
{
    struct loop_fd *watch = MEM_NEW(*watch);
    watch->fd = fd;
    watch->fn = fn;
    watch->arg = arg;
    /* Makes fd non-blocking. Refused only for what cannot be polled (a regular file) or is watched
     * already. */
    int failed = uv_poll_init(&loop->uv, &watch->uv, fd);
    assert(failed == 0);
    watch->uv.data = watch;
    return watch;
}

void loop_fd_watch(struct loop_fd *watch, unsigned events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    poll_for(watch);
}

void loop_fd_free(struct loop_fd *watch)
{
    if (watch)
        loop_close_handle((uv_handle_t *)&watch->uv);
}

/* --- signals --- */

static void on_signal(uv_signal_t *uv, int signal_number)
{
    const struct loop_signal *watch = uv->data;
    watch->fn(watch->arg, signal_number);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signal_number, loop_signal_fn fn,
                                    void *arg)
{
    struct loop_signal *watch = MEM_NEW(*watch);
    watch->fn = fn;
    watch->arg = arg;
    uv_signal_init(&loop->uv, &watch->uv);
    watch->uv.data = watch;
    int failed = uv_signal_start(&watch->uv, on_signal, signal_number);
    assert(failed == 0);
    return watch;
}

void loop_signal_free(struct loop_signal *watch)
{
    if (watch)
        loop_close_handle((uv_handle_t *)&watch->uv);
}

/* --- blocking work --- */

static void on_work(uv_work_t *uv)
{
    const struct blocking *blocking = uv->data;
    blocking->work(blocking->arg);
}

static void on_work_done(uv_work_t *uv, int status)
{
    (void)status; /* work is never cancelled */
    struct blocking *blocking = uv->data;
    blocking->done(blocking->arg);
    free(blocking);
}

void loop_pool_more(size_t threads)
{
    char text[24];
    assert(threads <= LOOP_POOL_MORE_MAX);
    snprintf(text, sizeof text, "%zu", LOOP_POOL_OWN + threads);
    /* libuv knows no other way. NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet */
    (void)setenv("UV_THREADPOOL_SIZE", text, 1);
}

void loop_work(struct loop *loop, loop_fn work, loop_fn done, void *arg)
{
    struct blocking *blocking = MEM_NEW(*blocking);
    blocking->work = work;
    blocking->done = done;
    blocking->arg = arg;
    blocking->uv.data = blocking;
    int failed = uv_queue_work(&loop->uv, &blocking->uv, on_work, on_work_done);
    assert(failed == 0);
}
