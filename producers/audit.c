/* See audit.h. SPDX-License-Identifier: Apache-2.0 */
#include "producers/audit.h"

#include "schemas/timefmt.h"

#include <stdlib.h>

enum err_code audit_publish(const struct publish *publish, const struct audit_entry *entry,
                            kafka_delivery_fn fn, void *arg, struct err *err)
{
    struct buf value = BUF_INIT(AUDIT_BYTES_MAX);
    struct buf ce_id = BUF_INIT(AUDIT_BYTES_MAX);
    char at[TIMEFMT_RFC3339_SIZE];
    timefmt_rfc3339(entry->at_ms, at);
    audit_json(entry, &value);
    buf_add_text(&ce_id, "audit:");
    buf_add_span(&ce_id, entry->id);
    buf_add_char(&ce_id, ':');
    buf_add_span(&ce_id, entry->phase);
    buf_printf(&ce_id, ":%s", at);
    const struct kafka_header headers[] = {
        { TOPIC_HEADER_CE_SPECVERSION, SPAN_LIT("1.0") },
        { TOPIC_HEADER_CE_ID, buf_span(&ce_id) },
        { TOPIC_HEADER_CE_TYPE, SPAN_LIT("errand.audit") },
        { TOPIC_HEADER_CE_SOURCE, span_of(publish->source) },
        { TOPIC_HEADER_CE_TIME, span_of(at) },
        { TOPIC_HEADER_CONTENT_TYPE, SPAN_LIT("application/json") },
    };
    char *topic = topic_name_dup(publish->namespace_, TOPIC_AUDIT, NULL);
    const struct kafka_send send = {
        .topic = topic,
        .key = entry->id,
        .value = buf_span(&value),
        .headers = headers,
        .header_count = sizeof headers / sizeof *headers,
    };
    enum err_code code =
        value.overflow
            ? err_set(err, ERR_LIMIT, "an audit record has at most %zu bytes", AUDIT_BYTES_MAX)
            : kafka_produce(publish->producer, &send, fn, arg, err);
    free(topic);
    buf_free(&value);
    buf_free(&ce_id);
    return code;
}
