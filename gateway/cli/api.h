/* A client of one gateway, one request after the other: for verbs that ask and print. A
 * connection that fails is tried again, since every request here is one that may come twice (a
 * read, or a submission with a key).
 * thread: the one that opened it
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_API_H
#define GATEWAY_CLI_API_H

#include "gateway/cli/args.h"
#include "gateway/cli/exit_code.h"
#include "schemas/buf.h"

struct api;
struct json;

/* The gateway's base URL by --url, --dir, ERRAND_URL or the folder's state; free with free().
 * NULL, having said why, when there is none. */
char *api_find_url(const struct args *args);

/* NULL, having said why, when no gateway is known. */
struct api *api_open(const struct args *args);
/* The same at a base URL, of anything that speaks JSON over HTTP. */
struct api *api_open_at(const char *url);
void api_close(struct api *api);

struct api_request {
    const char *method;
    const char *path;            /* "/v1/jobs" */
    const char *idempotency_key; /* NULL: none */
    struct span body;            /* JSON; data NULL: none */
    int64_t timeout_ms;
};
struct api_answer {
    int status;
    struct buf body;
    struct json *json;      /* NULL when the body is none */
    int64_t retry_after_ms; /* -1: not told */
};
/* CLI_OK when there is an answer, of any status; else says why and returns the exit code. */
int api_call(struct api *api, const struct api_request *request, struct api_answer *ret_answer);
/* The same, but nothing is said and nothing tried again: false when there is no answer. */
bool api_try(struct api *api, const struct api_request *request, struct api_answer *ret_answer);
void api_answer_clear(struct api_answer *answer);
/* Says what the server's problem is (RFC 9457), and returns the exit code that fits. */
int api_complain(const char *what, const struct api_answer *answer);

/* A GET and what is shown of its answer: itself with -o json, else what `print` makes of it. */
struct api_shown {
    const char *path;
    const char *schema;                      /* of -o json */
    const char *complaint;                   /* for any status but 200 */
    int (*print)(const struct json *answer); /* returns the exit code */
};
/* The whole of a verb that asks once and shows it: its exit code. */
int api_show(const struct args *args, const struct api_shown *shown);

#endif
