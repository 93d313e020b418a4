/* The books read from a broker and a Redis: what lies where, which offsets count as committed, what
 * the view is held against, and which limits end the reading.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_books_read.h"
#include "infra/kafka_mock.h"
#include "infra/redis.h"
#include "schemas/envelope.h"
#include "schemas/fold.h"
#include "schemas/view.h"
#include "tests/unit/real_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TIMEOUT_MS 10000
#define BEGIN_MS   INT64_C(1700000000000)
#define FORGET_MS  INT64_C(4000000000000)
#define COMMANDS   "errand.commands.a"
#define REPLIES    "errand.replies.a"

static struct config_queue queue = { .partitions = 1 };
static char queue_name[] = "a";
static char namespace_[] = "errand";

struct scene {
    struct real_redis server;
    struct loop *loop;
    struct redis *redis;
    struct kafka_mock *mock;
    struct kafka_admin *admin;
    struct config config;
    char brokers[64];
    char cluster_id[64];
    int64_t offsets[2];
};

static void on_state(void *arg, bool ready)
{
    struct scene *scene = arg;
    if (ready)
        loop_stop(scene->loop);
}

static void on_reply(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct scene *scene = arg;
    (void)reply;
    assert_int_equal(code, ERR_OK);
    loop_stop(scene->loop);
}

static int open_scene(void **state)
{
    static const struct kafka_mock_topic topics[] = {
        { COMMANDS, 1 },
        { REPLIES, 1 },
        { "errand.dead.a", 1 },
        { "errand.delay.5s", 1 },
    };
    struct scene *scene = calloc(1, sizeof *scene);
    struct err err = { 0 };
    *state = scene;
    real_redis_start(&scene->server);
    scene->loop = loop_new(10);
    const struct redis_options options = { .config = &scene->server.config,
                                           .timeout_ms = TIMEOUT_MS,
                                           .pending_max = 10,
                                           .on_state = on_state,
                                           .arg = scene };
    scene->redis = redis_open(scene->loop, &options);
    loop_run(scene->loop);
    assert_int_equal(kafka_mock_start(topics, 4, &scene->mock, &err), ERR_OK);
    snprintf(scene->brokers, sizeof scene->brokers, "%s", kafka_mock_address(scene->mock));
    queue.name = queue_name;
    scene->config = (struct config){
        .namespace_ = namespace_,
        .queues = &queue,
        .queue_count = 1,
        .redis = scene->server.config,
        .recorder = { .queued_after_ms = 100 },
        .kafka = { .kind = BROKER_EMBEDDED, .brokers = scene->brokers, .session_timeout_ms = 6000 },
    };
    assert_int_equal(kafka_admin_open(&scene->config.kafka, "test", &scene->admin, &err), ERR_OK);
    assert_int_equal(kafka_cluster_id_sync(scene->admin, TIMEOUT_MS, scene->cluster_id, &err),
                     ERR_OK);
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    redis_close(scene->redis);
    loop_free(scene->loop);
    kafka_admin_close(scene->admin);
    kafka_mock_stop(scene->mock);
    real_redis_stop(&scene->server);
    free(scene);
    return 0;
}

/* --- what is there --- */

static struct job_facts facts_of(int job)
{
    struct job_facts facts = {
        .id = { .bytes = { 1, 2, 3, 4, 5, 6, 0x70, 0, 0x80, 0, 0, (uint8_t)job } },
        .type = span_of("type"),
        .queue = span_of("a"),
        .tenant = span_of("default"),
        .created_at_ms = BEGIN_MS + job,
        .not_after_ms = FORGET_MS - 1,
        .forget_at_ms = FORGET_MS,
        .origin_offset = -1,
        .fingerprint = { "0123456789abcdef", JOB_FINGERPRINT_SIZE },
    };
    facts.effect_id = facts.id;
    return facts;
}

static void write_bytes(struct scene *scene, const char *topic, const struct buf *bytes)
{
    assert_int_equal(
        kafka_write_sync(scene->admin, topic, span_of("k"), buf_span(bytes), TIMEOUT_MS, NULL),
        ERR_OK);
}

static int64_t add_command(struct scene *scene, int job)
{
    const struct job_command command = { .facts = facts_of(job),
                                         .attempt = 1,
                                         .payload = span_of("{}") };
    struct buf bytes = BUF_INIT(ENVELOPE_BYTES_MAX);
    assert_int_equal(envelope_encode_command(&command, &bytes, NULL), ERR_OK);
    write_bytes(scene, COMMANDS, &bytes);
    buf_free(&bytes);
    return scene->offsets[0]++;
}

static void set_record(struct scene *scene, const struct job_record *record)
{
    struct buf key = BUF_INIT(256);
    struct buf bytes = BUF_INIT(ENVELOPE_RECORD_BYTES_MAX);
    char until[24];
    snprintf(until, sizeof until, "%lld", (long long)FORGET_MS);
    view_key(&key, "errand", VIEW_RECORD, &record->facts.id);
    assert_int_equal(envelope_encode_record(record, &bytes, NULL), ERR_OK);
    const struct span argv[] = { span_of("SET"), buf_span(&key), buf_span(&bytes), span_of("PXAT"),
                                 span_of(until) };
    redis_command(scene->redis, on_reply, scene, 5, argv);
    loop_run(scene->loop);
    buf_free(&key);
    buf_free(&bytes);
}

/* An event on the topic, and what the recorder would make of it. `origin` -1: not told. */
static int64_t add_event(struct scene *scene, int job, int64_t origin, bool record)
{
    struct job_event event = { .facts = facts_of(job),
                               .kind = JOB_EVENT_SUCCEEDED,
                               .attempt = 1,
                               .at_ms = BEGIN_MS + 1000,
                               .result = span_of("{}"),
                               .command_offset = -1 };
    struct buf bytes = BUF_INIT(ENVELOPE_BYTES_MAX);
    struct job_record made;
    event.facts.origin_offset = origin;
    assert_int_equal(envelope_encode_event(&event, &bytes, NULL), ERR_OK);
    write_bytes(scene, REPLIES, &bytes);
    buf_free(&bytes);
    int64_t offset = scene->offsets[1]++;
    if (record && fold_event(NULL, &event, offset, &made))
        set_record(scene, &made);
    return offset;
}

static void commit(struct scene *scene, int64_t offset)
{
    const struct kafka_offset committed = { .topic = COMMANDS, .offset = offset };
    assert_int_equal(
        kafka_offsets_commit_sync(scene->admin, "errand.worker.a", &committed, 1, TIMEOUT_MS, NULL),
        ERR_OK);
}

static void certify(struct scene *scene)
{
    char texts[3][160];
    snprintf(texts[0], sizeof texts[0], "%lld", (long long)scene->offsets[0]);
    snprintf(texts[1], sizeof texts[1], "%lld", (long long)scene->offsets[1]);
    snprintf(texts[2], sizeof texts[2], "%s/%s/generation", redis_run_id(scene->redis),
             scene->cluster_id);
    redis_command_text(scene->redis, on_reply, scene, 8, "HSET", "errand:view", "a:" COMMANDS ":0",
                       texts[0], "a:" REPLIES ":0", texts[1], VIEW_CERTIFICATE_FIELD, texts[2]);
    loop_run(scene->loop);
}

static struct verify_books_use use_of(struct scene *scene)
{
    return (struct verify_books_use){ .admin = scene->admin,
                                      .config = &scene->config,
                                      .from_ms = INT64_MIN,
                                      .to_ms = INT64_MAX,
                                      .bytes_max = VERIFY_BOOKS_BYTES_MAX,
                                      .view = true };
}

static struct verify_books_certificate read_books(struct scene *scene)
{
    const struct verify_books_use use = use_of(scene);
    struct verify_books_certificate certificate;
    struct err err = { 0 };
    certify(scene);
    enum err_code code = verify_books_read(&use, &certificate, &err);
    if (code)
        fail_msg("%s", err.text);
    return certificate;
}

static void expect_one(struct scene *scene, enum verify_books_kind kind, const char *topic,
                       int64_t offset)
{
    struct verify_books_certificate certificate = read_books(scene);
    const struct verify_books_finding *found = verify_books_finding(certificate.books, 0);
    assert_non_null(found);
    assert_null(verify_books_finding(certificate.books, 1));
    assert_string_equal(verify_books_kind_text(found->kind), verify_books_kind_text(kind));
    assert_int_equal(found->place.offset, offset);
    if (topic)
        assert_string_equal(verify_books_range_at(certificate.books, found->place.range)->topic,
                            topic);
    verify_books_certificate_clear(&certificate);
}

static const struct verify_books_range *range_of(const struct verify_books *books,
                                                 const char *topic)
{
    for (size_t i = 0; i < verify_books_range_count(books); i++) {
        const struct verify_books_range *range = verify_books_range_at(books, (uint16_t)i);
        if (strcmp(range->topic, topic) == 0)
            return range;
    }
    fail_msg("%s was not read", topic);
    abort();
}

/* --- tests --- */

static void test_what_was_read_is_counted_and_held_against_the_view(void **state)
{
    struct scene *scene = *state;
    struct verify_books_sums total;
    int64_t first = add_command(scene, 1);
    add_command(scene, 2);
    add_event(scene, 1, first, true);
    commit(scene, 1);
    /* The second one waits, and nobody has made the record of its command. */
    struct verify_books_certificate certificate = read_books(scene);
    verify_books_total(certificate.books, &total);
    assert_int_equal(total.accepted, 2);
    assert_int_equal(total.succeeded, 1);
    assert_int_equal(total.live, 1);
    assert_int_equal(total.residual, 0);
    assert_int_equal(total.view.succeeded, 1);
    assert_int_equal(total.view.none, 1);
    assert_int_equal(verify_books_counts(certificate.books)->by_kind[VERIFY_BOOKS_ABSENT], 1);
    assert_int_equal(verify_books_counts(certificate.books)->findings, 1);
    assert_string_equal(certificate.cluster_id, scene->cluster_id);
    const struct verify_books_range *range = range_of(certificate.books, COMMANDS);
    assert_int_equal(range->from, 0);
    assert_int_equal(range->to, 2);
    assert_int_equal(range->committed, 1);
    assert_int_equal(range->records, 2);
    verify_books_certificate_clear(&certificate);
}

static void test_what_was_committed_without_an_outcome_is_lost(void **state)
{
    struct scene *scene = *state;
    int64_t first = add_command(scene, 1);
    add_event(scene, 1, first, true);
    int64_t lost = add_command(scene, 2);
    commit(scene, 2);
    struct verify_books_use use = use_of(scene);
    struct verify_books_certificate certificate;
    use.view = false;
    assert_int_equal(verify_books_read(&use, &certificate, NULL), ERR_OK);
    const struct verify_books_finding *found = verify_books_finding(certificate.books, 0);
    assert_non_null(found);
    assert_int_equal(found->kind, VERIFY_BOOKS_LOST);
    assert_int_equal(found->place.offset, lost);
    assert_int_equal(certificate.notes.count, 1);
    verify_books_certificate_clear(&certificate);
}

/* A job whose command came when the commands had been read already is not judged. */
static void test_phantoms_are_told_from_what_came_later(void **state)
{
    struct scene *scene = *state;
    int64_t first = add_command(scene, 1);
    add_event(scene, 1, first, true);
    commit(scene, 1);
    add_event(scene, 7, 1, true); /* says that its command is the next one */
    struct verify_books_certificate certificate = read_books(scene);
    assert_true(verify_books_balance(certificate.books));
    assert_int_equal(verify_books_counts(certificate.books)->beyond, 1);
    verify_books_certificate_clear(&certificate);
    int64_t phantom = add_event(scene, 8, -1, true);
    expect_one(scene, VERIFY_BOOKS_PHANTOM, REPLIES, phantom);
}

static void test_a_record_of_nobody_is_stray_and_a_changed_one_differs(void **state)
{
    struct scene *scene = *state;
    int64_t first = add_command(scene, 1);
    int64_t end = add_event(scene, 1, first, true);
    commit(scene, 1);
    struct job_record record = { .facts = facts_of(9), .state = JOB_SUCCEEDED };
    set_record(scene, &record);
    expect_one(scene, VERIFY_BOOKS_STRAY, NULL, -1);
    redis_command_text(scene->redis, on_reply, scene, 2, "DEL",
                       "errand:r:010203040506700080000009");
    loop_run(scene->loop);
    record = (struct job_record){ .facts = facts_of(1), .state = JOB_FAILED };
    set_record(scene, &record);
    expect_one(scene, VERIFY_BOOKS_DIFFERS, REPLIES, end);
}

static void test_limits_and_a_call_off_end_the_reading(void **state)
{
    struct scene *scene = *state;
    struct verify_books_use use = use_of(scene);
    struct verify_books_certificate certificate;
    struct err err = { 0 };
    atomic_bool stop = true;
    add_command(scene, 1);
    add_command(scene, 2);
    use.records_max = 1;
    assert_int_equal(verify_books_read(&use, &certificate, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "hold 2 records, and 1"));
    use.records_max = 2;
    use.stop = &stop;
    assert_int_equal(verify_books_read(&use, &certificate, &err), ERR_CANCELLED);
    use.stop = NULL;
    use.bytes_max = 10;
    assert_int_equal(verify_books_read(&use, &certificate, &err), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_read_is_counted_and_held_against_the_view,
                                        open_scene, close_scene),
        cmocka_unit_test_setup_teardown(test_what_was_committed_without_an_outcome_is_lost,
                                        open_scene, close_scene),
        cmocka_unit_test_setup_teardown(test_phantoms_are_told_from_what_came_later, open_scene,
                                        close_scene),
        cmocka_unit_test_setup_teardown(test_a_record_of_nobody_is_stray_and_a_changed_one_differs,
                                        open_scene, close_scene),
        cmocka_unit_test_setup_teardown(test_limits_and_a_call_off_end_the_reading, open_scene,
                                        close_scene),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
