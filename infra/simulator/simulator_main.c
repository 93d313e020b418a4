/* errand-simulator. See simulator.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/simulator.h"

#define DRAIN_MS 1000

static const struct config_http *http_of(const struct config *config)
{
    return &config->simulator.http;
}

int main(int argc, char **argv)
{
    const struct service_spec spec = {
        .program = "errand-simulator",
        .description = "Third parties of our own: they answer, misbehave on request, and remember "
                       "what they were asked.",
        .http = http_of,
        .routes = simulator_routes,
        .route_count = simulator_route_count,
        .start = simulator_start,
        .drain = simulator_drain,
        .stop = simulator_stop,
        .drain_ms = DRAIN_MS,
    };
    return service_main(&spec, argc, argv);
}
