/* errand-delayer: holds what is due later. SPDX-License-Identifier: Apache-2.0 */
#include "producers/delayer.h"

static const struct config_http *http(const struct config *config)
{
    return &config->delayer.http;
}

static enum err_code start(struct service *service, void **ret_state, struct err *err)
{
    struct delayer *delayer;
    enum err_code code = delayer_open(service, &delayer, err);
    if (code == ERR_OK)
        *ret_state = delayer;
    return code;
}

static void drain(void *state)
{
    delayer_drain(state);
}

static void stop(void *state)
{
    delayer_close(state);
}

int main(int argc, char **argv)
{
    static const struct service_spec spec = {
        .program = "errand-delayer",
        .description = "Holds commands that are due later and hands them on in time.",
        .http = http,
        .start = start,
        .drain = drain,
        .stop = stop,
        .drain_ms = 10000,
    };
    return service_main(&spec, argc, argv);
}
