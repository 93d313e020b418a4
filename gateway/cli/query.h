/* The query of a request's address (RFC 3986), put together argument by argument.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_QUERY_H
#define GATEWAY_CLI_QUERY_H

#include "gateway/cli/args.h"
#include "schemas/buf.h"

/* Appends "?name=value", or "&name=value" when there is a query already; both encoded. */
void query_add(struct buf *path, const char *name, struct span value);
/* Appends what option `name` was given as, each time it was given, under its own name. */
void query_add_option(struct buf *path, const struct args *args, const char *name);

#endif
