/* What the exit code of the command line means. Scripts match on it: a code never changes its
 * meaning.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_EXIT_CODE_H
#define GATEWAY_CLI_EXIT_CODE_H

#include <stddef.h>

enum exit_code {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,
    CLI_AUTH = 4,
    CLI_UNREACHABLE = 5,
    CLI_REFUSED = 6,
    CLI_OVERLOADED = 7,
    CLI_PENDING = 8,
    CLI_JOB_FAILED = 9,
    CLI_JOB_ENDED = 10,
    CLI_INTERRUPTED = 130,
};

/* What the i-th code means, for help. NULL past the last one. */
const char *exit_code_at(size_t i, enum exit_code *ret_code);
/* The code that fits an HTTP status that is no success. */
enum exit_code exit_code_of_status(int http_status);

#endif
