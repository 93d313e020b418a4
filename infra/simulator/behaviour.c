/* See behaviour.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/behaviour.h"

#include "schemas/digits.h"
#include "schemas/suggest.h"

#include <inttypes.h>

#define COUNT(array)   (sizeof(array) / sizeof *(array))
#define STATUS_DEFAULT 503
#define STATUS_MOVED   302
/* Where cloud machines find their credentials. */
#define PRIVATE_ADDRESS "http://169.254.169.254/"

#define AT(member) offsetof(struct behaviour, member)

enum kind { FLAG, NUMBER, ADDRESS };

static const struct word {
    const char *name;
    enum kind kind;
    enum behaviour_way way; /* that it asks for; BEHAVIOUR_REAL: none */
    size_t offset;          /* of its value in struct behaviour, an int64_t unless it is a text */
    int64_t min, max;       /* of a number */
    const char *what;
} words[] = {
    { "slow", NUMBER, BEHAVIOUR_REAL, AT(slow_ms), 0, 600000, "milliseconds before the answer" },
    { "status", NUMBER, BEHAVIOUR_STATUS, AT(status), 200, 599, "the status answered" },
    { "fail", NUMBER, BEHAVIOUR_REAL, AT(fail), 0, 1000000,
      "how many calls with the same Idempotency-Key (or, without one, path) go wrong before the "
      "real answer; with status 503 unless another word says how" },
    { "retry-after", NUMBER, BEHAVIOUR_REAL, AT(retry_after_s), 0, 86400,
      "seconds in a Retry-After header when the answer is not the real one" },
    { "hang", FLAG, BEHAVIOUR_HANG, 0, 0, 0, "no answer, until the client leaves" },
    { "execute-then-hang", FLAG, BEHAVIOUR_EXECUTE_THEN_HANG, 0, 0, 0,
      "the work is done, and the ledger says so; then no answer" },
    { "reset", FLAG, BEHAVIOUR_RESET, 0, 0, 0, "the connection is reset" },
    { "drip", NUMBER, BEHAVIOUR_REAL, AT(drip_ms), 1, 60000,
      "milliseconds before each byte of the body" },
    { "chunked", FLAG, BEHAVIOUR_REAL, AT(chunked), 0, 0, "the body comes without Content-Length" },
    { "oversize", NUMBER, BEHAVIOUR_OVERSIZE, AT(oversize_bytes), 2, INT64_C(1) << 40,
      "an answer of so many bytes, one long JSON string" },
    { "malformed", FLAG, BEHAVIOUR_MALFORMED, 0, 0, 0,
      "the first half of the real answer: broken JSON" },
    { "wrong-length", FLAG, BEHAVIOUR_WRONG_LENGTH, 0, 0, 0,
      "the connection is closed before as much has come as Content-Length says" },
    { "redirect", ADDRESS, BEHAVIOUR_REDIRECT, AT(redirect), 0, 0,
      "302 to this address; private stands for " PRIVATE_ADDRESS },
};

static enum err_code unknown_word(struct span name, struct err *err)
{
    const char *names[COUNT(words)];
    struct buf list = BUF_INIT(sizeof err->text);
    for (size_t i = 0; i < COUNT(words); i++) {
        names[i] = words[i].name;
        buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
    }
    const char *nearest = suggest_nearest(name, names, COUNT(words));
    enum err_code code =
        nearest ? err_field(err, ERR_INVALID_PARAMETER, "simulate",
                            "unknown word \"%.*s\"; did you mean \"%s\"?", SPAN_ARG(name), nearest)
                : err_field(err, ERR_INVALID_PARAMETER, "simulate",
                            "unknown word \"%.*s\"; the words are %s", SPAN_ARG(name), list.data);
    buf_free(&list);
    return code;
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

/* --- one word --- */

static enum err_code take_number(const struct word *word, struct span value, int64_t *ret_number,
                                 struct err *err)
{
    int64_t number;
    if (!digits_parse(value, DIGITS_MAX_JSON, &number) || number < word->min || number > word->max)
        return err_field(err, ERR_INVALID_PARAMETER, "simulate",
                         "%s takes a whole number from %" PRId64 " to %" PRId64
                         ", as in %s=%" PRId64,
                         word->name, word->min, word->max, word->name, word->max);
    *ret_number = number;
    return ERR_OK;
}

/* Anything that can stand in a header: bad addresses are what this is for. */
static enum err_code take_address(const struct word *word, struct span value, char *ret_address,
                                  struct err *err)
{
    const char *bytes = value.data;
    bool visible = value.size > 0;
    for (size_t i = 0; i < value.size; i++)
        visible = visible && bytes[i] > ' ' && bytes[i] < 0x7f;
    if (!visible)
        return err_field(err, ERR_INVALID_PARAMETER, "simulate",
                         "%s takes an address without spaces, or private, as in %s=private",
                         word->name, word->name);
    if (span_is(value, "private"))
        value = span_of(PRIVATE_ADDRESS);
    memcpy(ret_address, value.data, value.size);
    ret_address[value.size] = '\0';
    return ERR_OK;
}

static enum err_code take_value(const struct word *word, struct span value,
                                struct behaviour *behaviour, struct err *err)
{
    int64_t number = 1;
    char *member = (char *)behaviour + word->offset;
    if (word->kind == ADDRESS)
        return take_address(word, value, member, err);
    if (word->kind == FLAG && value.data)
        return err_field(err, ERR_INVALID_PARAMETER, "simulate", "%s takes no value", word->name);
    if (word->kind == NUMBER) {
        enum err_code code = take_number(word, value, &number, err);
        if (code)
            return code;
    }
    if (word->offset) /* a flag that only names a way has no member */
        memcpy(member, &number, sizeof number);
    return ERR_OK;
}

static const char *name_of(enum behaviour_way way)
{
    size_t i = 0;
    while (words[i].way != way)
        i++;
    return words[i].name;
}

/* One way at a time; but a redirect may have a status. */
static enum err_code take_way(const struct word *word, struct behaviour *behaviour, struct err *err)
{
    enum behaviour_way before = behaviour->way;
    if (word->way == BEHAVIOUR_REAL)
        return ERR_OK;
    bool both = (before == BEHAVIOUR_STATUS && word->way == BEHAVIOUR_REDIRECT) ||
                (before == BEHAVIOUR_REDIRECT && word->way == BEHAVIOUR_STATUS);
    if (before != BEHAVIOUR_REAL && !both)
        return err_field(err, ERR_INVALID_PARAMETER, "simulate",
                         "%s and %s exclude each other: a call goes wrong in one way",
                         name_of(before), word->name);
    behaviour->way = both ? BEHAVIOUR_REDIRECT : word->way;
    return ERR_OK;
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
    enum err_code code = take_value(&words[i], value, behaviour, err);
    return code ? code : take_way(&words[i], behaviour, err);
}

/* --- all of them --- */

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
    if (behaviour.fail >= 0 && behaviour.way == BEHAVIOUR_REAL && behaviour.drip_ms == 0)
        behaviour.way = BEHAVIOUR_STATUS;
    if (behaviour.way == BEHAVIOUR_STATUS && behaviour.status == 0)
        behaviour.status = STATUS_DEFAULT;
    if (behaviour.way == BEHAVIOUR_REDIRECT && behaviour.status == 0)
        behaviour.status = STATUS_MOVED;
    *ret_behaviour = behaviour;
    return ERR_OK;
}

struct behaviour behaviour_decide(const struct behaviour *behaviour, int64_t earlier_calls)
{
    if (behaviour->fail < 0 || earlier_calls < behaviour->fail)
        return *behaviour;
    return (struct behaviour){
        .slow_ms = behaviour->slow_ms,
        .chunked = behaviour->chunked,
        .fail = behaviour->fail,
        .retry_after_s = -1,
    };
}

void behaviour_document(struct buf *out)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < COUNT(words); i++) {
        buf_printf(out, "%s{\"word\":\"%s\"", i ? "," : "", words[i].name);
        if (words[i].kind == NUMBER)
            buf_printf(out, ",\"from\":%" PRId64 ",\"to\":%" PRId64, words[i].min, words[i].max);
        buf_printf(out, ",\"what\":\"%s\"}", words[i].what);
    }
    buf_add_char(out, ']');
}
