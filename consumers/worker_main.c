/* errand-worker: does the jobs. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/attempts.h"
#include "consumers/worker.h"

#include <string.h>

static const struct config_http *http(const struct config *config)
{
    return &config->worker.http;
}

static enum err_code start(struct service *service, void **ret_state, struct err *err)
{
    struct worker *worker;
    enum err_code code = worker_open(service, &worker, err);
    if (code == ERR_OK)
        *ret_state = worker;
    return code;
}

static void drain(void *state)
{
    worker_drain(state);
}

static void stop(void *state)
{
    worker_close(state);
}

int main(int argc, char **argv)
{
    static const struct service_spec spec = {
        .program = "errand-worker",
        .description = "Consumes commands and does their jobs.",
        .http = http,
        .start = start,
        .drain = drain,
        .stop = stop,
        .drain_ms = 10000,
    };
    if (argc > 1 && strcmp(argv[1], "--attempts") == 0) /* a child of a worker: suspects.c */
        return attempts_main(argc > 3 && strcmp(argv[2], "--config") == 0 ? argv[3] : NULL);
    return service_main(&spec, argc, argv);
}
