/* Why a job is where it is: one question after the other, each only where it says something. Its
 * claim (Redis), who works (Redis), how far its partition is done (Kafka's committed offset), which
 * jobs of its key are before it (the view's lists, at most WHY_LOOK_MAX jobs). An answer that does
 * not come leaves a fact out. See why.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/why.h"

#include "consumers/gate_look.h"
#include "consumers/view_list.h"
#include "consumers/workers.h"
#include "infra/clock.h"
#include "schemas/envelope.h"
#include "schemas/job_json.h"
#include "schemas/json.h"
#include "schemas/mem.h"
#include "schemas/topic.h"
#include "schemas/why.h"

#include <inttypes.h>
#include <stdlib.h>

#define WHY_LOOK_MAX       2000 /* jobs before it, among which those of its key are looked for */
#define CLOCKS_APART_MS    2000 /* gateways' clocks: who was accepted earlier may be dated later */
#define COMMITTED_MS       3000
#define WORKER_NAME_MAX    256
#define BODY_BYTES_MAX     ((size_t)8 * 1024 * 1024)
#define SENTENCE_BYTES_MAX 8192

static const struct json_limits life_limits = { .depth_max = 4, .tokens_max = 1000 };

struct explaining {
    struct gateway *gateway;
    struct http_request *req; /* NULL when the client has gone */
    struct id id;
    struct envelope_record *copy; /* owns what facts.record points to; NULL: none */
    struct why_facts facts;
    struct buf worker;
    bool ordered;
    int64_t committed; /* the first offset of its partition that is not done; WHY_UNKNOWN */
    char *topic, *group;
    struct kafka_offset offset;
    struct job_filter filter;
    struct job_place after;
    size_t looked;
};

static void finish(struct explaining *explaining)
{
    envelope_record_free(explaining->copy);
    buf_free(&explaining->worker);
    free(explaining->topic);
    free(explaining->group);
    free(explaining);
}

/* --- the answer --- */

static void add_claim(const struct why_facts *facts, struct buf *out)
{
    if (facts->cancel_marked)
        buf_add_text(out, ",\"cancel_requested\":true");
    if (!facts->claimed)
        return;
    buf_add_text(out, ",\"worker\":{");
    if (facts->worker.size) {
        buf_add_text(out, "\"name\":");
        buf_add_json_string(out, facts->worker);
        buf_add_char(out, ',');
    }
    buf_printf(out, "\"beats\":%s}", facts->worker_beats ? "true" : "false");
}

static void add_key(const struct why_facts *facts, struct buf *out)
{
    if (facts->key_before == WHY_UNKNOWN)
        return;
    buf_printf(out, ",\"key_before\":%" PRId64, facts->key_before);
    if (facts->key_more)
        buf_add_text(out, ",\"key_more\":true");
    if (facts->key_before > 0) {
        char first[ID_TEXT_SIZE];
        id_text(&facts->key_first, first);
        buf_printf(out, ",\"key_first\":{\"id\":\"%s\",\"state\":\"%s\"}", first,
                   job_state_text(facts->key_first_state));
    }
}

static void add_facts(const struct explaining *explaining, struct buf *out)
{
    const struct why_facts *facts = &explaining->facts;
    buf_printf(out, ",\"facts\":{\"ordered\":%s", explaining->ordered ? "true" : "false");
    add_claim(facts, out);
    if (facts->workers != WHY_UNKNOWN)
        buf_printf(out, ",\"workers\":%" PRId64, facts->workers);
    if (explaining->committed != WHY_UNKNOWN)
        buf_printf(out, ",\"committed\":%" PRId64, explaining->committed);
    if (facts->before >= 0)
        buf_printf(out, ",\"before\":%" PRId64, facts->before);
    add_key(facts, out);
    buf_add_char(out, '}');
}

static void answer(struct explaining *explaining)
{
    struct why_facts *facts = &explaining->facts;
    struct http_request *req = explaining->req;
    struct buf body = BUF_INIT(BODY_BYTES_MAX);
    struct buf sentence = BUF_INIT(SENTENCE_BYTES_MAX);
    char id[ID_TEXT_SIZE];
    facts->now_ms = clock_wall_ms();
    id_text(facts->record ? &facts->record->facts.id : &explaining->id, id);
    why_sentence(facts, &sentence);
    buf_printf(&body, "{\"id\":\"%s\",\"code\":\"%s\",\"why\":", id, why_code(facts));
    buf_add_json_string(&body, buf_span(&sentence));
    add_facts(explaining, &body);
    buf_add_text(&body, ",\"job\":");
    if (facts->record)
        job_json_listed(facts->record, explaining->gateway->config->namespace_, facts->now_ms,
                        &body);
    else
        job_json_accepted(&explaining->id, &body);
    buf_add_char(&body, '}');
    finish(explaining);
    gateway_json(req, 200, &body, NULL, 0);
    buf_free(&body);
    buf_free(&sentence);
}

static bool has_gone(struct explaining *explaining)
{
    if (explaining->req)
        return false;
    finish(explaining);
    return true;
}

/* --- the jobs of its key --- */

static void ask_key(struct explaining *explaining);

static bool is_before(const struct explaining *explaining, const struct job_record *other)
{
    const struct job_facts *mine = &explaining->facts.record->facts;
    return !job_state_is_terminal(other->state) && span_eq(other->facts.key, mine->key) &&
           span_eq(other->facts.queue, mine->queue) && span_eq(other->facts.tenant, mine->tenant) &&
           other->facts.origin_offset >= 0 && other->facts.origin_offset < mine->origin_offset;
}

/* Newest first: the last one found is the first of its line. */
static void on_key(void *arg, const struct view_list_answer *found)
{
    struct explaining *explaining = arg;
    struct why_facts *facts = &explaining->facts;
    if (has_gone(explaining))
        return;
    for (size_t i = 0; !found->code && i < found->count; i++) {
        if (!is_before(explaining, found->records[i]))
            continue;
        facts->key_before++;
        facts->key_first = found->records[i]->facts.id;
        facts->key_first_state = job_json_state(found->records[i], clock_wall_ms());
    }
    bool more = found->code || found->more;
    explaining->after = found->last;
    if (!found->code && more && explaining->looked < WHY_LOOK_MAX) {
        ask_key(explaining);
        return;
    }
    facts->key_more = more;
    answer(explaining);
}

static void ask_key(struct explaining *explaining)
{
    const struct gateway *gateway = explaining->gateway;
    const struct view_list_question question = { .filter = &explaining->filter,
                                                 .after = explaining->after,
                                                 .count = VIEW_LIST_ENTRIES_MAX };
    explaining->looked += question.count;
    view_list(&gateway->view_use, &question, on_key, explaining);
}

static void begin_key(struct explaining *explaining)
{
    const struct job_facts *mine = &explaining->facts.record->facts;
    if (!explaining->ordered || mine->key.size == 0) {
        answer(explaining);
        return;
    }
    explaining->facts.key_before = 0;
    explaining->filter.tenant = mine->tenant;
    for (int state = 0; state < JOB_STATE_COUNT; state++) {
        if (!job_state_is_terminal((enum job_state)state))
            explaining->filter.states |= 1U << state;
    }
    explaining->after = (struct job_place){ mine->created_at_ms + CLOCKS_APART_MS, mine->id };
    ask_key(explaining);
}

/* --- how far its partition is --- */

static void on_committed(void *arg, enum err_code code)
{
    struct explaining *explaining = arg;
    if (has_gone(explaining))
        return;
    int64_t mine = explaining->facts.record->facts.origin_offset;
    if (code == ERR_OK) {
        explaining->committed = explaining->offset.offset < 0 ? 0 : explaining->offset.offset;
        explaining->facts.before =
            explaining->committed > mine ? WHY_PASSED : mine - explaining->committed;
    }
    begin_key(explaining);
}

/* A job that was put off is not where its first command was. */
static void ask_committed(struct explaining *explaining)
{
    const struct gateway *gateway = explaining->gateway;
    const struct job_record *record = explaining->facts.record;
    const struct config_queue *queue = config_find_queue(gateway->config, record->facts.queue);
    if (record->state != JOB_QUEUED || record->facts.origin_offset < 0 || !queue ||
        kafka_admin_asked(gateway->admin) >= GATEWAY_KAFKA_QUESTIONS_MAX) {
        begin_key(explaining);
        return;
    }
    struct buf group = BUF_INIT(TOPIC_NAME_MAX);
    topic_group_worker(&group, gateway->config->namespace_, queue->name);
    explaining->group = buf_take(&group);
    explaining->topic = topic_name_dup(gateway->config->namespace_, TOPIC_COMMANDS, queue->name);
    explaining->offset = (struct kafka_offset){ .topic = explaining->topic,
                                                .partition = record->facts.origin_partition };
    kafka_committed(gateway->admin, explaining->group, &explaining->offset, 1,
                    &(struct kafka_reply){ gateway->loop, COMMITTED_MS, on_committed, explaining });
}

/* --- who works --- */

static bool serves(struct span told, struct span queue)
{
    struct json *life = NULL;
    bool found = false;
    if (json_parse(told, &life_limits, &life, NULL))
        return false;
    const struct json *queues = json_get(life, "queues");
    for (size_t i = 0; i < json_count(queues); i++)
        found = found || span_eq(json_text(json_at(queues, i)), queue);
    json_free(life);
    return found;
}

static void on_workers(void *arg, const struct workers_answer *found)
{
    struct explaining *explaining = arg;
    if (has_gone(explaining))
        return;
    if (!found->code)
        explaining->facts.workers = 0;
    for (size_t i = 0; !found->code && i < found->count; i++)
        explaining->facts.workers +=
            serves(found->lives[i].told, explaining->facts.record->facts.queue);
    ask_committed(explaining);
}

static void on_claim(void *arg, const struct gate_look_answer *found)
{
    struct explaining *explaining = arg;
    struct why_facts *facts = &explaining->facts;
    struct json *life = NULL;
    if (has_gone(explaining))
        return;
    if (!found->code) {
        facts->claimed = found->claimed;
        facts->cancel_marked = found->marked;
        facts->worker_beats = found->told.size > 0;
        if (found->claimed && json_parse(found->told, &life_limits, &life, NULL) == ERR_OK)
            buf_add_span(&explaining->worker, json_text(json_get(life, "name")));
        facts->worker = buf_span(&explaining->worker);
        json_free(life);
    }
    workers_read(explaining->gateway->redis, explaining->gateway->config->namespace_, on_workers,
                 explaining);
}

static void on_client_gone(struct http_request *req, void *context)
{
    (void)req;
    struct explaining *explaining = context;
    explaining->req = NULL;
}

static struct envelope_record *copy_of(const struct job_record *record)
{
    struct envelope_record *copy = NULL;
    struct buf bytes = BUF_INIT(ENVELOPE_RECORD_BYTES_MAX + 1);
    if (envelope_encode_record(record, &bytes, NULL) == ERR_OK &&
        envelope_decode_record(buf_span(&bytes), &copy, NULL) != ERR_OK)
        copy = NULL;
    buf_free(&bytes);
    return copy;
}

void why_start(struct gateway *gateway, struct http_request *req, const struct id *id,
               const struct job_record *record)
{
    struct explaining *explaining = MEM_NEW(*explaining);
    *explaining = (struct explaining){
        .gateway = gateway,
        .req = req,
        .id = *id,
        .worker = BUF_INIT(WORKER_NAME_MAX),
        .committed = WHY_UNKNOWN,
        .facts = { .workers = WHY_UNKNOWN, .before = WHY_UNKNOWN, .key_before = WHY_UNKNOWN },
    };
    if (record)
        explaining->copy = copy_of(record);
    if (explaining->copy) {
        explaining->facts.record = &explaining->copy->record;
        const struct config_queue *queue =
            config_find_queue(gateway->config, explaining->copy->record.facts.queue);
        explaining->ordered = queue && queue->ordered;
    }
    http_set_context(req, explaining);
    http_on_close(req, on_client_gone);
    if (!explaining->copy || job_state_is_terminal(explaining->copy->record.state))
        answer(explaining);
    else
        gate_look(gateway->redis, gateway->config->namespace_, id, on_claim, explaining);
}
