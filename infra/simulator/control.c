/* See control.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/control.h"

#include "infra/simulator/behaviour.h"
#include "schemas/mem.h"

#include <stdlib.h>

struct rule {
    char *match;
    char *simulate;
};
struct control {
    struct rule rules[CONTROL_RULES_MAX];
    size_t count;
};

struct control *control_new(void)
{
    struct control *control = MEM_NEW(*control);
    return control;
}

static void remove_rule(struct control *control, size_t i)
{
    free(control->rules[i].match);
    free(control->rules[i].simulate);
    control->count--;
    memmove(&control->rules[i], &control->rules[i + 1],
            (control->count - i) * sizeof *control->rules);
}

void control_clear(struct control *control)
{
    while (control->count)
        remove_rule(control, control->count - 1);
}

void control_free(struct control *control)
{
    if (!control)
        return;
    control_clear(control);
    free(control);
}

enum err_code control_set(struct control *control, struct span match, struct span simulate,
                          struct err *err)
{
    struct behaviour checked;
    enum err_code code = behaviour_parse(simulate, &checked, err);
    if (code)
        return code;
    if (match.size > CONTROL_MATCH_MAX || (match.size && *(const char *)match.data != '/'))
        return err_field(
            err, ERR_INVALID_FIELD, "match",
            "match must be the beginning of a path, such as \"/quotes\", of at most %d bytes",
            CONTROL_MATCH_MAX);
    size_t i = 0;
    while (i < control->count && !span_is(match, control->rules[i].match))
        i++;
    if (i == CONTROL_RULES_MAX && simulate.size)
        return err_field(err, ERR_LIMIT, "match",
                         "there are %d rules already; DELETE /control removes them",
                         CONTROL_RULES_MAX);
    if (i < control->count)
        remove_rule(control, i);
    if (simulate.size)
        control->rules[control->count++] =
            (struct rule){ .match = mem_dup(match), .simulate = mem_dup(simulate) };
    return ERR_OK;
}

struct span control_find(const struct control *control, struct span path)
{
    struct span found = { "", 0 };
    size_t longest = 0;
    for (size_t i = 0; i < control->count; i++) {
        struct span match = span_of(control->rules[i].match);
        bool fits = match.size <= path.size && memcmp(match.data, path.data, match.size) == 0;
        if (fits && match.size >= longest) {
            longest = match.size;
            found = span_of(control->rules[i].simulate);
        }
    }
    return found;
}

void control_document(const struct control *control, struct buf *out)
{
    buf_add_text(out, "{\"rules\":[");
    for (size_t i = 0; i < control->count; i++) {
        buf_add_text(out, i ? ",{\"match\":" : "{\"match\":");
        buf_add_json_string(out, span_of(control->rules[i].match));
        buf_add_text(out, ",\"simulate\":");
        buf_add_json_string(out, span_of(control->rules[i].simulate));
        buf_add_char(out, '}');
    }
    buf_add_text(out, "],\"words\":");
    behaviour_document(out);
    buf_add_char(out, '}');
}
