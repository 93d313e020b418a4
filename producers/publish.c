/* See publish.h. SPDX-License-Identifier: Apache-2.0 */
#include "producers/publish.h"

#include "infra/clock.h"
#include "schemas/envelope.h"
#include "schemas/mutant.h"
#include "schemas/timefmt.h"
#include "schemas/topic.h"

#include <inttypes.h>
#include <stdio.h>

#define HEADERS_MAX 20

/* Headers being put together; the texts live in the struct. */
struct headers {
    struct kafka_header items[HEADERS_MAX];
    size_t count;
    char id[ID_TEXT_SIZE];
    char ce_id[ID_TEXT_SIZE + 48];
    char ce_type[48];
    char time[32];
};

static void add(struct headers *headers, const char *name, struct span value)
{
    if (value.size)
        headers->items[headers->count++] = (struct kafka_header){ name, value };
}

static void add_cloudevent(struct headers *headers, const char *source, const char *content_type)
{
    timefmt_rfc3339(clock_wall_ms(), headers->time);
    add(headers, TOPIC_HEADER_CE_SPECVERSION, span_of("1.0"));
    add(headers, TOPIC_HEADER_CE_ID, span_of(headers->ce_id));
    add(headers, TOPIC_HEADER_CE_TYPE, span_of(headers->ce_type));
    add(headers, TOPIC_HEADER_CE_SOURCE, span_of(source));
    add(headers, TOPIC_HEADER_CE_TIME, span_of(headers->time));
    add(headers, TOPIC_HEADER_CE_SUBJECT, span_of(headers->id));
    add(headers, TOPIC_HEADER_CONTENT_TYPE, span_of(content_type));
}

static void add_trace(struct headers *headers, const struct job_facts *facts)
{
    add(headers, TOPIC_HEADER_TRACEPARENT, facts->traceparent);
    add(headers, TOPIC_HEADER_TRACESTATE, facts->tracestate);
}

static void queue_topic(char *name, size_t size, const struct publish *publish,
                        enum topic_kind kind, struct span queue)
{
    struct buf buf = BUF_INIT(size - 1);
    char suffix[TOPIC_NAME_MAX];
    snprintf(suffix, sizeof suffix, "%.*s", SPAN_ARG(queue));
    topic_name(&buf, publish->namespace_, kind, suffix);
    snprintf(name, size, "%s", buf.data ? buf.data : "");
    buf_free(&buf);
}

/* Where a command goes: a delay topic is keyed by the job, the command topic by the ordering key if
 * there is one. */
struct destination {
    const char *topic;
    struct span key;
    const struct publish_more *more; /* NULL: no headers besides */
};

/* Borrows all of them. */
static struct kafka_send record_of(struct destination to, struct span value,
                                   const struct headers *headers)
{
    return (struct kafka_send){ .topic = to.topic,
                                .key = to.key,
                                .value = value,
                                .headers = headers->items,
                                .header_count = headers->count };
}

static enum err_code send_command(const struct publish *publish, const struct job_command *command,
                                  struct destination to, kafka_delivery_fn fn, void *arg,
                                  struct err *err)
{
    struct headers headers = { 0 };
    id_text(&command->facts.id, headers.id);
    snprintf(headers.ce_id, sizeof headers.ce_id, "%s:%u", headers.id, command->turn);
    snprintf(headers.ce_type, sizeof headers.ce_type, "errand.command");
    add_cloudevent(&headers, publish->source, "application/protobuf");
    add_trace(&headers, &command->facts);
    for (size_t i = 0; to.more && i < to.more->count && i < PUBLISH_MORE_MAX; i++)
        add(&headers, to.more->headers[i].name, to.more->headers[i].value);
    struct buf value = BUF_INIT(ENVELOPE_BYTES_MAX);
    enum err_code code = envelope_encode_command(command, &value, err);
    if (code == ERR_OK) {
        const struct kafka_send send = record_of(to, buf_span(&value), &headers);
        code = kafka_produce(publish->producer, &send, fn, arg, err);
    }
    buf_free(&value);
    return code;
}

enum err_code publish_command(const struct publish *publish, const struct job_command *command,
                              kafka_delivery_fn fn, void *arg, struct err *err)
{
    return publish_command_with(publish, command, NULL, fn, arg, err);
}

enum err_code publish_command_with(const struct publish *publish, const struct job_command *command,
                                   const struct publish_more *more, kafka_delivery_fn fn, void *arg,
                                   struct err *err)
{
    char identity[IDENTITY_TEXT_SIZE];
    id_identity_text(&command->facts.id, identity);
    char topic[TOPIC_NAME_MAX];
    queue_topic(topic, sizeof topic, publish, TOPIC_COMMANDS, command->facts.queue);
    struct span key = command->facts.key.size ? command->facts.key : span_of(identity);
    return send_command(publish, command, (struct destination){ topic, key, more }, fn, arg, err);
}

enum err_code publish_handoff(const struct publish *publish, const struct job_command *command,
                              kafka_delivery_fn fn, void *arg, struct err *err)
{
    const struct topic_tier *tier =
        topic_tier_for(publish->tiers, publish->tier_count, command->due_at_ms - clock_wall_ms());
    if (!tier)
        return publish_command(publish, command, fn, arg, err);
    char identity[IDENTITY_TEXT_SIZE];
    id_identity_text(&command->facts.id, identity);
    char topic[TOPIC_NAME_MAX];
    queue_topic(topic, sizeof topic, publish, TOPIC_DELAY, span_of(tier->name));
    return send_command(publish, command, (struct destination){ topic, span_of(identity), NULL },
                        fn, arg, err);
}

static void on_twin(void *arg, enum err_code code, int32_t partition, int64_t offset)
{
    (void)arg;
    (void)code;
    (void)partition;
    (void)offset;
}

enum err_code publish_event(const struct publish *publish, const struct job_event *event,
                            kafka_delivery_fn fn, void *arg, struct err *err)
{
    struct headers headers = { 0 };
    id_text(&event->facts.id, headers.id);
    const char *kind = job_event_text(event->kind);
    snprintf(headers.ce_id, sizeof headers.ce_id, "%s:%u:%u:%s", headers.id, event->turn,
             event->attempt, kind);
    snprintf(headers.ce_type, sizeof headers.ce_type, "errand.event.%s", kind);
    add_cloudevent(&headers, publish->source, "application/protobuf");
    add_trace(&headers, &event->facts);

    char identity[IDENTITY_TEXT_SIZE];
    id_identity_text(&event->facts.id, identity);
    char topic[TOPIC_NAME_MAX];
    queue_topic(topic, sizeof topic, publish, TOPIC_REPLIES, event->facts.queue);

    struct buf value = BUF_INIT(ENVELOPE_BYTES_MAX);
    enum err_code code = envelope_encode_event(event, &value, err);
    if (code == ERR_OK) {
        const struct destination to = { topic, span_of(identity), NULL };
        const struct kafka_send send = record_of(to, buf_span(&value), &headers);
        code = kafka_produce(publish->producer, &send, fn, arg, err);
        if (MUTANT(end_told_in_two_places) && job_state_is_terminal(job_event_state(event->kind))) {
            const struct destination elsewhere = { topic, SPAN_LIT("elsewhere"), NULL };
            const struct kafka_send twin = record_of(elsewhere, buf_span(&value), &headers);
            (void)!kafka_produce(publish->producer, &twin, on_twin, NULL, err);
        }
    }
    buf_free(&value);
    return code;
}

enum err_code publish_dead(const struct publish *publish, const struct publish_dead *dead,
                           kafka_delivery_fn fn, void *arg, struct err *err)
{
    struct headers headers = { 0 };
    snprintf(headers.id, sizeof headers.id, "%.*s", SPAN_ARG(dead->job_id));
    snprintf(headers.ce_id, sizeof headers.ce_id, "dead:%" PRId32 ":%" PRId64, dead->partition,
             dead->offset);
    snprintf(headers.ce_type, sizeof headers.ce_type, "errand.dead");
    add_cloudevent(&headers, publish->source, "application/protobuf");
    add(&headers, TOPIC_HEADER_TRACEPARENT, dead->traceparent);

    char partition[16];
    char offset[24];
    char turn[16];
    snprintf(partition, sizeof partition, "%" PRId32, dead->partition);
    snprintf(offset, sizeof offset, "%" PRId64, dead->offset);
    snprintf(turn, sizeof turn, "%u", dead->turn);
    add(&headers, TOPIC_HEADER_REASON, dead->reason);
    add(&headers, TOPIC_HEADER_DETAIL, dead->detail);
    add(&headers, TOPIC_HEADER_SOURCE_TOPIC, span_of(dead->topic));
    add(&headers, TOPIC_HEADER_SOURCE_PARTITION, span_of(partition));
    add(&headers, TOPIC_HEADER_SOURCE_OFFSET, span_of(offset));
    add(&headers, TOPIC_HEADER_TURN, span_of(turn));
    add(&headers, TOPIC_HEADER_TARGET, dead->target);
    char status[16];
    snprintf(status, sizeof status, "%u", dead->status);
    if (dead->status)
        add(&headers, TOPIC_HEADER_STATUS, span_of(status));

    char topic[TOPIC_NAME_MAX];
    queue_topic(topic, sizeof topic, publish, TOPIC_DEAD, dead->queue);
    struct kafka_send send =
        record_of((struct destination){ topic, dead->key, NULL }, dead->value, &headers);
    enum err_code code = kafka_produce(publish->producer, &send, fn, arg, err);
    if (code == ERR_LIMIT) { /* a stranger's record, as large as the topic takes: no room beside it
                                for the letter, which says where to find it */
        send.key = send.value = (struct span){ 0 };
        code = kafka_produce(publish->producer, &send, fn, arg, err);
    }
    return code;
}

enum err_code publish_resolution(const struct publish *publish, struct span queue,
                                 const struct job_resolution *resolution, kafka_delivery_fn fn,
                                 void *arg, struct err *err)
{
    struct headers headers = { 0 };
    char identity[IDENTITY_TEXT_SIZE] = "";
    if (resolution->has_id) {
        id_text(&resolution->id, headers.id);
        id_identity_text(&resolution->id, identity);
    }
    snprintf(headers.ce_id, sizeof headers.ce_id, "resolved:%" PRId64, resolution->letter_offset);
    snprintf(headers.ce_type, sizeof headers.ce_type, "errand.resolved");
    add_cloudevent(&headers, publish->source, "application/protobuf");
    char offset[24];
    snprintf(offset, sizeof offset, "%" PRId64, resolution->letter_offset);
    add(&headers, TOPIC_HEADER_RESOLUTION, span_of(job_resolution_text(resolution->kind)));
    add(&headers, TOPIC_HEADER_LETTER, span_of(offset));

    char topic[TOPIC_NAME_MAX];
    queue_topic(topic, sizeof topic, publish, TOPIC_DEAD, queue);
    struct buf value = BUF_INIT(ENVELOPE_BYTES_MAX);
    enum err_code code = envelope_encode_resolution(resolution, &value, err);
    if (code == ERR_OK) {
        const struct destination to = { topic, span_of(identity), NULL };
        const struct kafka_send send = record_of(to, buf_span(&value), &headers);
        code = kafka_produce(publish->producer, &send, fn, arg, err);
    }
    buf_free(&value);
    return code;
}
