/* The exit codes in one table, from which `errand help exit-codes` is made.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/exit_code.h"

static const struct {
    enum exit_code code;
    const char *meaning;
} codes[] = {
    { CLI_OK, "done" },
    { CLI_FAILED, "failed: the message says why" },
    { CLI_USAGE, "the command line or the configuration is wrong; nothing was done" },
    { CLI_NOT_FOUND, "there is no such job, job type or process" },
    { CLI_AUTH, "an API key is missing, wrong or not allowed to do this" },
    { CLI_UNREACHABLE, "the server cannot be reached; nothing is known to have been done" },
    { CLI_REFUSED, "refused: the request is wrong, or in conflict with an earlier one" },
    { CLI_OVERLOADED, "not now: a limit is reached or a part is away; try again later" },
    { CLI_PENDING, "the time to wait is over and the job is still under way" },
    { CLI_JOB_FAILED, "the job failed" },
    { CLI_JOB_ENDED, "the job was cancelled, or expired before it was started" },
    { CLI_INTERRUPTED, "interrupted (Ctrl-C)" },
};

const char *exit_code_at(size_t i, enum exit_code *ret_code)
{
    if (i >= sizeof codes / sizeof codes[0])
        return NULL;
    *ret_code = codes[i].code;
    return codes[i].meaning;
}

enum exit_code exit_code_of_status(int http_status)
{
    switch (http_status) {
    case 401:
    case 403:
        return CLI_AUTH;
    case 404:
    case 410:
        return CLI_NOT_FOUND;
    case 429:
    case 502:
    case 503:
    case 504:
        return CLI_OVERLOADED;
    default:
        return http_status >= 500 ? CLI_FAILED : CLI_REFUSED;
    }
}
