/* What every daemon does alike: command line (--config FILE, --version, --help), configuration,
 * log, loop, metrics, the operators' routes (/livez, /readyz, /metrics), readiness, SIGTERM (drain;
 * a second one exits at once), a watchdog that ends a process whose loop does not turn, SIGPIPE
 * ignored, core limits, open-file limit raised.
 * THREADS: everything on the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SERVICE_H
#define INFRA_SERVICE_H

#include "infra/config.h"
#include "infra/http_server.h"
#include "infra/log.h"
#include "infra/loop.h"
#include "infra/metrics.h"

struct service;

struct service_spec {
    const char *program;     /* "errand-worker" */
    const char *description; /* one sentence for --help */
    /* Which listener of the configuration the operators' routes are served on (the gateway's own
     * routes come with `routes`). */
    const struct config_http *(*http)(const struct config *config);
    const struct http_route *routes; /* beside the operators' */
    size_t route_count;
    /* Starts the daemon's work; the state it returns is passed to the others. */
    enum err_code (*start)(struct service *service, void **ret_state, struct err *err);
    /* SIGTERM: stop taking work, finish what runs, then call service_drained. Bounded by drain_ms.
     */
    void (*drain)(void *state);
    /* The loop has stopped: free. */
    void (*stop)(void *state);
    int64_t drain_ms;
    /* The same, where the configuration has it; NULL: drain_ms. */
    int64_t (*drain_ms_of)(const struct config *config);
};
/* The whole main(): returns the exit code (0 drained, 1 failed, 2 usage or configuration). */
int service_main(const struct service_spec *spec, int argc, char **argv);
/* What it does first of all: signals that are nothing to us, open files, core files. */
void service_process_limit(void);

struct loop *service_loop(const struct service *service);
const struct config *service_config(const struct service *service);
/* Where it was read; NULL: from the environment alone. */
const char *service_config_path(const struct service *service);
struct log *service_log(const struct service *service);
struct metrics *service_metrics(const struct service *service);
struct http_server *service_http(const struct service *service);
/* "worker-1" (ERRAND_PROCESS names it; default the program's name without "errand-"). */
const char *service_name(const struct service *service);
/* Random 16 hex digits of this process's life: the incarnation. */
const char *service_incarnation(const struct service *service);
/* The state given by start, for the routes' handlers (their arg is the service). */
void *service_state(const struct service *service);
void service_drained(struct service *service);
bool service_is_draining(const struct service *service);
/* Ends the process with exit code 1 after logging why. */
void service_fail(struct service *service, const struct err *err);

/* Readiness: named conditions; /readyz is 200 when all hold and lists what is missing and why.
 * Created not ready. */
struct service_condition;
struct service_condition *service_condition_new(struct service *service, const char *name);
/* `why` while not ready (copied); ignored when ready. */
void service_condition_set(struct service_condition *condition, bool ready, const char *why);
bool service_ready(const struct service *service);

#endif
