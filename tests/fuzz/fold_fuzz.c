/* The recorder's side: whatever events come in whatever order, folded in memory or by way of Redis,
 * a job moves along legal moves only, a terminal record never changes until its id belongs to
 * another job, which never gives it back, and a log that is read again changes nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/envelope.h"
#include "schemas/fold.h"
#include "tests/fuzz/fuzz.h"

#define EVENTS_MAX 64
#define NOW_MS     INT64_C(1764115200000)
#define LATER_MS   128 /* some records are to be forgotten by then, some are not */

static const char *const texts[] = { "", "1", "\"text\"", "target_status" };

/* An event in three bytes. */
struct step {
    uint8_t shape, order, more;
};

static struct job_event event_of(struct step step)
{
    int64_t created_at_ms = NOW_MS + (step.shape & 0x80 ? LATER_MS : 0);
    return (struct job_event){
        .facts = { .id = { .bytes = { 1 } },
                   .effect_id = { .bytes = { 1 } },
                   .type = SPAN_LIT("t"),
                   .queue = SPAN_LIT("q"),
                   .created_at_ms = created_at_ms,
                   .forget_at_ms = created_at_ms + step.more,
                   .origin_offset = -1 },
        .kind = (enum job_event_kind)(1 + step.shape % (JOB_EVENT_END - 1)),
        .turn = step.order & 7,
        .attempt = 1 + (step.order >> 3 & 3),
        .at_ms = NOW_MS + step.order,
        .started_at_ms = step.more & 1 ? NOW_MS : 0,
        .next_at_ms = step.more & 2 ? NOW_MS : 0,
        .result = span_of(texts[step.more >> 2 & 3]),
        .failure = { .code = span_of(texts[step.more >> 4 & 3]), .status = step.more },
        .command_offset = step.order,
    };
}

static size_t take_steps(struct fuzz_input *input, struct step steps[EVENTS_MAX])
{
    size_t count = 0;
    while (input->at < input->end && count < EVENTS_MAX) {
        struct step step = { .shape = fuzz_byte(input) };
        step.order = fuzz_byte(input);
        step.more = fuzz_byte(input);
        steps[count++] = step;
    }
    return count;
}

static bool is_ahead(const struct job_record *next, const struct job_record *record)
{
    if (next->turn != record->turn)
        return next->turn > record->turn;
    if (next->attempt != record->attempt)
        return next->attempt > record->attempt;
    return next->phase > record->phase || record->state == JOB_HELD; /* held where it is */
}

/* Whether the first job was to be forgotten when the second was created. */
static bool comes_after(const struct job_facts *first, const struct job_facts *second)
{
    return second->created_at_ms > first->created_at_ms &&
           second->created_at_ms >= first->forget_at_ms;
}

static void require_step(const struct job_record *record, const struct job_record *next,
                         const struct job_event *event, int64_t offset)
{
    bool terminal = job_state_is_terminal(next->state);
    FUZZ_REQUIRE(next->state == job_event_state(event->kind));
    FUZZ_REQUIRE(next->version == offset);
    FUZZ_REQUIRE(terminal == (next->finished_at_ms != 0));
    if (!record || comes_after(&record->facts, &event->facts))
        return;
    FUZZ_REQUIRE(!comes_after(&event->facts, &record->facts));
    FUZZ_REQUIRE(!job_state_is_terminal(record->state));
    FUZZ_REQUIRE(job_state_may_move(record->state, next->state));
    FUZZ_REQUIRE(terminal || is_ahead(next, record));
}

static void encode(const struct job_record *record, struct buf *out)
{
    FUZZ_REQUIRE(envelope_encode_record(record, out, NULL) == ERR_OK);
}

static void require_same(const struct job_record *a, const struct job_record *b)
{
    struct buf x = BUF_INIT(ENVELOPE_RECORD_BYTES_MAX);
    struct buf y = BUF_INIT(ENVELOPE_RECORD_BYTES_MAX);
    encode(a, &x);
    encode(b, &y);
    FUZZ_REQUIRE(span_eq(buf_span(&x), buf_span(&y)));
    buf_free(&x);
    buf_free(&y);
}

struct log {
    const struct step *steps;
    size_t count;
};

/* Folds the log from an offset on onto *record; true when there is one. */
static bool fold_from(struct log log, size_t from, bool has, struct job_record *record)
{
    for (size_t i = from; i < log.count; i++) {
        struct job_record next = { 0 };
        struct job_event event = event_of(log.steps[i]);
        if (!fold_event(has ? record : NULL, &event, (int64_t)i, &next)) {
            FUZZ_REQUIRE(has);
            continue;
        }
        require_step(has ? record : NULL, &next, &event, (int64_t)i);
        *record = next;
        has = true;
    }
    return has;
}

/* The same events, the record written to Redis and read again after the first `cut`. */
static void require_same_by_way_of_redis(struct log log, size_t cut,
                                         const struct job_record *straight)
{
    struct job_record record = { 0 };
    struct envelope_record *read = NULL;
    struct buf stored = BUF_INIT(ENVELOPE_RECORD_BYTES_MAX);
    bool has = fold_from((struct log){ log.steps, cut }, 0, false, &record);
    if (has) {
        encode(&record, &stored);
        FUZZ_REQUIRE(envelope_decode_record(buf_span(&stored), &read, NULL) == ERR_OK);
        record = read->record;
    }
    FUZZ_REQUIRE(fold_from(log, cut, has, &record));
    require_same(&record, straight);
    envelope_record_free(read);
    buf_free(&stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, data + size };
    struct step steps[EVENTS_MAX];
    struct job_record record = { 0 };
    uint8_t choice = fuzz_byte(&input);
    struct log log = { steps, take_steps(&input, steps) };
    if (log.count == 0)
        return 0;
    FUZZ_REQUIRE(fold_from(log, 0, false, &record));
    require_same_by_way_of_redis(log, choice % (log.count + 1), &record);
    struct job_record again = record;
    FUZZ_REQUIRE(fold_from(log, 0, true, &again)); /* redelivered: nothing changes */
    require_same(&again, &record);
    const struct job_record queued = { .state = JOB_QUEUED };
    FUZZ_REQUIRE(fold_merge(&queued, &record) == &record);
    return 0;
}
