/* `errand health`: whether one process can do its work. What containers and scripts ask.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/api.h"
#include "gateway/cli/output.h"
#include "gateway/cli/verbs.h"
#include "schemas/json.h"

#define HTTP_OK         200
#define HTTP_NOT_READY  503
#define CALL_TIMEOUT_MS 3000

static int print_conditions(const struct json *conditions)
{
    static const char *const headings[] = { "CONDITION", "READY", "WHY" };
    struct table *table = table_new(headings, 3);
    for (size_t i = 0; i < json_count(conditions); i++) {
        const struct json *condition = json_at(conditions, i);
        struct span why = json_text(json_get(condition, "why"));
        bool ready = false;
        bool known = json_bool_of(json_get(condition, "ready"), &ready);
        table_add(table, json_text(json_get(condition, "name")));
        table_add_text(table, known && ready ? "yes" : "no");
        table_add(table, why.size ? why : span_of("-"));
    }
    int code = output_table(table);
    table_free(table);
    return code;
}

static int report(const struct args *args, const struct api_answer *answer)
{
    if (answer->status != HTTP_OK && answer->status != HTTP_NOT_READY)
        return api_complain("this is no process of Errand", answer);
    int code = output_is_json(args) ? output_json("errand.health/1", buf_span(&answer->body))
                                    : print_conditions(json_get(answer->json, "conditions"));
    return code == CLI_OK && answer->status != HTTP_OK ? CLI_FAILED : code;
}

int health_run(const struct args *args)
{
    const struct api_request request = { .method = "GET",
                                         .path = "/readyz",
                                         .timeout_ms = CALL_TIMEOUT_MS };
    struct api_answer answer = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return CLI_UNREACHABLE;
    int code = api_call(api, &request, &answer);
    if (code == CLI_OK)
        code = report(args, &answer);
    api_answer_clear(&answer);
    api_close(api);
    return code;
}
