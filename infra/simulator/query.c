/* See query.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/query.h"

#include "schemas/digits.h"
#include "schemas/suggest.h"

#include <assert.h>

struct check {
    const char *names[QUERY_NAMES_MAX];
    size_t count;
    enum err_code code;
    struct err *err;
};

static void add_name(struct check *check, const char *name)
{
    assert(check->count < QUERY_NAMES_MAX);
    check->names[check->count++] = name;
}

static void check_name(void *arg, struct span name, struct span value)
{
    struct check *check = arg;
    (void)value;
    for (size_t i = 0; i < check->count; i++) {
        if (span_is(name, check->names[i]))
            return;
    }
    const char *nearest = suggest_nearest(name, check->names, check->count);
    if (name.size > 64)
        name.size = 64;
    check->code =
        err_field(check->err, ERR_INVALID_PARAMETER, "query",
                  "there is no query parameter \"%.*s\" here%s%s%s", SPAN_ARG(name),
                  nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

enum err_code query_check(struct http_request *req, const char *const *names, const char *also,
                          struct err *err)
{
    struct check check = { .err = err };
    for (; *names; names++)
        add_name(&check, *names);
    if (also)
        add_name(&check, also);
    http_query_each(req, check_name, &check);
    return check.code;
}

enum err_code query_number(struct http_request *req, const char *name, int64_t max, int64_t *number,
                           struct err *err)
{
    struct span text = http_query(req, name);
    if (!text.data)
        return ERR_OK;
    if (!digits_parse(text, DIGITS_MAX_JSON, number) || *number > max)
        return err_field(err, ERR_INVALID_PARAMETER, name, "%s must be a whole number up to %lld",
                         name, (long long)max);
    return ERR_OK;
}
