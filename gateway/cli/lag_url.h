/* The lag as a gateway tells it, for whoever does not reach Kafka.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_LAG_URL_H
#define GATEWAY_CLI_LAG_URL_H

#include "consumers/lag.h"
#include "gateway/cli/api.h"

/* GET /v1/lag, of each group that --group names or of those of the queues; free with lag_look_free.
 * The exit code; else than CLI_OK it has said why. The rates are the gateway's. thread: the api's
 */
int lag_url_look(struct api *api, const struct args *args, struct lag_look **ret_look);

#endif
