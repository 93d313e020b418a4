/* See job_filter.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/job_filter.h"

#include "schemas/job_json.h"
#include "schemas/timefmt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PLACE_DIGITS_MAX 15 /* of a time in ms up to the year 9999 */

static enum err_code add_state(struct job_filter *filter, struct span word, struct err *err)
{
    enum job_state state;
    if (job_state_parse(word, &state)) {
        filter->states |= 1U << state;
        return ERR_OK;
    }
    struct buf all = BUF_INIT(256);
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        buf_printf(&all, "%s%s", i ? ", " : "", job_state_text((enum job_state)i));
    enum err_code code =
        err_field(err, ERR_INVALID_PARAMETER, "state", "there is no state '%.*s'; there are: %s",
                  (int)(word.size < 40 ? word.size : 40), (const char *)word.data, all.data);
    buf_free(&all);
    return code;
}

enum err_code job_filter_add_states(struct job_filter *filter, struct span text, struct err *err)
{
    const char *at = text.data;
    const char *end = at + text.size;
    for (;;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        enum err_code code =
            add_state(filter, (struct span){ .data = at, .size = (size_t)(stop - at) }, err);
        if (code || !comma)
            return code;
        at = comma + 1;
    }
}

enum err_code job_filter_add_label(struct job_filter *filter, struct span text, struct err *err)
{
    const char *bytes = text.data;
    const char *equals = memchr(bytes, '=', text.size);
    size_t name_size = equals ? (size_t)(equals - bytes) : text.size;
    if (name_size == 0)
        return err_field(err, ERR_INVALID_PARAMETER, "label",
                         "a label is asked for as name=value, or by its name alone");
    if (filter->label_count == JOB_FILTER_LABELS_MAX)
        return err_field(err, ERR_INVALID_PARAMETER, "label", "at most %d labels may be asked for",
                         JOB_FILTER_LABELS_MAX);
    struct job_label *label = &filter->labels[filter->label_count++];
    *label = (struct job_label){ .name = { .data = bytes, .size = name_size } };
    if (equals)
        label->value = (struct span){ .data = equals + 1, .size = text.size - name_size - 1 };
    return ERR_OK;
}

enum err_code job_filter_set_since(struct job_filter *filter, struct span text, int64_t now_ms,
                                   struct err *err)
{
    if (!timefmt_parse_since(text, now_ms, &filter->since_ms))
        return err_field(err, ERR_INVALID_PARAMETER, "since",
                         "since is a time such as 2026-11-24T01:02:03Z, or how long ago: 90s, 1h, "
                         "7d");
    return ERR_OK;
}

static bool has_label(const struct job_facts *facts, const struct job_label *wanted)
{
    for (size_t i = 0; i < facts->label_count; i++) {
        if (span_eq(facts->labels[i].name, wanted->name))
            return !wanted->value.data || span_eq(facts->labels[i].value, wanted->value);
    }
    return false;
}

bool job_filter_fits(const struct job_filter *filter, const struct job_record *record,
                     int64_t now_ms)
{
    const struct job_facts *facts = &record->facts;
    if (!span_eq(facts->tenant, filter->tenant))
        return false;
    if (filter->type.data && !span_eq(facts->type, filter->type))
        return false;
    if (filter->states && !(filter->states & 1U << job_json_state(record, now_ms)))
        return false;
    if (facts->created_at_ms < filter->since_ms)
        return false;
    for (size_t i = 0; i < filter->label_count; i++) {
        if (!has_label(facts, &filter->labels[i]))
            return false;
    }
    return true;
}

unsigned job_filter_record_states(const struct job_filter *filter)
{
    unsigned states = filter->states ? filter->states : (1U << JOB_STATE_COUNT) - 1;
    return states & 1U << JOB_QUEUED ? states | 1U << JOB_SCHEDULED : states;
}

bool job_filter_looks_inside(const struct job_filter *filter)
{
    const unsigned waiting = 1U << JOB_QUEUED | 1U << JOB_SCHEDULED;
    unsigned asked = filter->states & waiting;
    return filter->label_count > 0 || (asked && asked != waiting);
}

void job_place_text(const struct job_place *place, char ret[JOB_PLACE_TEXT_SIZE])
{
    char identity[IDENTITY_TEXT_SIZE];
    id_identity_text(&place->id, identity);
    snprintf(ret, JOB_PLACE_TEXT_SIZE, "%" PRId64 "-%s", place->created_at_ms, identity);
}

bool job_place_parse(struct span text, struct job_place *ret_place)
{
    const char *bytes = text.data;
    size_t digits = 0;
    int64_t created_at_ms = 0;
    while (digits < text.size && digits < PLACE_DIGITS_MAX && bytes[digits] >= '0' &&
           bytes[digits] <= '9')
        created_at_ms = created_at_ms * 10 + (bytes[digits++] - '0');
    if (digits == 0 || digits >= text.size || bytes[digits] != '-')
        return false;
    struct id id;
    if (!id_identity_parse(
            (struct span){ .data = bytes + digits + 1, .size = text.size - digits - 1 }, &id))
        return false;
    *ret_place = (struct job_place){ .created_at_ms = created_at_ms, .id = id };
    return true;
}
