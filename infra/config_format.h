/* What single values of the configuration must look like: names, addresses, URLs, statuses,
 * headers. Pure functions of the type config_format_fn (see config_table.h): NULL when the value is
 * right, else what is allowed, a literal. Private to infra/config*.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_CONFIG_FORMAT_H
#define INFRA_CONFIG_FORMAT_H

#include "schemas/span.h"

#define CONFIG_NAME_MAX 64

const char *config_format_name(struct span name, struct span text);
const char *config_format_type_name(struct span name, struct span text);
const char *config_format_namespace(struct span name, struct span text);
const char *config_format_id_secret(struct span name, struct span text);

/* Addresses: "host:port", "[::1]:port"; brokers several with commas; Redis also "unix:/path". */
const char *config_format_listen(struct span name, struct span text);
const char *config_format_brokers(struct span name, struct span text);
const char *config_format_redis(struct span name, struct span text);
/* Whether a listener's address can be reached from this machine only. */
bool config_format_is_loopback(struct span listen);

/* "", or an absolute path. */
const char *config_format_file(struct span name, struct span text);
const char *config_format_base_url(struct span name, struct span text);
const char *config_format_path(struct span name, struct span text);
const char *config_format_pointer(struct span name, struct span text);
/* "200", "2xx"; for retry also "timeout" and "unreachable". */
const char *config_format_status(struct span name, struct span text);
const char *config_format_retry(struct span name, struct span text);
/* "50/s"; "0" */
const char *config_format_rate(struct span name, struct span text);

/* Pairs. A header of a target and a librdkafka property may be a credential, which must be a
 * reference: the loader asks config_format_is_credential. */
const char *config_format_query(struct span name, struct span text);
const char *config_format_header(struct span name, struct span text);
const char *config_format_property(struct span name, struct span text);
bool config_format_is_credential(struct span name);

#endif
