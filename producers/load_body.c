/* Making requests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "producers/load_body.h"

#include "schemas/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define NUMBER_MARK    "{{n}}"
#define BODY_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define HEAD_BYTES_MAX 4096
#define NUMBER_SIZE    24

struct load_body {
    struct span *parts; /* the body's text between the numbers; borrowed from `text` */
    size_t part_count;
    size_t part_bytes;
    char *text;
    char *head; /* of a submission, up to its changing headers */
    char *read_head;
    char *read_tail;
    char run[17]; /* random: keys of different runs differ */
    bool keyed;
    bool named; /* submissions carry their request id */
};

static void cut(struct load_body *body)
{
    const char *at = body->text;
    const char *mark = NULL;
    size_t marks = 0;
    for (const char *found = at; (found = strstr(found, NUMBER_MARK)) != NULL; found++)
        marks++;
    body->parts = mem_zalloc(marks + 1, sizeof *body->parts);
    while ((mark = strstr(at, NUMBER_MARK)) != NULL) {
        body->parts[body->part_count++] = (struct span){ .data = at, .size = (size_t)(mark - at) };
        at = mark + sizeof NUMBER_MARK - 1;
    }
    body->parts[body->part_count++] = span_of(at);
    for (size_t i = 0; i < body->part_count; i++)
        body->part_bytes += body->parts[i].size;
}

static char *make_text(const struct load_options *options)
{
    struct buf text = BUF_INIT(BODY_BYTES_MAX);
    buf_add_text(&text, "{\"type\":");
    buf_add_json_string(&text, span_of(options->type));
    buf_add_text(&text, ",\"payload\":");
    buf_add_span(&text, options->payload);
    if (options->key) {
        buf_add_text(&text, ",\"key\":");
        buf_add_json_string(&text, span_of(options->key));
    }
    if (options->delay_ms)
        buf_printf(&text, ",\"delay\":\"%" PRId64 "ms\"", options->delay_ms);
    buf_add_char(&text, '}');
    return buf_take(&text);
}

static char *make_head(const struct load_options *options, const char *method)
{
    struct buf head = BUF_INIT(HEAD_BYTES_MAX);
    buf_printf(&head, "%s %s/v1/jobs", method, options->path);
    return buf_take(&head);
}

static char *make_tail(const struct load_options *options, const char *more)
{
    struct buf tail = BUF_INIT(HEAD_BYTES_MAX);
    bool v6 = strchr(options->host, ':') != NULL;
    buf_printf(&tail, " HTTP/1.1\r\nHost: %s%s%s:%s\r\n%s", v6 ? "[" : "", options->host,
               v6 ? "]" : "", options->port, more);
    return buf_take(&tail);
}

struct load_body *load_body_new(const struct load_options *options)
{
    struct load_body *body = MEM_NEW(*body);
    uint64_t random = 0;
    ssize_t got = getrandom(&random, sizeof random, 0);
    assert(got == (ssize_t)sizeof random); /* never interrupted or short for so few */
    (void)snprintf(body->run, sizeof body->run, "%016" PRIx64, random);
    body->keyed = options->keyed;
    body->named = options->on_history != NULL;
    body->text = make_text(options);
    cut(body);
    char *start = make_head(options, "POST");
    char *rest = make_tail(options, "Content-Type: application/json\r\nContent-Length: ");
    struct buf head = BUF_INIT(HEAD_BYTES_MAX);
    buf_printf(&head, "%s%s", start, rest);
    body->head = buf_take(&head);
    body->read_head = make_head(options, "GET");
    body->read_tail = make_tail(options, "\r\n");
    free(start);
    free(rest);
    return body;
}

void load_body_free(struct load_body *body)
{
    if (!body)
        return;
    free(body->parts);
    free(body->text);
    free(body->head);
    free(body->read_head);
    free(body->read_tail);
    free(body);
}

void load_body_name(const struct load_body *body, int64_t n, struct buf *out)
{
    buf_add_text(out, "load-");
    buf_add_text(out, body->run);
    buf_add_char(out, '-');
    buf_add_int(out, n);
}

void load_body_key(const struct load_body *body, int64_t n, struct buf *out)
{
    if (body->keyed)
        load_body_name(body, n, out);
}

void load_body_submit(const struct load_body *body, int64_t n, struct buf *out)
{
    char number[NUMBER_SIZE];
    int digits = snprintf(number, sizeof number, "%" PRId64, n);
    size_t size = body->part_bytes + (body->part_count - 1) * (size_t)digits;
    buf_add_text(out, body->head);
    buf_add_int(out, (int64_t)size);
    if (body->keyed) {
        buf_add_text(out, "\r\nIdempotency-Key: \"");
        load_body_key(body, n, out);
        buf_add_char(out, '"');
    }
    if (body->named) {
        buf_add_text(out, "\r\nX-Request-Id: ");
        load_body_name(body, n, out);
    }
    buf_add_text(out, "\r\n\r\n");
    for (size_t i = 0; i < body->part_count; i++) {
        if (i > 0)
            buf_add(out, number, (size_t)digits);
        buf_add_span(out, body->parts[i]);
    }
}

void load_body_wait(const struct load_body *body, struct span id, int wait_s, struct buf *out)
{
    buf_add_text(out, body->read_head);
    buf_add_char(out, '/');
    buf_add_span(out, id);
    buf_add_text(out, "?wait=");
    buf_add_int(out, wait_s);
    buf_add_text(out, body->read_tail);
}
