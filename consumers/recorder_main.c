/* errand-recorder: writes the view. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/recorder.h"

static const struct config_http *http(const struct config *config)
{
    return &config->recorder.http;
}

static enum err_code start(struct service *service, void **ret_state, struct err *err)
{
    struct recorder *recorder;
    enum err_code code = recorder_open(service, &recorder, err);
    if (code == ERR_OK)
        *ret_state = recorder;
    return code;
}

static void drain(void *state)
{
    recorder_drain(state);
}

static void stop(void *state)
{
    recorder_close(state);
}

int main(int argc, char **argv)
{
    static const struct service_spec spec = {
        .program = "errand-recorder",
        .description = "Folds commands and events into the view.",
        .http = http,
        .start = start,
        .drain = drain,
        .stop = stop,
        .drain_ms = 10000,
    };
    return service_main(&spec, argc, argv);
}
