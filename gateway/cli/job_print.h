/* A job as the gateway tells it, for people and for programs.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_JOB_PRINT_H
#define GATEWAY_CLI_JOB_PRINT_H

#include "gateway/cli/api.h"
#include "schemas/buf.h"

/* Prints the job in the form that --output asks for; an exit code. */
int job_print(const struct args *args, const struct api_answer *answer);
/* The job for people, one member a line; `relative`: times as people say them, from now on. */
void job_print_render(const struct json *job, bool colour, bool relative, struct buf *out);
bool job_print_is_finished(const struct json *job);
/* How a finished job ended, as an exit code. */
int job_print_exit_code(const struct json *job);

#endif
