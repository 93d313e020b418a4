/* See history.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/history.h"

#include "schemas/json.h"

#include <inttypes.h>

#define DEPTH_MAX   2
#define TOKENS_MAX  64
#define STATUS_MAX  599
#define DIGEST_SIZE 16

enum member {
    MEMBER_DO,
    MEMBER_REQUEST,
    MEMBER_KEY,
    MEMBER_ID,
    MEMBER_STATUS,
    MEMBER_CODE,
    MEMBER_BEGIN,
    MEMBER_END,
    MEMBER_STATE,
    MEMBER_VERSION,
    MEMBER_DIGEST,
    MEMBER_WHAT,
    MEMBER_NAME,
    MEMBER_COUNT
};

static const char *const names[MEMBER_COUNT] = {
    "do",  "request", "key",     "id",     "status", "code", "begin",
    "end", "state",   "version", "digest", "what",   "name",
};

#define BIT(member) (1U << MEMBER_##member)
#define TOLD        (BIT(STATE) | BIT(VERSION) | BIT(DIGEST) | BIT(CODE))

static const struct {
    const char *text;
    unsigned needed, allowed;
} kinds[HISTORY_KIND_COUNT] = {
    [HISTORY_SUBMIT] = { "submit", BIT(REQUEST) | BIT(BEGIN), BIT(KEY) },
    [HISTORY_SUBMITTED] = { "submitted", BIT(REQUEST) | BIT(BEGIN) | BIT(END) | BIT(STATUS),
                            BIT(ID) | TOLD },
    [HISTORY_READ] = { "read", BIT(ID) | BIT(BEGIN) | BIT(END) | BIT(STATUS), TOLD },
    [HISTORY_CANCEL] = { "cancel", BIT(ID) | BIT(BEGIN) | BIT(END) | BIT(STATUS), TOLD },
    [HISTORY_FAULT] = { "fault", BIT(WHAT) | BIT(BEGIN), BIT(END) | BIT(NAME) },
};

uint64_t history_digest(struct span body)
{
    const unsigned char *bytes = body.data;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < body.size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash ? hash : 1;
}

/* --- writing --- */

static void write_text(struct buf *out, enum member member, struct span text)
{
    if (text.size == 0)
        return;
    buf_printf(out, ",\"%s\":", names[member]);
    buf_add_json_string(out, text);
}

static void write_number(struct buf *out, enum member member, int64_t value)
{
    buf_printf(out, ",\"%s\":%" PRId64, names[member], value);
}

void history_write(const struct history_line *line, struct buf *out)
{
    unsigned needed = kinds[line->kind].needed;
    char id[ID_TEXT_SIZE];
    buf_printf(out, "{\"%s\":\"%s\"", names[MEMBER_DO], kinds[line->kind].text);
    write_text(out, MEMBER_REQUEST, line->request);
    write_text(out, MEMBER_KEY, line->key);
    if (line->has_id) {
        id_text(&line->id, id);
        write_text(out, MEMBER_ID, span_of(id));
    }
    write_text(out, MEMBER_WHAT, line->what);
    write_text(out, MEMBER_NAME, line->name);
    if (needed & BIT(BEGIN))
        write_number(out, MEMBER_BEGIN, line->begin_ms);
    if ((needed & BIT(END)) || line->end_ms)
        write_number(out, MEMBER_END, line->end_ms);
    if (needed & BIT(STATUS))
        write_number(out, MEMBER_STATUS, line->status);
    write_text(out, MEMBER_CODE, line->code);
    if (line->has_state) {
        write_text(out, MEMBER_STATE, span_of(job_state_text(line->state)));
        if (line->version >= 0)
            write_number(out, MEMBER_VERSION, line->version);
        if (line->digest)
            buf_printf(out, ",\"%s\":\"%016" PRIx64 "\"", names[MEMBER_DIGEST], line->digest);
    }
    buf_add_text(out, "}\n");
}

/* --- reading --- */

struct reading {
    struct history_line line;
    unsigned seen;
    enum err_code code;
    struct err *err;
};

static enum err_code wrong(struct reading *reading, const char *name, const char *allowed)
{
    return err_field(reading->err, ERR_INVALID_FIELD, name, "%s must be %s", name, allowed);
}

static enum err_code read_text(struct reading *reading, enum member member, struct span text)
{
    struct history_line *line = &reading->line;
    if (text.size == 0)
        return wrong(reading, names[member], "a text");
    switch (member) {
    case MEMBER_REQUEST:
        line->request = text;
        return text.size <= HISTORY_REQUEST_SIZE_MAX
                   ? ERR_OK
                   : wrong(reading, names[member], "a text of at most 64 bytes");
    case MEMBER_KEY:
        line->key = text;
        return ERR_OK;
    case MEMBER_CODE:
        line->code = text;
        return ERR_OK;
    case MEMBER_WHAT:
        line->what = text;
        return ERR_OK;
    default:
        line->name = text;
        return ERR_OK;
    }
}

static enum err_code read_kind(struct reading *reading, struct span text)
{
    for (int i = 0; i < HISTORY_KIND_COUNT; i++) {
        if (span_is(text, kinds[i].text)) {
            reading->line.kind = (enum history_kind)i;
            return ERR_OK;
        }
    }
    return wrong(reading, "do", "submit, submitted, read, cancel or fault");
}

static enum err_code read_digest(struct reading *reading, struct span text)
{
    uint64_t digest = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = ((const char *)text.data)[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : 16;
        if (digit == 16)
            text.size = 0;
        digest = digest << 4 | digit;
    }
    reading->line.digest = digest;
    return text.size == DIGEST_SIZE && digest
               ? ERR_OK
               : wrong(reading, "digest", "16 hexadecimal digits in lower case, not all 0");
}

static enum err_code read_number(struct reading *reading, enum member member,
                                 const struct json *value)
{
    int64_t number = 0;
    int64_t max = member == MEMBER_STATUS    ? STATUS_MAX
                  : member == MEMBER_VERSION ? INT64_MAX - 2
                                             : JOB_TIME_MS_MAX;
    if (!json_integer_of(value, &number) || number < 0 || number > max)
        return wrong(reading, names[member], "a number from 0 on, in its range");
    if (member == MEMBER_STATUS)
        reading->line.status = (int)number;
    else if (member == MEMBER_VERSION)
        reading->line.version = number;
    else if (member == MEMBER_BEGIN)
        reading->line.begin_ms = number;
    else
        reading->line.end_ms = number;
    return ERR_OK;
}

static enum err_code read_value(struct reading *reading, enum member member,
                                const struct json *value)
{
    struct history_line *line = &reading->line;
    switch (member) {
    case MEMBER_DO:
        return read_kind(reading, json_text(value));
    case MEMBER_ID:
        line->has_id = id_parse(json_text(value), &line->id);
        return line->has_id ? ERR_OK : wrong(reading, "id", "a job's id");
    case MEMBER_STATE:
        line->has_state = job_state_parse(json_text(value), &line->state);
        return line->has_state ? ERR_OK : wrong(reading, "state", "a job's state");
    case MEMBER_DIGEST:
        return read_digest(reading, json_text(value));
    case MEMBER_STATUS:
    case MEMBER_VERSION:
    case MEMBER_BEGIN:
    case MEMBER_END:
        return read_number(reading, member, value);
    default:
        return read_text(reading, member, json_text(value));
    }
}

static void on_member(void *arg, struct span name, const struct json *value)
{
    struct reading *reading = arg;
    if (reading->code)
        return;
    for (int i = 0; i < MEMBER_COUNT; i++) {
        if (span_is(name, names[i])) {
            reading->seen |= 1U << i;
            reading->code = read_value(reading, (enum member)i, value);
            return;
        }
    }
    reading->code = err_field(reading->err, ERR_UNKNOWN_FIELD, "", "no line has a member \"%.*s\"",
                              (int)(name.size < 40 ? name.size : 40), (const char *)name.data);
}

static enum err_code check(struct reading *reading)
{
    const struct history_line *line = &reading->line;
    unsigned needed = kinds[line->kind].needed | BIT(DO);
    unsigned allowed = needed | kinds[line->kind].allowed;
    for (int i = 0; i < MEMBER_COUNT; i++) {
        if (needed & ~reading->seen & 1U << i)
            return err_field(reading->err, ERR_MISSING_FIELD, names[i], "%s is missing", names[i]);
        if (reading->seen & ~allowed & 1U << i)
            return err_field(reading->err, ERR_UNKNOWN_FIELD, names[i], "%s has no %s",
                             kinds[line->kind].text, names[i]);
    }
    if ((reading->seen & BIT(END)) && line->end_ms < line->begin_ms)
        return wrong(reading, "end", "no earlier than begin");
    if (line->kind == HISTORY_READ && line->status == 200 && !line->has_state)
        return err_field(reading->err, ERR_MISSING_FIELD, "state",
                         "a job that was told has a state");
    return ERR_OK;
}

enum err_code history_parse(struct span text, struct history_line *ret_line, struct json **ret_json,
                            struct err *err)
{
    const struct json_limits limits = { .depth_max = DEPTH_MAX, .tokens_max = TOKENS_MAX };
    struct reading reading = { .line = { .version = -1 }, .err = err };
    struct json *json = NULL;
    enum err_code code = json_parse(text, &limits, &json, err);
    if (code)
        return code;
    if (json_type_of(json) != JSON_TYPE_OBJECT)
        reading.code = err_set(err, ERR_INVALID_JSON, "a line is one JSON object");
    else
        json_each(json, on_member, &reading);
    if (!reading.code)
        reading.code = check(&reading);
    if (reading.code) {
        json_free(json);
        return reading.code;
    }
    *ret_line = reading.line;
    *ret_json = json;
    return ERR_OK;
}
