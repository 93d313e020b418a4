/* The loop: order of tasks, posts from another thread, timers freed in their own callback,
 * descriptors.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/clock.h"
#include "infra/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEADLINE_MS = 10000, POSTS_MAX = 4, PRODUCED = 2000 };

/* What a test's callbacks write down, as one text. */
struct scene {
    struct loop *loop;
    struct loop_timer *deadline;
    char seen[64];
    size_t seen_count;
};

static void on_deadline(void *arg)
{
    (void)arg;
    fail_msg("the loop did not stop in time");
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    scene->loop = loop_new(POSTS_MAX);
    scene->deadline = loop_timer_new(scene->loop, on_deadline, NULL);
    loop_timer_start(scene->deadline, DEADLINE_MS, 0);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    loop_free(scene->loop); /* frees the deadline, too */
    free(scene);
    return 0;
}

static void note(struct scene *scene, char what)
{
    assert_true(scene->seen_count + 1 < sizeof scene->seen);
    scene->seen[scene->seen_count++] = what;
}

/* --- tasks --- */

struct step {
    struct scene *scene;
    struct loop_task *then_defer;
    struct loop_task *then_undefer;
    char name;
    bool stops;
};

static void on_step(void *arg)
{
    const struct step *step = arg;
    note(step->scene, step->name);
    if (step->then_defer)
        loop_defer(step->scene->loop, step->then_defer);
    if (step->then_undefer)
        loop_undefer(step->scene->loop, step->then_undefer);
    if (step->stops)
        loop_stop(step->scene->loop);
}

static void test_tasks_run_in_order_and_later_ones_in_the_next_turn(void **state)
{
    struct scene *scene = *state;
    struct step steps[4] = { { scene, NULL, NULL, 'a', false },
                             { scene, NULL, NULL, 'b', false },
                             { scene, NULL, NULL, 'c', false },
                             { scene, NULL, NULL, 'd', true } };
    struct loop_task tasks[4];
    for (size_t i = 0; i < 4; i++)
        tasks[i] = (struct loop_task){ .fn = on_step, .arg = &steps[i] };
    steps[0].then_defer = &tasks[3]; /* d comes after b and c although a asks first */

    loop_defer(scene->loop, &tasks[0]);
    loop_defer(scene->loop, &tasks[1]);
    loop_defer(scene->loop, &tasks[1]); /* once is enough */
    loop_defer(scene->loop, &tasks[2]);
    loop_run(scene->loop);
    assert_string_equal(scene->seen, "abcd");
    for (size_t i = 0; i < 4; i++)
        assert_false(tasks[i].deferred);
}

static void test_a_task_taken_out_does_not_run(void **state)
{
    struct scene *scene = *state;
    struct step steps[4] = { { scene, NULL, NULL, 'a', false },
                             { scene, NULL, NULL, 'b', false },
                             { scene, NULL, NULL, 'c', true },
                             { scene, NULL, NULL, 'd', false } };
    struct loop_task tasks[4];
    for (size_t i = 0; i < 4; i++)
        tasks[i] = (struct loop_task){ .fn = on_step, .arg = &steps[i] };
    steps[0].then_undefer = &tasks[1]; /* while b waits for its run in the same turn */

    loop_undefer(scene->loop, &tasks[3]); /* was never deferred */
    for (size_t i = 0; i < 4; i++)
        loop_defer(scene->loop, &tasks[i]);
    loop_undefer(scene->loop, &tasks[3]); /* the last one */
    loop_undefer(scene->loop, &tasks[2]);
    loop_defer(scene->loop, &tasks[2]);
    loop_run(scene->loop);
    assert_string_equal(scene->seen, "ac");
}

/* --- timers --- */

struct ticker {
    struct scene *scene;
    struct loop_timer *timer;
    int ticks;
    int ticks_max;
};

static void on_tick(void *arg)
{
    struct ticker *ticker = arg;
    if (++ticker->ticks < ticker->ticks_max)
        return;
    loop_timer_free(ticker->timer);
    loop_stop(ticker->scene->loop);
}

static void test_a_repeating_timer_freed_in_its_callback_stays_silent(void **state)
{
    struct scene *scene = *state;
    struct ticker ticker = { .scene = scene, .ticks_max = 3 };
    ticker.timer = loop_timer_new(scene->loop, on_tick, &ticker);
    loop_timer_start(ticker.timer, 0, 1);
    loop_run(scene->loop);
    assert_int_equal(ticker.ticks, 3);

    struct ticker after = { .scene = scene, .ticks_max = 1 };
    after.timer = loop_timer_new(scene->loop, on_tick, &after);
    loop_timer_start(after.timer, 5, 0);
    loop_run(scene->loop);
    assert_int_equal(ticker.ticks, 3);
}

static void on_again(void *arg)
{
    struct ticker *ticker = arg;
    ticker->ticks++;
    loop_timer_start(ticker->timer, 0, 0);
}

static void on_readable_stop(void *arg, int fd, unsigned events)
{
    struct scene *scene = arg;
    char byte;
    assert_int_equal(events, LOOP_READ);
    assert_int_equal(read(fd, &byte, 1), 1);
    note(scene, byte);
    loop_stop(scene->loop);
}

static void test_a_timer_that_restarts_itself_does_not_starve_descriptors(void **state)
{
    struct scene *scene = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct loop_fd *watch = loop_fd_new(scene->loop, fds[0], on_readable_stop, scene);
    loop_fd_watch(watch, LOOP_READ);
    struct ticker ticker = { .scene = scene };
    ticker.timer = loop_timer_new(scene->loop, on_again, &ticker);
    loop_timer_start(ticker.timer, 0, 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    loop_run(scene->loop);
    assert_string_equal(scene->seen, "x");
    loop_timer_free(ticker.timer);
    loop_fd_free(watch);
    close(fds[0]);
    close(fds[1]);
}

static void test_a_stopped_timer_does_not_fire(void **state)
{
    struct scene *scene = *state;
    struct ticker stopped = { .scene = scene, .ticks_max = 100 };
    stopped.timer = loop_timer_new(scene->loop, on_tick, &stopped);
    loop_timer_start(stopped.timer, 1, 1);
    loop_timer_stop(stopped.timer);
    struct ticker other = { .scene = scene, .ticks_max = 1 };
    other.timer = loop_timer_new(scene->loop, on_tick, &other);
    int64_t began_ms = loop_now_ms(scene->loop);
    loop_timer_start(other.timer, 10, 0);
    loop_run(scene->loop);
    assert_int_equal(stopped.ticks, 0);
    assert_true(loop_now_ms(scene->loop) >= began_ms + 10);
    assert_true(loop_turned_at_ms(scene->loop) >= began_ms);
}

static void test_a_timer_started_late_before_the_first_turn_is_not_early(void **state)
{
    struct scene *scene = *state;
    struct ticker ticker = { .scene = scene, .ticks_max = 1 };
    ticker.timer = loop_timer_new(scene->loop, on_tick, &ticker);
    int64_t made_ms = loop_now_ms(scene->loop);
    while (clock_monotonic_ms() < made_ms + 30) {
        /* a start that takes its time */
    }
    int64_t began_ms = clock_monotonic_ms();
    loop_timer_start(ticker.timer, 20, 0);
    loop_run(scene->loop);
    assert_true(clock_monotonic_ms() >= began_ms + 19); /* whole milliseconds */
}

/* --- posts --- */

struct producer;
struct item {
    struct producer *producer;
    int number;
};

struct producer {
    struct scene *scene;
    int next; /* what the loop expects */
    struct item items[PRODUCED];
};

static void on_item(void *arg)
{
    const struct item *item = arg;
    struct producer *producer = item->producer;
    assert_int_equal(item->number, producer->next);
    if (++producer->next == PRODUCED)
        loop_stop(producer->scene->loop);
}

static void *produce(void *arg)
{
    struct producer *producer = arg;
    for (int i = 0; i < PRODUCED; i++) {
        while (!loop_post(producer->scene->loop, on_item, &producer->items[i]))
            sched_yield();
    }
    return NULL;
}

static void test_posts_from_a_thread_arrive_in_order(void **state)
{
    struct producer *producer = calloc(1, sizeof *producer);
    producer->scene = *state;
    for (int i = 0; i < PRODUCED; i++)
        producer->items[i] = (struct item){ producer, i };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, produce, producer), 0);
    loop_run(producer->scene->loop);
    pthread_join(thread, NULL);
    assert_int_equal(producer->next, PRODUCED);
    free(producer);
}

static void on_post(void *arg)
{
    struct scene *scene = arg;
    note(scene, 'p');
    if (scene->seen_count == POSTS_MAX)
        loop_stop(scene->loop);
}

static void test_the_post_queue_is_bounded(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < POSTS_MAX; i++)
        assert_true(loop_post(scene->loop, on_post, scene));
    assert_false(loop_post(scene->loop, on_post, scene));
    loop_run(scene->loop);
    assert_string_equal(scene->seen, "pppp");
}

/* --- descriptors --- */

struct peer {
    struct scene *scene;
    struct loop_fd *watch;
    unsigned events;
};

static void on_peer(void *arg, int fd, unsigned events)
{
    (void)fd;
    struct peer *peer = arg;
    peer->events |= events;
    loop_fd_free(peer->watch);
    loop_stop(peer->scene->loop);
}

static void test_a_hangup_is_seen(void **state)
{
    struct scene *scene = *state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct peer peer = { .scene = scene };
    peer.watch = loop_fd_new(scene->loop, fds[0], on_peer, &peer);
    loop_fd_watch(peer.watch, LOOP_HANGUP);
    close(fds[1]);
    loop_run(scene->loop);
    assert_int_equal(peer.events & LOOP_HANGUP, LOOP_HANGUP);
    close(fds[0]);
}

static void test_an_error_is_delivered_as_what_was_asked(void **state)
{
    struct scene *scene = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct peer peer = { .scene = scene };
    peer.watch = loop_fd_new(scene->loop, fds[1], on_peer, &peer);
    loop_fd_watch(peer.watch, LOOP_WRITE);
    close(fds[0]); /* EPOLLERR on the writing end */
    loop_run(scene->loop);
    assert_int_equal(peer.events, LOOP_WRITE);
    close(fds[1]);
}

static void test_a_watch_of_nothing_is_silent(void **state)
{
    struct scene *scene = *state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct peer peer = { .scene = scene };
    peer.watch = loop_fd_new(scene->loop, fds[0], on_peer, &peer);
    loop_fd_watch(peer.watch, LOOP_WRITE);
    loop_fd_watch(peer.watch, 0);
    struct ticker ticker = { .scene = scene, .ticks_max = 3 };
    ticker.timer = loop_timer_new(scene->loop, on_tick, &ticker);
    loop_timer_start(ticker.timer, 0, 1);
    loop_run(scene->loop);
    assert_int_equal(peer.events, 0);
    loop_fd_free(peer.watch);
    close(fds[0]);
    close(fds[1]);
}

/* --- signals, work --- */

static void on_signal(void *arg, int signal_number)
{
    struct scene *scene = arg;
    note(scene, signal_number == SIGUSR1 ? 's' : '?');
    loop_stop(scene->loop);
}

static void test_a_signal_arrives_on_the_loop(void **state)
{
    struct scene *scene = *state;
    struct loop_signal *watch = loop_signal_new(scene->loop, SIGUSR1, on_signal, scene);
    assert_int_equal(raise(SIGUSR1), 0);
    loop_run(scene->loop);
    assert_string_equal(scene->seen, "s");
    loop_signal_free(watch);
}

struct errand_work {
    struct scene *scene;
    pthread_t loop_thread;
    bool worked;
};

static void on_work(void *arg)
{
    struct errand_work *work = arg;
    work->worked = !pthread_equal(pthread_self(), work->loop_thread);
}

static void on_work_done(void *arg)
{
    struct errand_work *work = arg;
    assert_true(pthread_equal(pthread_self(), work->loop_thread));
    loop_stop(work->scene->loop);
}

static void test_blocking_work_runs_elsewhere(void **state)
{
    struct errand_work work = { .scene = *state, .loop_thread = pthread_self() };
    loop_work(work.scene->loop, on_work, on_work_done, &work);
    loop_run(work.scene->loop);
    assert_true(work.worked);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(test_tasks_run_in_order_and_later_ones_in_the_next_turn),
        SCENE(test_a_task_taken_out_does_not_run),
        SCENE(test_a_repeating_timer_freed_in_its_callback_stays_silent),
        SCENE(test_a_timer_that_restarts_itself_does_not_starve_descriptors),
        SCENE(test_a_stopped_timer_does_not_fire),
        SCENE(test_a_timer_started_late_before_the_first_turn_is_not_early),
        SCENE(test_posts_from_a_thread_arrive_in_order),
        SCENE(test_the_post_queue_is_bounded),
        SCENE(test_a_hangup_is_seen),
        SCENE(test_an_error_is_delivered_as_what_was_asked),
        SCENE(test_a_watch_of_nothing_is_silent),
        SCENE(test_a_signal_arrives_on_the_loop),
        SCENE(test_blocking_work_runs_elsewhere),
    };
    return cmocka_run_group_tests_name("infra/loop", tests, NULL, NULL);
}
