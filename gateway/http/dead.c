/* GET /v1/dead...: what was given up on, counts first, then letter by letter. The index says which
 * letters there are; a payload is read where it lies, in Kafka.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/gateway.h"
#include "schemas/digits.h"
#include "schemas/envelope.h"
#include "schemas/json.h"
#include "schemas/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ANSWER_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define PAYLOADS_MAX     50 /* of one answer */
#define RAW_MAX          4096
#define LIMIT_DEFAULT    50
#define FETCH_TIMEOUT_MS 10000

/* --- what both kinds of answers need --- */

bool dead_place_parse(const struct config *config, struct span text, struct dead_place *ret_place)
{
    const char *slash = text.size ? memchr(text.data, '/', text.size) : NULL;
    if (!slash)
        return false;
    struct span queue = { text.data, (size_t)(slash - (const char *)text.data) };
    struct span digits = { slash + 1, text.size - queue.size - 1 };
    const struct config_queue *found = config_find_queue(config, queue);
    int64_t offset = 0;
    if (!found || !digits_parse(digits, DIGITS_MAX, &offset))
        return false;
    *ret_place = (struct dead_place){ found->name, offset };
    return true;
}

enum err_code dead_check(enum err_code code, bool certified, struct err *err)
{
    if (code)
        return err_set(err, ERR_VIEW_UNAVAILABLE, "The view (Redis) did not answer in time.");
    if (!certified)
        return err_set(err, ERR_VIEW_BEHIND,
                       "The index of dead letters is being rebuilt from the topics.");
    return ERR_OK;
}

/* --- letters with their payloads --- */

struct showing {
    struct gateway *gateway;
    struct http_request *req; /* NULL: the client has gone */
    bool list;                /* else one letter */
    struct dead_filter filter;
    struct dead_place after;
    int64_t limit;
    bool payload;
    struct buf body;
    struct dead_item *items;
    size_t count;
    bool more;
    struct kafka_fetch *fetches; /* of each item, when payloads are asked for */
    char **topics;
    enum err_code code; /* of a parameter */
    struct err err;
};

static void showing_free(struct showing *showing)
{
    for (size_t i = 0; showing->fetches && i < showing->count; i++) {
        buf_free(&showing->fetches[i].value);
        free(showing->topics[i]);
    }
    free(showing->fetches);
    free(showing->topics);
    dead_items_free(showing->items, showing->count);
    buf_free(&showing->body);
    free(showing);
}

static void gone(struct http_request *req, void *context)
{
    (void)req;
    struct showing *showing = context;
    showing->req = NULL;
}

static struct showing *show(struct http_request *req, struct gateway *gateway)
{
    struct showing *showing = MEM_NEW(*showing);
    showing->gateway = gateway;
    showing->req = req;
    showing->limit = LIMIT_DEFAULT;
    showing->body = (struct buf)BUF_INIT(ANSWER_BYTES_MAX);
    http_set_context(req, showing);
    http_on_close(req, gone);
    return showing;
}

static void answer(struct showing *showing, enum err_code code)
{
    if (showing->req && code)
        gateway_problem(showing->req, &showing->err);
    else if (showing->req)
        gateway_json(showing->req, 200, &showing->body, NULL, 0);
    showing_free(showing);
}

/* The payload as JSON, when it is some; else as text. */
static void add_payload(const struct kafka_fetch *fetch, struct buf *out)
{
    static const struct json_limits limits = { .depth_max = 64,
                                               .tokens_max = 100000,
                                               .any_value = true };
    struct envelope *envelope = NULL;
    struct json *json = NULL;
    struct span value = buf_span(&fetch->value);
    if (envelope_decode(value, &envelope, NULL) != ERR_OK) {
        buf_add_text(out, ",\"raw\":\"");
        buf_add_hex(out, (struct span){ value.data, value.size < RAW_MAX ? value.size : RAW_MAX });
        buf_add_char(out, '"');
        return;
    }
    if (envelope->kind == ENVELOPE_COMMAND &&
        json_parse(envelope->command.payload, &limits, &json, NULL) == ERR_OK) {
        buf_add_text(out, ",\"payload\":");
        buf_add_span(out, envelope->command.payload);
    } else if (envelope->kind == ENVELOPE_COMMAND) {
        buf_add_text(out, ",\"payload_text\":");
        buf_add_json_string(out, envelope->command.payload);
    }
    json_free(json);
    envelope_free(envelope);
}

static void add_letter(const struct showing *showing, size_t i, struct buf *out)
{
    const struct dead_item *item = &showing->items[i];
    struct span json = item->read.json;
    buf_add(out, json.data, json.size - 1); /* without its end */
    if (item->resolution)
        buf_printf(out, ",\"resolved\":%s", item->resolution);
    if (showing->fetches && showing->fetches[i].found)
        add_payload(&showing->fetches[i], out);
    else if (showing->fetches)
        buf_add_text(out, ",\"gone\":true");
    buf_add_char(out, '}');
}

static void add_letters(struct showing *showing)
{
    struct buf *body = &showing->body;
    buf_add_text(body, ",\"letters\":[");
    for (size_t i = 0; i < showing->count; i++) {
        if (i)
            buf_add_char(body, ',');
        add_letter(showing, i, body);
    }
    buf_add_char(body, ']');
    if (showing->more) {
        const struct dead_item *last = &showing->items[showing->count - 1];
        buf_printf(body, ",\"next\":\"%s/%" PRId64 "\"", last->queue, last->offset);
    }
    buf_add_char(body, '}');
}

static void answer_letters(struct showing *showing)
{
    if (showing->list)
        add_letters(showing);
    else
        add_letter(showing, showing->count - 1, &showing->body); /* of a job: the newest */
    answer(showing, ERR_OK);
}

/* The client may have gone, and the gateway with it. */
static void on_fetched(void *arg, enum err_code code)
{
    struct showing *showing = arg;
    if (!showing->req)
        showing_free(showing);
    else if (code)
        answer(showing, err_set(&showing->err, ERR_KAFKA,
                                "Kafka did not answer; the payloads cannot be read."));
    else
        answer_letters(showing);
}

static void fetch(struct showing *showing)
{
    const struct gateway *gateway = showing->gateway;
    if (kafka_admin_asked(gateway->admin) >= GATEWAY_KAFKA_QUESTIONS_MAX) {
        answer(showing, err_set(&showing->err, ERR_OVERLOADED,
                                "Kafka is slow, and is being asked for %d payloads already.",
                                GATEWAY_KAFKA_QUESTIONS_MAX));
        return;
    }
    showing->fetches = mem_zalloc(showing->count, sizeof *showing->fetches);
    showing->topics = mem_zalloc(showing->count, sizeof *showing->topics);
    for (size_t i = 0; i < showing->count; i++) {
        showing->topics[i] =
            topic_name_dup(gateway->config->namespace_, TOPIC_DEAD, showing->items[i].queue);
        showing->fetches[i] = (struct kafka_fetch){ .topic = showing->topics[i],
                                                    .offset = showing->items[i].offset,
                                                    .value = BUF_INIT(TOPIC_RECORD_BYTES_MAX) };
    }
    kafka_fetch(gateway->admin, showing->fetches, showing->count,
                &(struct kafka_reply){ gateway->loop, FETCH_TIMEOUT_MS, on_fetched, showing });
}

static void on_letters(void *arg, struct dead_page *page)
{
    struct showing *showing = arg;
    enum err_code code = dead_check(page->code, page->certified, &showing->err);
    if (!code && !showing->list && page->count == 0)
        code = err_set(&showing->err, ERR_NOT_FOUND, "There is no such dead letter.");
    if (code || !showing->req) {
        answer(showing, code);
        return;
    }
    showing->items = page->items;
    showing->count = page->count;
    showing->more = page->more;
    page->items = NULL;
    if (showing->payload && showing->count)
        fetch(showing);
    else
        answer_letters(showing);
}

/* --- the list --- */

static void on_counts(void *arg, struct dead_counts *counts)
{
    struct showing *showing = arg;
    enum err_code code = dead_check(counts->code, counts->certified, &showing->err);
    if (code || !showing->req) {
        answer(showing, code);
        return;
    }
    buf_printf(&showing->body,
               "{\"counts\":{\"open\":%" PRId64 ",\"resolved\":%" PRId64 ",\"matching\":%" PRId64
               "},\"groups\":",
               counts->open, counts->resolved,
               showing->filter.resolved ? counts->resolved : counts->matching);
    buf_add_span(&showing->body, buf_span(&counts->groups));
    if (showing->limit == 0) {
        buf_add_char(&showing->body, '}');
        answer(showing, ERR_OK);
        return;
    }
    dead_index_page(&showing->gateway->dead_index, &showing->filter, showing->after,
                    (size_t)showing->limit, on_letters, showing);
}

static void read_parameter(void *arg, struct span name, struct span value)
{
    struct showing *showing = arg;
    struct dead_filter *filter = &showing->filter;
    const struct config *config = showing->gateway->config;
    bool fits = true;
    if (span_is(name, "queue"))
        fits = config_find_queue(config, value) &&
               span_copy(value, filter->queue, sizeof filter->queue);
    else if (span_is(name, "type"))
        fits = span_copy(value, filter->type, sizeof filter->type);
    else if (span_is(name, "reason"))
        fits = span_copy(value, filter->reason, sizeof filter->reason);
    else if (span_is(name, "fingerprint"))
        fits = span_copy(value, filter->fingerprint, sizeof filter->fingerprint);
    else if (span_is(name, "state"))
        fits = (filter->resolved = span_is(value, "resolved")) || span_is(value, "open");
    else if (span_is(name, "limit"))
        fits = digits_parse(value, DIGITS_MAX, &showing->limit) && showing->limit <= DEAD_PAGE_MAX;
    else if (span_is(name, "payload"))
        fits = (showing->payload = span_is(value, "true")) || span_is(value, "false");
    else if (span_is(name, "cursor"))
        fits = dead_place_parse(config, value, &showing->after);
    else
        fits = false;
    char field[64];
    snprintf(field, sizeof field, "%.*s", (int)(name.size < 63 ? name.size : 63),
             (const char *)name.data);
    if (!fits && !showing->code)
        showing->code = err_field(
            &showing->err, ERR_INVALID_PARAMETER, field,
            "%s is not one of queue, type, reason, fingerprint, state (open, resolved), limit (0 "
            "to %d), cursor (as `next` told it), payload (true, false), or its value is none of "
            "these.",
            field, DEAD_PAGE_MAX);
}

void dead_list_handler(struct http_request *req, void *service)
{
    struct gateway *gateway = service_state(service);
    struct showing *showing = show(req, gateway);
    showing->list = true;
    http_query_each(req, read_parameter, showing);
    if (showing->payload && showing->limit > PAYLOADS_MAX)
        showing->limit = PAYLOADS_MAX;
    if (showing->code)
        answer(showing, showing->code);
    else
        dead_index_counts(&gateway->dead_index, &showing->filter, on_counts, showing);
}

/* --- one letter --- */

static void show_one(struct http_request *req, struct gateway *gateway, const struct id *id,
                     struct dead_place place)
{
    struct showing *showing = show(req, gateway);
    showing->payload = true;
    dead_index_letter(&gateway->dead_index, place.queue, place.offset, id, on_letters, showing);
}

void dead_job_handler(struct http_request *req, void *service)
{
    struct gateway *gateway = service_state(service);
    struct id id;
    struct err err;
    if (id_parse(http_param(req, 0), &id) && id_verify(gateway->minter, &id)) {
        show_one(req, gateway, &id, (struct dead_place){ 0 });
        return;
    }
    err_set(&err, ERR_JOB_NOT_FOUND, "There is no such job.");
    gateway_problem(req, &err);
}

void dead_letter_handler(struct http_request *req, void *service)
{
    struct gateway *gateway = service_state(service);
    struct dead_place place = { 0 };
    struct buf text = BUF_INIT(512);
    buf_add_span(&text, http_param(req, 0));
    buf_add_char(&text, '/');
    buf_add_span(&text, http_param(req, 1));
    bool known = dead_place_parse(gateway->config, buf_span(&text), &place);
    buf_free(&text);
    if (known) {
        show_one(req, gateway, NULL, place);
        return;
    }
    struct err err;
    err_set(&err, ERR_NOT_FOUND, "There is no such dead letter.");
    gateway_problem(req, &err);
}
