/* See verify_ledger.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_ledger.h"

#include "schemas/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX  4
#define TOKENS_MAX 4000000

/* `"<id>"` as a quoted string, or bare. */
static bool parse_key(struct span key, struct id *ret_id)
{
    const char *text = key.data;
    if (key.size > 2 && text[0] == '"')
        key = (struct span){ text + 1, key.size - 2 };
    return id_parse(key, ret_id);
}

static enum err_code take_call(struct verify_judge *judge, const struct json *json, struct err *err)
{
    struct verify_call call = { .path = json_text(json_get(json, "path")) };
    if (!json_integer_of(json_get(json, "seq"), &call.seq) ||
        !json_integer_of(json_get(json, "started_ms"), &call.started_ms))
        return err_set(err, ERR_INVALID_FIELD, "a call of the ledger has `seq` and `started_ms`");
    if (!json_integer_of(json_get(json, "attempt"), &call.attempt))
        call.attempt = 0;
    if (parse_key(json_text(json_get(json, "idempotency_key")), &call.effect))
        verify_judge_call(judge, &call);
    return ERR_OK;
}

enum err_code verify_ledger_page(struct verify_judge *judge, const struct json *page,
                                 struct verify_page *ret_page, struct err *err)
{
    const struct json *calls = json_get(page, "calls");
    struct verify_page told = { .calls = json_count(calls) };
    if (json_type_of(calls) != JSON_TYPE_ARRAY ||
        !json_integer_of(json_get(page, "next"), &told.next) ||
        !json_integer_of(json_get(page, "dropped"), &told.dropped))
        return err_set(err, ERR_INVALID_FIELD,
                       "a page of the ledger is {\"calls\":[...],\"next\":N,\"dropped\":N}");
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < told.calls && !code; i++)
        code = take_call(judge, json_at(calls, i), err);
    if (!code)
        *ret_page = told;
    return code;
}

static enum err_code take_line(struct verify_judge *judge, struct span text, int64_t *dropped,
                               struct err *err)
{
    const struct json_limits limits = { .depth_max = DEPTH_MAX, .tokens_max = TOKENS_MAX };
    struct verify_page page = { 0 };
    struct json *json = NULL;
    enum err_code code = json_parse(text, &limits, &json, err);
    if (code)
        return code;
    code = verify_ledger_page(judge, json, &page, err);
    json_free(json);
    if (!code && page.dropped > *dropped)
        *dropped = page.dropped;
    return code;
}

enum err_code verify_ledger_read(struct verify_judge *judge, const char *path, int64_t *ret_dropped,
                                 struct err *err)
{
    char reason[128];
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size = 0;
    int64_t dropped = 0;
    enum err_code code = ERR_OK;
    FILE *file = fopen(path, "re");
    if (!file)
        return err_set(err, ERR_IO, "%.160s: %s", path, strerror_r(errno, reason, sizeof reason));
    while (!code && (size = getline(&line, &capacity, file)) > 0)
        code = take_line(judge, (struct span){ line, (size_t)size }, &dropped, err);
    if (!code && ferror(file))
        code = err_set(err, ERR_IO, "%.160s: %s", path, strerror_r(errno, reason, sizeof reason));
    free(line);
    (void)fclose(file);
    if (!code)
        *ret_dropped = dropped;
    return code;
}
