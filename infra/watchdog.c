/* See watchdog.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/watchdog.h"

#include "schemas/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LOOKS = 10 }; /* so many in a row that see no turn are a stall */

struct watchdog {
    struct loop *loop;
    struct loop_timer *heartbeat;
    int64_t look_ms;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards `stopping` */
    pthread_cond_t changed;
    bool stopping;
};

/* Its only work is to make an idle loop turn. */
static void on_heartbeat(void *arg)
{
    (void)arg;
}

static void end_process(const struct watchdog *watchdog)
{
    char text[96];
    long long stalled_ms = LOOKS * watchdog->look_ms;
    int size =
        snprintf(text, sizeof text,
                 "the event loop has not turned for %lld ms: ending the process\n", stalled_ms);
    /* Not through the log: what hangs may hold its lock, and abort() does not wait for its writer.
     */
    (void)!write(STDERR_FILENO, text, (size_t)size);
    abort();
}

/* Waits for the time of the next look; false when there is none. */
static bool wait_for_look(struct watchdog *watchdog)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + watchdog->look_ms * 1000000;
    until.tv_sec += nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    pthread_mutex_lock(&watchdog->mutex);
    int timed_out = 0;
    while (!watchdog->stopping && !timed_out)
        timed_out = pthread_cond_timedwait(&watchdog->changed, &watchdog->mutex, &until);
    bool go_on = !watchdog->stopping;
    pthread_mutex_unlock(&watchdog->mutex);
    return go_on;
}

/* thread: its own */
static void *watch(void *arg)
{
    struct watchdog *watchdog = arg;
    int64_t seen_ms = loop_turned_at_ms(watchdog->loop);
    int stalled_looks = 0;
    while (wait_for_look(watchdog)) {
        int64_t turned_at_ms = loop_turned_at_ms(watchdog->loop);
        stalled_looks = turned_at_ms == seen_ms ? stalled_looks + 1 : 0;
        seen_ms = turned_at_ms;
        if (stalled_looks == LOOKS)
            end_process(watchdog);
    }
    return NULL;
}

struct watchdog *watchdog_start(struct loop *loop, int64_t stall_ms)
{
    struct watchdog *watchdog = MEM_NEW(*watchdog);
    watchdog->loop = loop;
    watchdog->look_ms = stall_ms / LOOKS;
    pthread_mutex_init(&watchdog->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watchdog->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    watchdog->heartbeat = loop_timer_new(loop, on_heartbeat, NULL);
    loop_timer_start(watchdog->heartbeat, watchdog->look_ms, watchdog->look_ms);
    if (pthread_create(&watchdog->thread, NULL, watch, watchdog)) {
        (void)fprintf(stderr, "the watchdog's thread cannot be started\n");
        abort();
    }
    return watchdog;
}

void watchdog_stop(struct watchdog *watchdog)
{
    if (!watchdog)
        return;
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->stopping = true;
    pthread_cond_signal(&watchdog->changed);
    pthread_mutex_unlock(&watchdog->mutex);
    pthread_join(watchdog->thread, NULL);
    loop_timer_free(watchdog->heartbeat);
    pthread_cond_destroy(&watchdog->changed);
    pthread_mutex_destroy(&watchdog->mutex);
    free(watchdog);
}
