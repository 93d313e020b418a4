/* `errand verdict`: a history, the topics, the ledger and the view, judged. For maintainers: what
 * the tests and the chaos runs stand on. docs/VERIFY.md says what is judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_history.h"
#include "consumers/verify/verify_ledger.h"
#include "consumers/verify/verify_report.h"
#include "consumers/verify/verify_topics.h"
#include "consumers/verify/verify_view.h"
#include "gateway/cli/api.h"
#include "gateway/cli/kafka_look.h"
#include "gateway/cli/output.h"
#include "gateway/cli/stack.h"
#include "gateway/cli/verbs.h"
#include "infra/config.h"
#include "schemas/json.h"

#include <inttypes.h>
#include <stdio.h>

#define SINCE_BYTES_MAX  ((size_t)4 * 1024 * 1024)
#define SINCE_TOKENS_MAX 200000
#define PAGE_CALLS       5000
#define CALL_TIMEOUT_MS  30000
#define PATH_SIZE        96

struct judging {
    const struct args *args;
    struct kafka_look look;
    struct verify_judge *judge;
    struct verify_notes notes;
    struct json *since;
    struct verify_view *view;
};

static int complain(const char *what, const struct err *err, int code)
{
    output_error("%s", what);
    output_why("%s", err->text);
    return code;
}

static int read_history(struct judging *judging)
{
    struct err err = { 0 };
    const char *path = args_text(judging->args, "history");
    enum err_code code = verify_history_read(judging->judge, path, &err);
    return code ? complain("the history cannot be judged", &err, CLI_USAGE) : CLI_OK;
}

static int read_since(struct judging *judging)
{
    const struct json_limits limits = { .depth_max = 1, .tokens_max = SINCE_TOKENS_MAX };
    const char *path = args_text(judging->args, "since");
    struct buf bytes = { 0 };
    struct err err = { 0 };
    if (!path)
        return CLI_OK;
    enum err_code code = stack_read_file(path, SINCE_BYTES_MAX, &bytes, &err);
    if (!code)
        code = json_parse(buf_span(&bytes), &limits, &judging->since, &err);
    buf_free(&bytes);
    return code ? complain("--since cannot be read", &err, CLI_USAGE) : CLI_OK;
}

static int read_topics(struct judging *judging)
{
    const struct verify_topics topics = {
        .admin = judging->look.admin,
        .config = judging->look.config,
        .since = judging->since,
        .notes = &judging->notes,
        .arg = judging->view,
        .on_end = judging->view ? verify_view_take : NULL,
    };
    struct err err = { 0 };
    enum err_code code = verify_topics_read(judging->judge, &topics, &err);
    return code ? complain("the topics cannot be read", &err, CLI_UNREACHABLE) : CLI_OK;
}

static int open_view(struct judging *judging)
{
    struct err err = { 0 };
    if (!args_has(judging->args, "view")) {
        verify_note(&judging->notes, "the records in Redis (no --view)");
        return CLI_OK;
    }
    enum err_code code =
        verify_view_open(judging->look.config, judging->judge, &judging->view, &err);
    return code ? complain("the view cannot be compared", &err, CLI_UNREACHABLE) : CLI_OK;
}

static int finish_view(struct judging *judging)
{
    struct err err = { 0 };
    uint64_t compared = 0;
    if (!judging->view)
        return CLI_OK;
    enum err_code code = verify_view_finish(judging->view, &compared, &err);
    if (code)
        return complain("the view cannot be compared", &err, CLI_UNREACHABLE);
    output_note("%" PRIu64 " records compared", compared);
    return CLI_OK;
}

/* --- the ledger --- */

static int read_page(struct judging *judging, struct api *api, int64_t since,
                     struct verify_page *ret_page)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "/ledger?since=%" PRId64 "&limit=%d", since, PAGE_CALLS);
    const struct api_request request = { .method = "GET",
                                         .path = path,
                                         .timeout_ms = CALL_TIMEOUT_MS };
    struct api_answer answer = { 0 };
    struct err err = { 0 };
    int code = api_call(api, &request, &answer);
    if (code == CLI_OK && answer.status != 200)
        code = api_complain("the ledger cannot be read", &answer);
    else if (code == CLI_OK &&
             verify_ledger_page(judging->judge, answer.json, ret_page, &err) != ERR_OK)
        code = complain("the ledger cannot be read", &err, CLI_FAILED);
    api_answer_clear(&answer);
    return code;
}

static int read_pages(struct judging *judging, const char *url, int64_t *ret_dropped)
{
    struct api *api = api_open_at(url);
    struct verify_page page = { 0 };
    int64_t since = 0;
    int code = api ? CLI_OK : CLI_FAILED;
    do {
        since = page.next;
        if (code == CLI_OK)
            code = read_page(judging, api, since, &page);
    } while (code == CLI_OK && page.calls && page.next != since);
    *ret_dropped = page.dropped;
    api_close(api);
    return code;
}

static int read_ledger(struct judging *judging)
{
    const char *where = args_text(judging->args, "ledger");
    struct err err = { 0 };
    int64_t dropped = 0;
    int code = CLI_OK;
    if (!where) {
        verify_note(&judging->notes, "calls: repeats, and success without one (no --ledger)");
        return CLI_OK;
    }
    if (strstr(where, "://"))
        code = read_pages(judging, where, &dropped);
    else if (verify_ledger_read(judging->judge, where, &dropped, &err) != ERR_OK)
        code = complain("the ledger cannot be read", &err, CLI_USAGE);
    if (dropped) {
        verify_note(&judging->notes,
                    "success without a call: the ledger has forgotten %" PRId64 " calls", dropped);
        verify_judge_forget_calls(judging->judge);
    }
    return code;
}

/* --- the verdict --- */

static int print(struct judging *judging)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    int code = CLI_OK;
    if (output_is_json(judging->args)) {
        verify_report_json(judging->judge, &judging->notes, &text);
        code = output_json("errand.verdict/1", buf_span(&text));
    } else {
        verify_report_text(judging->judge, &judging->notes, &text);
        code = output_data(buf_span(&text));
    }
    buf_free(&text);
    if (code == CLI_OK && !verify_report_is_clean(judging->judge))
        code = CLI_FAILED;
    return code;
}

static int judge(struct judging *judging)
{
    struct err err = { 0 };
    int code = read_since(judging);
    if (code == CLI_OK)
        code = read_history(judging);
    if (code == CLI_OK)
        code = open_view(judging);
    if (code == CLI_OK)
        code = read_topics(judging);
    if (code == CLI_OK)
        code = finish_view(judging);
    if (code == CLI_OK)
        code = read_ledger(judging);
    if (code == CLI_OK && verify_judge_finish(judging->judge, &err) != ERR_OK)
        code = complain("there is no verdict", &err, CLI_FAILED);
    return code == CLI_OK ? print(judging) : code;
}

static int mark(struct judging *judging)
{
    struct buf text = BUF_INIT(SINCE_BYTES_MAX);
    struct err err = { 0 };
    int code = CLI_OK;
    if (verify_scan_mark(judging->look.admin, judging->look.config, &text, &err) != ERR_OK) {
        code = complain("the topics cannot be read", &err, CLI_UNREACHABLE);
    } else {
        buf_add_char(&text, '\n');
        code = output_data(buf_span(&text));
    }
    buf_free(&text);
    return code;
}

int verdict_run(const struct args *args)
{
    struct judging judging = { .args = args };
    const struct verify_options options = {
        .bytes_max = VERIFY_BYTES_MAX,
        .ack_ms = VERIFY_ACK_MS,
        .grace_ms = args_number(args, "grace", VERIFY_GRACE_MS),
        .ledger = args_has(args, "ledger"),
        .told = args_has(args, "told"),
    };
    if (!args_has(args, "mark") && !args_has(args, "history")) {
        output_error("--history FILE is what is judged");
        output_try("errand load --mode e2e --history FILE");
        return CLI_USAGE;
    }
    int code = kafka_look_open(args, &judging.look);
    if (code != CLI_OK)
        return code;
    judging.judge = verify_judge_new(&options);
    code = args_has(args, "mark") ? mark(&judging) : judge(&judging);
    verify_view_close(judging.view);
    verify_judge_free(judging.judge);
    json_free(judging.since);
    kafka_look_close(&judging.look);
    return code;
}
