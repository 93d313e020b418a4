/* See json_merge.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/json_merge.h"

struct merging {
    const struct json *target, *patch;
    struct buf *out;
    bool any;
};

static void begin_member(struct merging *merging, struct span name)
{
    if (merging->any)
        buf_add_char(merging->out, ',');
    merging->any = true;
    buf_add_json_string(merging->out, name);
    buf_add_char(merging->out, ':');
}

/* A member by a name that is a span; parsed names are NUL-terminated. */
static const struct json *member_of(const struct json *object, struct span name)
{
    return json_get(object, (const char *)name.data);
}

static void keep_or_merge(void *arg, struct span name, const struct json *value)
{
    struct merging *merging = arg;
    const struct json *change = member_of(merging->patch, name);
    if (json_type_of(change) == JSON_TYPE_NULL)
        return;
    begin_member(merging, name);
    if (change)
        json_merge_patch(value, change, merging->out);
    else
        json_dump(value, merging->out);
}

static void add_new(void *arg, struct span name, const struct json *value)
{
    struct merging *merging = arg;
    if (json_type_of(value) == JSON_TYPE_NULL || member_of(merging->target, name))
        return;
    begin_member(merging, name);
    json_merge_patch(NULL, value, merging->out);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the parsed texts, which are bounded */
void json_merge_patch(const struct json *target, const struct json *patch, struct buf *out)
{
    if (json_type_of(patch) != JSON_TYPE_OBJECT) {
        json_dump(patch, out);
        return;
    }
    if (json_type_of(target) != JSON_TYPE_OBJECT)
        target = NULL;
    struct merging merging = { target, patch, out, false };
    buf_add_char(out, '{');
    json_each(target, keep_or_merge, &merging);
    json_each(patch, add_new, &merging);
    buf_add_char(out, '}');
}
