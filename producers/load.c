/* The load generator's engine: slots that each hold a connection and at most one job, a schedule
 * that says which jobs are due, and a clock that wakes it in time (a timerfd: milliseconds would
 * be too coarse for thousands a second).
 * SPDX-License-Identifier: Apache-2.0 */
#include "producers/load.h"

#include "infra/clock.h"
#include "infra/loop.h"
#include "producers/load_body.h"
#include "producers/load_connection.h"
#include "producers/load_history.h"
#include "schemas/mem.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define POSTS_MAX       16
#define PROGRESS_MS     50
#define REST_US         100000    /* after a failure, so that a dead server is not hammered */
#define REFUSED_REST_US 10000     /* after an answer that refuses */
#define WAKE_US_MIN     100       /* jobs due closer together are sent together */
#define ANSWER_US_MAX   30000000  /* to a submission */
#define FINISH_US_MAX   120000000 /* to a finished job, from when it was due */
#define STRAGGLERS_US   10000000
#define WAIT_S          20
#define RATE_UNIT       1000
#define US_PER_S        1000000

struct slot {
    struct load *load;
    struct load_connection *connection;
    int64_t n;
    int64_t due_us;
    int64_t asked_us;
    int64_t rest_until_us;
    char id[64];
    int64_t asked_ms; /* wall clock, of the last request */
    bool reading;     /* accepted; waiting for it to finish */
    bool looking;     /* ended; an earlier one is being read again */
    bool resent;      /* the submission, for the one time that it may be */
    struct slot *next_idle;
    bool idle; /* in the list */
};

struct load {
    const struct load_options *options;
    struct load_report report;
    struct loop *loop;
    struct load_body *body;
    struct addrinfo *addresses;
    struct slot *slots;
    size_t slot_count, slots_max;
    struct slot *idle;
    size_t busy;
    int64_t started_us;
    int64_t last_due_us; /* when the schedule ended; 0: it goes on */
    int timer_fd;
    struct loop_fd *timer_watch;
    struct loop_timer *progress;
    bool stopped; /* nothing more is begun */
    struct buf key;
    struct load_history *history; /* NULL: nobody wants one */
};

/* --- the schedule --- */

int64_t load_due_us(int64_t rate, int64_t n)
{
    const int64_t unit = (int64_t)RATE_UNIT * US_PER_S;
    return n / rate * unit + n % rate * unit / rate;
}

int64_t load_due_count(int64_t rate, int64_t elapsed_us)
{
    const int64_t unit = (int64_t)RATE_UNIT * US_PER_S;
    if (elapsed_us < 0)
        return 0;
    return elapsed_us / unit * rate + elapsed_us % unit * rate / unit + 1;
}

/* The jobs there will be at `now_us`, counted from the beginning. */
static int64_t jobs_due(const struct load *load, int64_t now_us)
{
    const struct load_options *options = load->options;
    int64_t elapsed_us = now_us - load->started_us;
    int64_t limit_us = options->duration_ms * 1000;
    bool over = limit_us > 0 && elapsed_us >= limit_us;
    int64_t due = INT64_MAX;
    if (options->rate > 0)
        due = load_due_count(options->rate, over ? limit_us - 1 : elapsed_us);
    else if (over)
        due = (int64_t)load->report.due;
    return options->count > 0 && due > options->count ? options->count : due;
}

static bool is_over(const struct load *load, int64_t now_us)
{
    const struct load_options *options = load->options;
    bool counted = options->count > 0 && (int64_t)load->report.sent >= options->count;
    bool timed = options->duration_ms > 0 &&
                 now_us - load->started_us >= options->duration_ms * 1000 &&
                 (options->rate == 0 || (int64_t)load->report.sent >= jobs_due(load, now_us));
    return load->stopped || counted || timed;
}

/* --- slots --- */

static void make_idle(struct slot *slot)
{
    if (slot->idle)
        return;
    slot->idle = true;
    slot->next_idle = slot->load->idle;
    slot->load->idle = slot;
}

static void on_answer(void *arg, const struct load_response *response);
static void on_failed(void *arg, enum load_failure failure);

static struct slot *take_slot(struct load *load)
{
    struct slot *slot = load->idle;
    if (slot) {
        load->idle = slot->next_idle;
        slot->idle = false;
        return slot;
    }
    if (load->slot_count == load->slots_max)
        return NULL;
    slot = &load->slots[load->slot_count++];
    const struct load_connection_events events = { .arg = slot,
                                                   .on_answer = on_answer,
                                                   .on_failed = on_failed };
    slot->load = load;
    slot->connection = load_connection_new(load->loop, load->addresses->ai_addr,
                                           load->addresses->ai_addrlen, &events);
    load->report.connections = load->slot_count;
    return slot;
}

static void send_job(struct slot *slot, int64_t n, int64_t now_us)
{
    struct load *load = slot->load;
    bool open_loop = load->options->rate > 0;
    slot->n = n;
    slot->due_us = open_loop ? load->started_us + load_due_us(load->options->rate, n) : now_us;
    slot->asked_us = now_us;
    slot->reading = slot->resent = false;
    load->busy++;
    load->report.sent++;
    slot->asked_ms = load_history_submit(load->history, load->body, n);
    load_body_submit(load->body, n, load_connection_request(slot->connection));
    load_connection_send(slot->connection);
}

static void arm(struct load *load, int64_t at_us)
{
    struct itimerspec when = {
        .it_value = { .tv_sec = at_us / US_PER_S, .tv_nsec = at_us % US_PER_S * 1000 },
    };
    (void)timerfd_settime(load->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Sends what is due as far as there are connections for it. */
static void dispatch(struct load *load)
{
    int64_t now_us = clock_monotonic_us();
    int64_t due = load->stopped ? (int64_t)load->report.sent : jobs_due(load, now_us);
    struct slot *slot = NULL;
    if (load->options->rate > 0 && !load->stopped)
        load->report.due = (uint64_t)due;
    while ((int64_t)load->report.sent < due && (slot = take_slot(load)) != NULL)
        send_job(slot, (int64_t)load->report.sent, now_us);
    if (load->options->rate == 0)
        load->report.due = load->report.sent;
    if (is_over(load, now_us)) {
        if (load->busy == 0)
            loop_stop(load->loop);
        if (load->last_due_us == 0)
            load->last_due_us = now_us;
    } else if (load->options->rate > 0 && (int64_t)load->report.sent == due) {
        int64_t next_us = load->started_us + load_due_us(load->options->rate, due);
        arm(load, next_us > now_us + WAKE_US_MIN ? next_us : now_us + WAKE_US_MIN);
    }
}

/* --- answers --- */

static void end_job(struct slot *slot, int64_t rest_us)
{
    struct load *load = slot->load;
    load->busy--;
    slot->reading = slot->looking = false;
    slot->rest_until_us = rest_us ? clock_monotonic_us() + rest_us : 0;
    if (!rest_us)
        make_idle(slot);
    dispatch(load);
}

static void measure(struct slot *slot)
{
    histogram_record(&slot->load->report.latency, clock_monotonic_us() - slot->due_us);
}

static void ask_again(struct slot *slot)
{
    struct span id = span_of(slot->id);
    int wait_s = slot->looking ? 0 : slot->load->history ? LOAD_HISTORY_WAIT_S : WAIT_S;
    slot->asked_ms = load_history_now_ms(slot->load->history);
    load_body_wait(slot->load->body, id, wait_s, load_connection_request(slot->connection));
    load_connection_send(slot->connection);
}

/* The job has ended: over, or a look at one that ended earlier. */
static void look_back(struct slot *slot)
{
    slot->reading = false;
    slot->looking = load_history_swap(slot->load->history, slot->id, sizeof slot->id);
    if (!slot->looking) {
        end_job(slot, 0);
        return;
    }
    slot->asked_us = clock_monotonic_us();
    ask_again(slot);
}

static void on_accepted(struct slot *slot, struct span id)
{
    struct load *load = slot->load;
    load->report.accepted++;
    if (load->options->on_accepted) {
        buf_reset(&load->key);
        load_body_key(load->body, slot->n, &load->key);
        load->options->on_accepted(load->options->arg, id, buf_span(&load->key));
    }
    if (load->options->mode == LOAD_E2E && id.size > 0 && id.size < sizeof slot->id) {
        (void)snprintf(slot->id, sizeof slot->id, "%.*s", SPAN_ARG(id));
        slot->reading = true;
        slot->asked_us = clock_monotonic_us();
        ask_again(slot);
        return;
    }
    measure(slot);
    end_job(slot, 0);
}

static void on_submitted(struct slot *slot, const struct load_response *response)
{
    struct load *load = slot->load;
    load_history_submitted(load->history, load->body, slot->n, slot->asked_ms, response);
    if (response->status < LOAD_STATUS_MAX)
        load->report.by_status[response->status]++;
    if (response->status == 200 || response->status == 202)
        on_accepted(slot, load_response_member(response->body, "id"));
    else
        end_job(slot, REFUSED_REST_US);
}

static void on_read(struct slot *slot, const struct load_response *response)
{
    enum job_state state = JOB_QUEUED;
    struct load_report *report = &slot->load->report;
    bool told = response->status == 200 &&
                job_state_parse(load_response_member(response->body, "state"), &state);
    load_history_read(slot->load->history, slot->id, slot->asked_ms, response);
    if (told && job_state_is_terminal(state)) {
        report->finished++;
        report->by_state[state]++;
        measure(slot);
        look_back(slot);
    } else if (clock_monotonic_us() - slot->due_us > FINISH_US_MAX) {
        report->timeouts++;
        end_job(slot, 0);
    } else if (response->status == 200) {
        ask_again(slot);
    } else { /* the view is behind: a moment later */
        slot->rest_until_us = clock_monotonic_us() + REST_US;
    }
}

static void on_answer(void *arg, const struct load_response *response)
{
    struct slot *slot = arg;
    if (slot->looking) {
        load_history_read(slot->load->history, slot->id, slot->asked_ms, response);
        end_job(slot, 0);
    } else if (slot->reading) {
        on_read(slot, response);
    } else {
        on_submitted(slot, response);
    }
}

/* With its key it is the same job, whether the first one was heard or not. */
static void resend(struct slot *slot)
{
    struct load *load = slot->load;
    slot->resent = true;
    load->report.resent++;
    load_body_submit(load->body, slot->n, load_connection_request(slot->connection));
    load_connection_send(slot->connection);
}

static void on_failed(void *arg, enum load_failure failure)
{
    struct slot *slot = arg;
    bool submitting = !slot->reading && !slot->looking;
    if (failure == LOAD_FAILED_IDLE) /* the next request makes a new connection */
        return;
    if (submitting && failure == LOAD_FAILED_REUSED && slot->load->options->resend &&
        !slot->resent) {
        resend(slot);
        return;
    }
    if (slot->reading) { /* a read can be asked again */
        slot->rest_until_us = clock_monotonic_us() + REST_US;
        return;
    }
    if (submitting) {
        slot->load->report.broken++;
        load_history_unanswered(slot->load->history, slot->load->body, slot->n, slot->asked_ms);
    }
    end_job(slot, REST_US);
}

/* --- the clock --- */

static bool is_late(const struct slot *slot, int64_t now_us)
{
    if (slot->reading)
        return now_us - slot->due_us > FINISH_US_MAX + ANSWER_US_MAX;
    return load_connection_is_busy(slot->connection) && now_us - slot->asked_us > ANSWER_US_MAX;
}

static void look_after(struct slot *slot, int64_t now_us)
{
    struct load *load = slot->load;
    if (is_late(slot, now_us)) {
        load_connection_reset(slot->connection);
        load->report.timeouts += !slot->looking;
        if (!slot->looking && !slot->reading)
            load_history_unanswered(load->history, load->body, slot->n, slot->asked_ms);
        end_job(slot, REST_US);
    } else if (slot->rest_until_us && slot->rest_until_us <= now_us) {
        slot->rest_until_us = 0;
        if (slot->reading)
            ask_again(slot);
        else
            make_idle(slot);
    }
}

static void on_progress(void *arg)
{
    struct load *load = arg;
    int64_t now_us = clock_monotonic_us();
    load->report.elapsed_us = now_us - load->started_us;
    for (size_t i = 0; i < load->slot_count; i++)
        look_after(&load->slots[i], now_us);
    if (load->options->on_progress &&
        !load->options->on_progress(load->options->arg, &load->report))
        load->stopped = true;
    dispatch(load);
    bool waited = load->last_due_us && load->options->mode == LOAD_SUBMIT &&
                  now_us - load->last_due_us > ANSWER_US_MAX + STRAGGLERS_US;
    if (waited || (load->stopped && load->busy == 0))
        loop_stop(load->loop);
}

static void on_timer(void *arg, int fd, unsigned events)
{
    uint64_t expirations = 0;
    (void)events;
    if (read(fd, &expirations, sizeof expirations) > 0)
        dispatch(arg);
}

/* --- life --- */

static enum err_code resolve(struct load *load, struct err *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    int failed = getaddrinfo(load->options->host, load->options->port, &hints, &load->addresses);
    if (failed)
        return err_set(err, ERR_INVALID_FIELD, "the address %s:%s cannot be resolved: %s",
                       load->options->host, load->options->port, gai_strerror(failed));
    load->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (load->timer_fd < 0)
        return err_set(err, ERR_IO, "no timer can be had (errno %d)", errno);
    return ERR_OK;
}

static void run(struct load *load)
{
    load->timer_watch = loop_fd_new(load->loop, load->timer_fd, on_timer, load);
    load->progress = loop_timer_new(load->loop, on_progress, load);
    loop_fd_watch(load->timer_watch, LOOP_READ);
    load->started_us = clock_monotonic_us();
    loop_timer_start(load->progress, PROGRESS_MS, PROGRESS_MS);
    arm(load, load->started_us + 1);
    loop_run(load->loop);
    load->report.elapsed_us = clock_monotonic_us() - load->started_us;
}

static void clear(struct load *load)
{
    for (size_t i = 0; i < load->slot_count; i++)
        load_connection_free(load->slots[i].connection);
    if (load->timer_watch)
        loop_fd_free(load->timer_watch);
    loop_timer_free(load->progress);
    if (load->timer_fd >= 0)
        (void)close(load->timer_fd);
    if (load->addresses)
        freeaddrinfo(load->addresses);
    load_body_free(load->body);
    load_history_free(load->history);
    buf_free(&load->key);
    loop_free(load->loop);
    free(load->slots);
    free(load);
}

enum err_code load_run(const struct load_options *options, struct load_report *ret_report,
                       struct err *err)
{
    struct load *load = MEM_NEW(*load);
    int64_t wanted =
        options->connections < LOAD_CONNECTIONS_MAX ? options->connections : LOAD_CONNECTIONS_MAX;
    load->options = options;
    load->timer_fd = -1;
    load->slots_max = (size_t)wanted;
    load->slots = mem_zalloc(load->slots_max, sizeof *load->slots);
    load->key = (struct buf)BUF_INIT(256);
    load->loop = loop_new(POSTS_MAX);
    load->body = load_body_new(options);
    load->history = load_history_new(options);
    enum err_code code = resolve(load, err);
    if (code == ERR_OK) {
        run(load);
        *ret_report = load->report;
    }
    clear(load);
    return code;
}
