/* The verbs about jobs: submit, get, wait, cancel, types.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/api.h"
#include "gateway/cli/job_print.h"
#include "gateway/cli/output.h"
#include "gateway/cli/payload.h"
#include "gateway/cli/verbs.h"
#include "infra/clock.h"
#include "schemas/id.h"
#include "schemas/json.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define CALL_TIMEOUT_MS     30000
#define WAIT_MS_DEFAULT     30000
#define WAIT_ALL_MS_DEFAULT 300000
#define WAIT_SLICE_MS_MAX   20000 /* of one request */
#define PAUSE_MS_MIN        100
#define PAUSE_MS_MAX        2000
#define BODY_BYTES_MAX      ((size_t)16 * 1024 * 1024)
#define PATH_BYTES_MAX      256

/* --- waiting --- */

static int pause_of(const struct api_answer *answer)
{
    if (answer->retry_after_ms < PAUSE_MS_MIN)
        return PAUSE_MS_MIN;
    return answer->retry_after_ms < PAUSE_MS_MAX ? (int)answer->retry_after_ms : PAUSE_MS_MAX;
}

/* One long poll, by GET or DELETE. True when *ret_answer is the last word: the job, finished, or an
 * error. */
static bool wait_once(struct api *api, const char *method, const char *id, int64_t left_ms,
                      struct api_answer *ret_answer)
{
    int64_t slice_ms = left_ms < WAIT_SLICE_MS_MAX ? left_ms : WAIT_SLICE_MS_MAX;
    char path[PATH_BYTES_MAX];
    (void)snprintf(path, sizeof path, "/v1/jobs/%s?wait=%lld", id,
                   (long long)(slice_ms + 999) / 1000);
    const struct api_request request = { .method = method,
                                         .path = path,
                                         .timeout_ms = slice_ms + CALL_TIMEOUT_MS };
    api_answer_clear(ret_answer);
    if (!api_try(api, &request, ret_answer)) { /* a gateway that starts again has its answer soon */
        (void)poll(NULL, 0, PAUSE_MS_MIN);
        return false;
    }
    if (ret_answer->status == 200)
        return job_print_is_finished(ret_answer->json);
    if (ret_answer->status == 202) /* asked to cancel, and not decided yet */
        return false;
    if (ret_answer->status != 503)
        return true;
    (void)poll(NULL, 0, pause_of(ret_answer));
    return false;
}

static int tell_waited(const struct args *args, const char *id, const struct api_answer *answer,
                       bool last_word)
{
    if (answer->status == 200) {
        int code = job_print(args, answer);
        if (code != CLI_OK || last_word)
            return code == CLI_OK ? job_print_exit_code(answer->json) : code;
        output_note("the job is still under way");
        output_try("errand wait %s", id);
        return CLI_PENDING;
    }
    if (answer->status)
        return api_complain("what became of the job cannot be told", answer);
    output_error("the gateway does not answer");
    output_try("errand wait %s", id);
    return CLI_UNREACHABLE;
}

/* Waits until the job is finished or the time is up, and prints it either way. */
static int wait_for(struct api *api, const struct args *args, const char *id, int64_t deadline_ms)
{
    struct api_answer answer = { 0 };
    bool last_word = false;
    int64_t left_ms = 0;
    do {
        left_ms = deadline_ms - clock_monotonic_ms();
        last_word = wait_once(api, "GET", id, left_ms > 0 ? left_ms : 0, &answer);
    } while (!last_word && deadline_ms > clock_monotonic_ms());
    int code = tell_waited(args, id, &answer, last_word);
    api_answer_clear(&answer);
    return code;
}

static bool check_id(const char *text)
{
    struct id id;
    if (id_parse(span_of(text), &id))
        return true;
    output_error("'%s' is no job's id", text);
    output_why("an id looks like 0193c0de-7000-7000-8000-000000000000");
    return false;
}

int wait_run(const struct args *args)
{
    int64_t deadline_ms = clock_monotonic_ms() + args_number(args, "timeout", WAIT_ALL_MS_DEFAULT);
    for (size_t i = 0; i < args->item_count; i++) {
        if (!check_id(args->items[i]))
            return CLI_NOT_FOUND;
    }
    struct api *api = api_open(args);
    if (!api)
        return CLI_UNREACHABLE;
    int code = CLI_OK;
    for (size_t i = 0; i < args->item_count; i++) {
        if (i > 0 && !output_is_json(args))
            (void)output_data(span_of("\n"));
        int one = wait_for(api, args, args->items[i], deadline_ms);
        code = code == CLI_OK ? one : code;
    }
    api_close(api);
    return code;
}

/* --- submit --- */

static bool add_labels(const struct args *args, struct buf *body)
{
    bool any = false;
    for (size_t i = 0; i < args->value_count; i++) {
        const struct args_value *value = &args->values[i];
        if (strcmp(value->option->name, "label") != 0)
            continue;
        const char *equals = strchr(value->text, '=');
        if (!equals || equals == value->text) {
            output_error("--label '%s' is not NAME=VALUE", value->text);
            return false;
        }
        buf_add_text(body, any ? "," : ",\"labels\":{");
        buf_add_json_string(
            body, (struct span){ .data = value->text, .size = (size_t)(equals - value->text) });
        buf_add_char(body, ':');
        buf_add_json_string(body, span_of(equals + 1));
        any = true;
    }
    if (any)
        buf_add_char(body, '}');
    return true;
}

static bool make_body(const struct args *args, struct buf *body)
{
    struct buf payload = BUF_INIT(PAYLOAD_BYTES_MAX);
    const char *data = args_text(args, "data");
    if (args->item_count > 1 && data) {
        output_error("the payload is given twice, as an argument and by --data");
        return false;
    }
    if (args->item_count > 1)
        data = args->items[1];
    bool made = payload_read(data, &payload);
    if (made) {
        buf_add_text(body, "{\"type\":");
        buf_add_json_string(body, span_of(args->items[0]));
        buf_add_text(body, ",\"payload\":");
        buf_add_span(body, buf_span(&payload));
        if (args_text(args, "key")) {
            buf_add_text(body, ",\"key\":");
            buf_add_json_string(body, span_of(args_text(args, "key")));
        }
        made = add_labels(args, body);
        buf_add_char(body, '}');
    }
    buf_free(&payload);
    return made;
}

static int after_submit(struct api *api, const struct args *args, const struct api_answer *answer)
{
    struct span id = json_text(json_get(answer->json, "id"));
    char text[ID_TEXT_SIZE];
    if (answer->status >= 400)
        return api_complain("the job was not accepted", answer);
    if (!args_has(args, "wait") || !id.data || id.size >= sizeof text)
        return job_print(args, answer);
    (void)snprintf(text, sizeof text, "%.*s", SPAN_ARG(id));
    output_progress("accepted as %s, waiting", text);
    return wait_for(api, args, text,
                    clock_monotonic_ms() + args_number(args, "wait", WAIT_MS_DEFAULT));
}

static int submit(struct api *api, const struct args *args, struct span body)
{
    char random[PAYLOAD_KEY_SIZE];
    struct api_answer answer = { 0 };
    const char *key = args_text(args, "idempotency-key");
    payload_random_key(random);
    const struct api_request request = {
        .method = "POST",
        .path = "/v1/jobs",
        .idempotency_key = key ? key : random,
        .body = body,
        .timeout_ms = CALL_TIMEOUT_MS,
    };
    int code = api_call(api, &request, &answer);
    if (code == CLI_OK)
        code = after_submit(api, args, &answer);
    api_answer_clear(&answer);
    return code;
}

static bool check_key(const char *key)
{
    if (!key)
        return true;
    size_t length = strlen(key);
    bool printable = length > 0 && length <= 255;
    for (size_t i = 0; printable && i < length; i++)
        printable = key[i] >= ' ' && key[i] <= '~' && key[i] != '"' && key[i] != '\\';
    if (!printable)
        output_error("--idempotency-key is 1 to 255 printable ASCII characters without quotes and "
                     "backslashes");
    return printable;
}

int submit_run(const struct args *args)
{
    struct buf body = BUF_INIT(BODY_BYTES_MAX);
    struct api *api = NULL;
    int code = CLI_USAGE;
    if (check_key(args_text(args, "idempotency-key")) && make_body(args, &body)) {
        api = api_open(args);
        code = api ? submit(api, args, buf_span(&body)) : CLI_UNREACHABLE;
    }
    api_close(api);
    buf_free(&body);
    return code;
}

/* --- get --- */

static int get(struct api *api, const struct args *args)
{
    char path[PATH_BYTES_MAX];
    struct api_answer answer = { 0 };
    (void)snprintf(path, sizeof path, "/v1/jobs/%s", args->items[0]);
    const struct api_request request = { .method = "GET",
                                         .path = path,
                                         .timeout_ms = CALL_TIMEOUT_MS };
    int code = api_call(api, &request, &answer);
    if (code == CLI_OK && answer.status != 200)
        code = api_complain("the job cannot be shown", &answer);
    else if (code == CLI_OK)
        code =
            args_has(args, "payload") ? payload_print(args, answer.json) : job_print(args, &answer);
    api_answer_clear(&answer);
    return code;
}

int get_run(const struct args *args)
{
    if (!check_id(args->items[0]))
        return CLI_NOT_FOUND;
    struct api *api = api_open(args);
    int code = api ? get(api, args) : CLI_UNREACHABLE;
    api_close(api);
    return code;
}

/* --- cancel --- */

static int tell_cancelled(const struct args *args, const struct api_answer *answer)
{
    if (answer->status == 200)
        return job_print(args, answer);
    if (answer->status == 202) {
        int code = job_print(args, answer);
        output_note("the job is to be cancelled, and still under way");
        output_try("errand cancel %s --wait", args->items[0]);
        return code == CLI_OK ? CLI_PENDING : code;
    }
    if (answer->status)
        return api_complain("the job is not cancelled", answer);
    output_error("the gateway does not answer");
    output_try("errand cancel %s", args->items[0]);
    return CLI_UNREACHABLE;
}

/* Asking again is harmless. */
static int cancel(struct api *api, const struct args *args)
{
    struct api_answer answer = { 0 };
    int code = CLI_OK;
    if (args_has(args, "wait")) {
        int64_t deadline_ms = clock_monotonic_ms() + args_number(args, "wait", WAIT_MS_DEFAULT);
        int64_t left_ms = 0;
        bool last_word = false;
        do {
            left_ms = deadline_ms - clock_monotonic_ms();
            last_word =
                wait_once(api, "DELETE", args->items[0], left_ms > 0 ? left_ms : 0, &answer);
        } while (!last_word && deadline_ms > clock_monotonic_ms());
    } else {
        char path[PATH_BYTES_MAX];
        (void)snprintf(path, sizeof path, "/v1/jobs/%s", args->items[0]);
        const struct api_request request = { .method = "DELETE",
                                             .path = path,
                                             .timeout_ms = CALL_TIMEOUT_MS };
        code = api_call(api, &request, &answer);
    }
    if (code == CLI_OK)
        code = tell_cancelled(args, &answer);
    api_answer_clear(&answer);
    return code;
}

int cancel_run(const struct args *args)
{
    if (!check_id(args->items[0]))
        return CLI_NOT_FOUND;
    struct api *api = api_open(args);
    int code = api ? cancel(api, args) : CLI_UNREACHABLE;
    api_close(api);
    return code;
}

/* --- types --- */

static int print_types(const struct json *answer)
{
    const struct json *types = json_get(answer, "types");
    static const char *const headings[] = { "TYPE", "QUEUE", "EXAMPLE", "DESCRIPTION" };
    struct table *table = table_new(headings, 4);
    for (size_t i = 0; i < json_count(types); i++) {
        const struct json *type = json_at(types, i);
        const struct json *shown = json_get(type, "example");
        struct buf example = BUF_INIT(BODY_BYTES_MAX);
        if (shown)
            json_dump(shown, &example);
        table_add(table, json_text(json_get(type, "name")));
        table_add(table, json_text(json_get(type, "queue")));
        table_add(table, buf_span(&example));
        table_add(table, json_text(json_get(type, "description")));
        buf_free(&example);
    }
    int code = output_table(table);
    table_free(table);
    return code;
}

int types_run(const struct args *args)
{
    return api_show(args, &(struct api_shown){ .path = "/v1/types",
                                               .schema = "errand.types/1",
                                               .complaint = "the types cannot be shown",
                                               .print = print_types });
}
