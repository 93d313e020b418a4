/* See lag_url.h. SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/lag_url.h"

#include "gateway/cli/output.h"
#include "gateway/cli/query.h"
#include "schemas/mem.h"

#define CALL_TIMEOUT_MS 15000
#define PATH_BYTES_MAX  2048

static int ask(struct api *api, const char *group, struct lag_look *look)
{
    struct buf path = BUF_INIT(PATH_BYTES_MAX);
    struct api_answer answer = { 0 };
    buf_add_text(&path, "/v1/lag");
    if (group)
        query_add(&path, "group", span_of(group));
    const struct api_request request = { .method = "GET",
                                         .path = path.data,
                                         .timeout_ms = CALL_TIMEOUT_MS };
    int code = api_call(api, &request, &answer);
    if (code == CLI_OK && answer.status != 200) {
        code = api_complain("the lag cannot be told", &answer);
    } else if (code == CLI_OK && !lag_read(answer.json, look)) {
        output_error("the lag cannot be told");
        output_why("the answer is no %s object", LAG_SCHEMA);
        code = CLI_FAILED;
    }
    api_answer_clear(&answer);
    buf_free(&path);
    return code;
}

static bool has_group(const struct lag_look *look, const char *name)
{
    for (size_t i = 0; i < look->count; i++) {
        if (strcmp(look->groups[i].name, name) == 0)
            return true;
    }
    return false;
}

int lag_url_look(struct api *api, const struct args *args, struct lag_look **ret_look)
{
    struct lag_look *look = MEM_NEW(*look);
    int code = args_has(args, "group") ? CLI_OK : ask(api, NULL, look);
    for (size_t i = 0; i < args->value_count && code == CLI_OK; i++) {
        const char *name = args->values[i].text;
        if (strcmp(args->values[i].option->name, "group") == 0 && !has_group(look, name))
            code = ask(api, name, look);
    }
    if (code == CLI_OK)
        *ret_look = look;
    else
        lag_look_free(look);
    return code;
}
