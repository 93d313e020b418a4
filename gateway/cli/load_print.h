/* The report of the load generator, for people and for programs.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_LOAD_PRINT_H
#define GATEWAY_CLI_LOAD_PRINT_H

#include "gateway/cli/args.h"
#include "producers/load.h"
#include "schemas/buf.h"

int load_print(const struct args *args, const struct load_options *options,
               const struct load_report *report);
void load_print_render(const struct load_options *options, const struct load_report *report,
                       struct buf *out);
/* One JSON object, without its schema. */
void load_print_json(const struct load_options *options, const struct load_report *report,
                     struct buf *out);
/* CLI_OK when every job was accepted and, e2e, succeeded. */
int load_print_exit_code(const struct load_options *options, const struct load_report *report);
/* Jobs that are due and have not ended: under way, or waiting for a connection. */
uint64_t load_print_open(const struct load_report *report);

#endif
