/* A handler does one attempt of a job and says how it went. The worker knows handlers by this
 * interface alone: what is retried, given up or recorded is the worker's decision, from the
 * outcome's class.
 * thread: the worker's loop
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_HANDLER_H
#define CONSUMERS_HANDLER_H

#include "infra/config.h"
#include "infra/http_client.h"
#include "infra/loop.h"
#include "schemas/job.h"

/* How an attempt went. Borrowed for the callback. */
struct outcome {
    enum err_code code; /* ERR_OK: `result` is set */
    enum err_class
        class_;       /* what to do about it; the configuration may overrule the code's own class */
    char detail[256]; /* for people, without credentials */
    uint32_t status;  /* the target's HTTP status, 0 none */
    int64_t retry_after_ms; /* the target's wish, -1 none */
    struct span result;
    enum job_result_kind result_kind;
};
typedef void (*outcome_fn)(void *arg, const struct outcome *outcome);

/* Fills `outcome` with a failure from `err` (its code's class). */
void outcome_fail(struct outcome *outcome, const struct err *err);
/* The same with the code's own text. */
void outcome_fail_code(struct outcome *outcome, enum err_code code);

/* What a running attempt is to its handler; freed by the handler after the callback. */
struct handler_run;

/* A job type's handler, made ready from its configuration. */
struct handler {
    /* Begins; the callback comes once, never from inside. The command is borrowed until then. */
    struct handler_run *(*start)(struct handler *handler, const struct job_command *command,
                                 outcome_fn fn, void *arg);
    /* Aborts: the callback comes soon, with ERR_CANCELLED unless the attempt was over already. */
    void (*cancel)(struct handler_run *run);
    /* Whoever still runs is told ERR_CANCELLED before it returns; calls by the HTTP client's end,
     * which comes first. */
    void (*free)(struct handler *handler);
};

struct handler_tools { /* borrowed for the handler's life */
    struct loop *loop;
    struct http_client *http;
    const struct config *config;
    size_t rule_threads_max;
};
/* The handler that the type's configuration names. */
enum err_code handler_new(const struct handler_tools *tools, const struct config_type *type,
                          struct handler **ret_handler, struct err *err) MUST_CHECK;
/* `call`: a third party over HTTP (call.c). */
enum err_code call_new(const struct handler_tools *tools, const struct config_type *type,
                       struct handler **ret_handler, struct err *err) MUST_CHECK;
/* `rules`: a C function of rules.h (rules_handler.c). */
enum err_code rules_handler_new(const struct handler_tools *tools, const struct config_type *type,
                                struct handler **ret_handler, struct err *err) MUST_CHECK;

#endif
