/* The recorder's side: whatever events come in whatever order, folded in memory or by way of Redis,
 * a job moves along legal moves only, a terminal record never changes, and a log that is read again
 * changes nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/envelope.h"
#include "schemas/fold.h"
#include "tests/fuzz/fuzz.h"

#define EVENTS_MAX 64
#define NOW_MS     INT64_C(1764115200000)

static const char *const texts[] = { "", "1", "\"text\"", "target_status" };

static struct job_event take_event(struct fuzz_input *input)
{
    uint8_t shape = fuzz_byte(input);
    uint8_t order = fuzz_byte(input);
    uint8_t more = fuzz_byte(input);
    return (struct job_event){
        .facts = { .id = { .bytes = { 1 } },
                   .effect_id = { .bytes = { 1 } },
                   .type = SPAN_LIT("t"),
                   .queue = SPAN_LIT("q"),
                   .created_at_ms = NOW_MS,
                   .forget_at_ms = NOW_MS + more,
                   .origin_offset = -1 },
        .kind = (enum job_event_kind)(1 + shape % (JOB_EVENT_END - 1)),
        .turn = order & 7,
        .attempt = 1 + (order >> 3 & 3),
        .at_ms = NOW_MS + order,
        .started_at_ms = more & 1 ? NOW_MS : 0,
        .next_at_ms = more & 2 ? NOW_MS : 0,
        .result = span_of(texts[more >> 2 & 3]),
        .failure = { .code = span_of(texts[more >> 4 & 3]), .status = more },
        .command_offset = order,
    };
}

static size_t take_events(struct fuzz_input *input, struct job_event events[EVENTS_MAX])
{
    size_t count = 0;
    while (input->at < input->end && count < EVENTS_MAX)
        events[count++] = take_event(input);
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

static void require_step(const struct job_record *record, const struct job_record *next,
                         const struct job_event *event, int64_t offset)
{
    bool terminal = job_state_is_terminal(next->state);
    FUZZ_REQUIRE(next->state == job_event_state(event->kind));
    FUZZ_REQUIRE(next->version == offset);
    FUZZ_REQUIRE(terminal == (next->finished_at_ms != 0));
    if (!record)
        return;
    FUZZ_REQUIRE(!job_state_is_terminal(record->state));
    FUZZ_REQUIRE(job_state_may_move(record->state, next->state));
    FUZZ_REQUIRE(terminal || is_ahead(next, record));
}

/* Folds events[from, to) onto *record; true when there is one. */
static bool fold_all(const struct job_event *events, size_t from, size_t to, bool has,
                     struct job_record *record)
{
    for (size_t i = from; i < to; i++) {
        struct job_record next;
        struct job_record before = *record;
        if (!fold_event(has ? record : NULL, &events[i], (int64_t)i, &next)) {
            FUZZ_REQUIRE(has && memcmp(&before, record, sizeof before) == 0);
            continue;
        }
        require_step(has ? record : NULL, &next, &events[i], (int64_t)i);
        *record = next;
        has = true;
    }
    return has;
}

static void encode(const struct job_record *record, struct buf *out)
{
    FUZZ_REQUIRE(envelope_encode_record(record, out, NULL) == ERR_OK);
}

/* The same events, the record written to Redis and read again after the first `cut`. */
static void require_same_by_way_of_redis(const struct job_event *events, size_t count, size_t cut,
                                         const struct job_record *straight)
{
    struct job_record record = { 0 };
    struct envelope_record *read = NULL;
    struct buf stored = BUF_INIT(ENVELOPE_RECORD_BYTES_MAX);
    struct buf wanted = BUF_INIT(ENVELOPE_RECORD_BYTES_MAX);
    bool has = fold_all(events, 0, cut, false, &record);
    if (has) {
        encode(&record, &stored);
        FUZZ_REQUIRE(envelope_decode_record(buf_span(&stored), &read, NULL) == ERR_OK);
        record = read->record;
    }
    FUZZ_REQUIRE(fold_all(events, cut, count, has, &record));
    struct buf got = BUF_INIT(ENVELOPE_RECORD_BYTES_MAX);
    encode(&record, &got);
    encode(straight, &wanted);
    FUZZ_REQUIRE(span_eq(buf_span(&got), buf_span(&wanted)));
    envelope_record_free(read);
    buf_free(&stored);
    buf_free(&wanted);
    buf_free(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, data + size };
    struct job_event events[EVENTS_MAX];
    struct job_record record = { 0 };
    uint8_t choice = fuzz_byte(&input);
    size_t count = take_events(&input, events);
    if (count == 0)
        return 0;
    FUZZ_REQUIRE(fold_all(events, 0, count, false, &record));
    require_same_by_way_of_redis(events, count, choice % (count + 1), &record);
    struct job_record again = record;
    FUZZ_REQUIRE(fold_all(events, 0, count, true, &again)); /* redelivered: nothing changes */
    FUZZ_REQUIRE(memcmp(&again, &record, sizeof record) == 0);
    const struct job_record queued = { .state = JOB_QUEUED };
    FUZZ_REQUIRE(fold_merge(&queued, &record) == &record);
    return 0;
}
