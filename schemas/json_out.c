/* See json_out.h. Without printf: job records are written on the hottest of ways.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/json_out.h"

#include "schemas/timefmt.h"

void json_out_name(struct buf *out, const char *name)
{
    if (out->size && out->data[out->size - 1] != '{')
        buf_add_char(out, ',');
    buf_add_char(out, '"');
    buf_add_text(out, name);
    buf_add(out, "\":", 2);
}

void json_out_text(struct buf *out, const char *name, struct span value)
{
    if (value.size == 0)
        return;
    json_out_name(out, name);
    buf_add_json_string(out, value);
}

void json_out_json(struct buf *out, const char *name, struct span value)
{
    if (value.size == 0)
        return;
    json_out_name(out, name);
    buf_add_span(out, value);
}

void json_out_number(struct buf *out, const char *name, int64_t value)
{
    json_out_name(out, name);
    buf_add_int(out, value);
}

void json_out_instant(struct buf *out, const char *name, int64_t ms)
{
    char text[TIMEFMT_RFC3339_SIZE];
    if (ms <= 0)
        return;
    timefmt_rfc3339(ms, text);
    json_out_text(out, name, span_of(text));
}

void json_out_id(struct buf *out, const char *name, const struct id *id)
{
    char text[ID_TEXT_SIZE];
    id_text(id, text);
    json_out_text(out, name, span_of(text));
}
