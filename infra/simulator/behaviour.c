/* See behaviour.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/behaviour.h"

#include "infra/simulator/digits.h"
#include "schemas/suggest.h"

#include <inttypes.h>

#define COUNT(array)   (sizeof(array) / sizeof *(array))
#define STATUS_DEFAULT 503

static const struct word {
    const char *name;
    size_t offset; /* of an int64_t in struct behaviour */
    int64_t min, max;
    const char *what;
} words[] = {
    { "slow", offsetof(struct behaviour, slow_ms), 0, 600000, "milliseconds before the answer" },
    { "status", offsetof(struct behaviour, status), 200, 599, "the status answered" },
    { "fail", offsetof(struct behaviour, fail), 0, 1000000,
      "how many calls with the same Idempotency-Key (or, without one, path) go wrong before the "
      "real answer; "
      "with status 503 unless status= says otherwise" },
    { "retry-after", offsetof(struct behaviour, retry_after_s), 0, 86400,
      "seconds in a Retry-After header when the answer is not the real one" },
};

static enum err_code unknown_word(struct span name, struct err *err)
{
    const char *names[COUNT(words)];
    for (size_t i = 0; i < COUNT(words); i++)
        names[i] = words[i].name;
    const char *nearest = suggest_nearest(name, names, COUNT(words));
    if (nearest)
        return err_field(err, ERR_INVALID_PARAMETER, "simulate",
                         "unknown word \"%.*s\"; did you mean \"%s\"?", SPAN_ARG(name), nearest);
    return err_field(err, ERR_INVALID_PARAMETER, "simulate",
                     "unknown word \"%.*s\"; the words are slow, status, fail and retry-after",
                     SPAN_ARG(name));
}

/* The part of `text` before `separator`; `text` becomes what follows it, with data NULL when there
 * was none. */
static struct span split(struct span *text, char separator)
{
    const char *found = memchr(text->data, separator, text->size);
    struct span part = *text;
    if (!found) {
        *text = (struct span){ 0 };
        return part;
    }
    part.size = (size_t)(found - (const char *)text->data);
    *text = (struct span){ found + 1, text->size - part.size - 1 };
    return part;
}

static enum err_code take_word(struct span item, struct behaviour *behaviour, unsigned *seen,
                               struct err *err)
{
    struct span value = item;
    struct span name = split(&value, '=');
    size_t i = 0;
    while (i < COUNT(words) && !span_is(name, words[i].name))
        i++;
    if (i == COUNT(words))
        return unknown_word(name, err);
    if (*seen & (1U << i))
        return err_field(err, ERR_INVALID_PARAMETER, "simulate", "%s is given twice",
                         words[i].name);
    *seen |= 1U << i;
    int64_t number;
    if (!digits_parse(value, &number) || number < words[i].min || number > words[i].max)
        return err_field(err, ERR_INVALID_PARAMETER, "simulate",
                         "%s takes a whole number from %" PRId64 " to %" PRId64
                         ", as in %s=%" PRId64,
                         words[i].name, words[i].min, words[i].max, words[i].name, words[i].max);
    memcpy((char *)behaviour + words[i].offset, &number, sizeof number);
    return ERR_OK;
}

enum err_code behaviour_parse(struct span text, struct behaviour *ret_behaviour, struct err *err)
{
    struct behaviour behaviour = { .fail = -1, .retry_after_s = -1 };
    unsigned seen = 0;
    if (text.size > BEHAVIOUR_TEXT_MAX)
        return err_field(err, ERR_INVALID_PARAMETER, "simulate", "must be at most %d bytes long",
                         BEHAVIOUR_TEXT_MAX);
    for (struct span rest = text; text.size && rest.data;) {
        enum err_code code = take_word(split(&rest, ','), &behaviour, &seen, err);
        if (code)
            return code;
    }
    if (behaviour.fail >= 0 && behaviour.status == 0)
        behaviour.status = STATUS_DEFAULT;
    *ret_behaviour = behaviour;
    return ERR_OK;
}

struct behaviour_plan behaviour_decide(const struct behaviour *behaviour, int64_t earlier_calls)
{
    bool real =
        behaviour->status == 0 || (behaviour->fail >= 0 && earlier_calls >= behaviour->fail);
    return (struct behaviour_plan){
        .delay_ms = behaviour->slow_ms,
        .status = real ? 0 : (int)behaviour->status,
        .retry_after_s = real ? -1 : behaviour->retry_after_s,
    };
}

void behaviour_document(struct buf *out)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < COUNT(words); i++) {
        buf_printf(out,
                   "%s{\"word\":\"%s\",\"from\":%" PRId64 ",\"to\":%" PRId64 ",\"what\":\"%s\"}",
                   i ? "," : "", words[i].name, words[i].min, words[i].max, words[i].what);
    }
    buf_add_char(out, ']');
}
