/* Every row of the gate's table, against a real Redis. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/gate.h"
#include "infra/clock.h"
#include "schemas/envelope.h"
#include "schemas/view.h"
#include "tests/unit/real_redis.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DEADLINE_MS     15000
#define TOPIC           "errand.commands.default"
#define TERMINAL_OFFSET 40

struct scene {
    struct real_redis server;
    struct loop *loop;
    struct loop_timer *deadline;
    struct redis *redis;
    struct gate *mine, *other; /* two incarnations */
    uint8_t next_id;
    size_t asked;
    struct gate_answer answers[GATE_QUESTIONS_MAX];
    char failure[64]; /* the code of the last failure told */
    enum gate_claim claim;
    enum gate_cancel found;
    int64_t epoch;
    enum err_code code;
};

static void on_late(void *arg)
{
    (void)arg;
    fail_msg("no answer in time");
}

static void on_state(void *arg, bool ready)
{
    struct scene *scene = arg;
    if (ready)
        loop_stop(scene->loop);
}

static void run(struct scene *scene)
{
    loop_timer_start(scene->deadline, DEADLINE_MS, 0);
    loop_run(scene->loop);
    loop_timer_stop(scene->deadline);
}

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    *state = scene;
    real_redis_start(&scene->server);
    scene->loop = loop_new(100);
    scene->deadline = loop_timer_new(scene->loop, on_late, scene);
    struct redis_options options = { .config = &scene->server.config,
                                     .timeout_ms = 5000,
                                     .pending_max = 1000,
                                     .on_state = on_state,
                                     .arg = scene };
    scene->redis = redis_open(scene->loop, &options);
    scene->mine = gate_new(scene->redis, "errand", "aaaa");
    scene->other = gate_new(scene->redis, "errand", "bbbb");
    run(scene);
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    redis_close(scene->redis);
    gate_free(scene->mine);
    gate_free(scene->other);
    loop_timer_free(scene->deadline);
    loop_free(scene->loop);
    real_redis_stop(&scene->server);
    free(scene);
    return 0;
}

static struct id new_id(struct scene *scene)
{
    return (struct id){ .bytes = { 1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, ++scene->next_id } };
}

static void on_answer(void *arg, size_t index, const struct gate_answer *answer)
{
    struct scene *scene = arg;
    scene->answers[index] = *answer;
    if (answer->failure)
        snprintf(scene->failure, sizeof scene->failure, "%.*s", SPAN_ARG(answer->failure->code));
    if (index + 1 == scene->asked)
        loop_stop(scene->loop);
}

static struct gate_question question(const struct id *id, uint32_t turn, int64_t offset)
{
    return (struct gate_question){
        .id = id,
        .topic = TOPIC,
        .partition = 3,
        .offset = offset,
        .turn = turn,
        .epoch = 1,
        .forget_at_ms = clock_wall_ms() + 60000,
    };
}

static enum gate_verdict ask_one(struct scene *scene, struct gate *gate, struct gate_question asked)
{
    scene->asked = 1;
    gate_ask(gate, &asked, 1, on_answer, scene);
    run(scene);
    return scene->answers[0].verdict;
}

static enum gate_verdict ask(struct scene *scene, struct gate *gate, const struct id *id,
                             uint32_t turn, int64_t offset)
{
    return ask_one(scene, gate, question(id, turn, offset));
}

static void on_reply(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct scene *scene = arg;
    scene->code = code;
    scene->epoch = code == ERR_OK ? redis_reply_integer(reply) : -1;
    loop_stop(scene->loop);
}

static void set(struct scene *scene, const char *key, const char *value)
{
    redis_command_text(scene->redis, on_reply, scene, 3, "SET", key, value);
    run(scene);
    assert_int_equal(scene->code, ERR_OK);
}

static void put_record(struct scene *scene, const struct id *id, enum job_state state,
                       uint32_t turn)
{
    struct job_record record = {
        .facts = { .id = *id,
                   .effect_id = *id,
                   .type = SPAN_LIT("t"),
                   .queue = SPAN_LIT("default"),
                   .created_at_ms = 1000,
                   .not_after_ms = 2000,
                   .forget_at_ms = 3000,
                   .origin_offset = -1 },
        .state = state,
        .turn = turn,
        .attempt = 1,
        .failure = { .code = SPAN_LIT("target_status"), .detail = SPAN_LIT("it said 500") },
        .command_partition = 3,
        .command_offset = TERMINAL_OFFSET,
    };
    struct buf value = BUF_INIT(4096);
    struct buf key = BUF_INIT(128);
    assert_int_equal(envelope_encode_record(&record, &value, NULL), ERR_OK);
    view_key(&key, "errand", VIEW_RECORD, id);
    struct span argv[] = { span_of("SET"), buf_span(&key), buf_span(&value) };
    redis_command(scene->redis, on_reply, scene, 3, argv);
    run(scene);
    assert_int_equal(scene->code, ERR_OK);
    buf_free(&key);
    buf_free(&value);
}

static void no_claim_goes(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    assert_int_equal(ask(scene, scene->mine, &id, 0, 10), GATE_GO);
}

static void a_lower_turn_goes(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    assert_int_equal(ask(scene, scene->mine, &id, 0, 10), GATE_GO);
    assert_int_equal(ask(scene, scene->other, &id, 1, 11), GATE_GO);
}

static void the_same_record_goes_again(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    assert_int_equal(ask(scene, scene->mine, &id, 2, 10), GATE_GO);
    assert_int_equal(ask(scene, scene->mine, &id, 2, 10), GATE_AGAIN);
    set(scene, "errand:i:aaaa", "alive");
    assert_int_equal(ask(scene, scene->other, &id, 2, 10), GATE_AGAIN_OTHER);
    assert_int_equal(ask(scene, scene->other, &id, 2, 10), GATE_AGAIN);
}

static void on_claim(void *arg, enum gate_claim claim)
{
    struct scene *scene = arg;
    scene->claim = claim;
    loop_stop(scene->loop);
}

static void a_redelivery_of_one_that_died_is_a_suspect(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    redis_command_text(scene->redis, on_reply, scene, 2, "DEL", "errand:i:aaaa");
    run(scene);
    assert_int_equal(ask(scene, scene->mine, &id, 2, 10), GATE_GO);
    assert_int_equal(ask(scene, scene->other, &id, 2, 10), GATE_SUSPECT);
}

/* Or a partition that moves on would bring it, unsuspected, into a worker's own process again.
 * proves P-38b */
static void a_suspect_stays_one_for_whoever_gets_it_next(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    redis_command_text(scene->redis, on_reply, scene, 2, "DEL", "errand:i:aaaa");
    run(scene);
    assert_int_equal(ask(scene, scene->mine, &id, 2, 10), GATE_GO);
    assert_int_equal(ask(scene, scene->other, &id, 2, 10), GATE_SUSPECT);
    assert_int_equal(ask(scene, scene->other, &id, 2, 10), GATE_SUSPECT);
    set(scene, "errand:i:bbbb", "left");
    assert_int_equal(ask(scene, scene->mine, &id, 2, 10), GATE_SUSPECT);
    assert_int_equal(ask(scene, scene->mine, &id, 3, 11), GATE_GO);
    assert_int_equal(ask(scene, scene->mine, &id, 3, 11), GATE_AGAIN);
}

/* proves P-38b */
static void an_outcome_clears_a_suspect(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    struct gate_question of = question(&id, 0, 10);
    of.epoch = 1000;
    redis_command_text(scene->redis, on_reply, scene, 2, "DEL", "errand:i:aaaa");
    run(scene);
    assert_int_equal(ask_one(scene, scene->mine, of), GATE_GO);
    assert_int_equal(ask_one(scene, scene->other, of), GATE_SUSPECT);
    gate_keep(scene->other, &of, &(struct gate_kept){ 2, 1234, true }, on_claim, scene);
    run(scene);
    assert_int_equal(scene->claim, GATE_CLAIM_KEPT);
    assert_int_equal(ask_one(scene, scene->other, of), GATE_AGAIN);
    assert_int_equal(scene->answers[0].attempt, 2);
}

/* proves P-34 */
static void another_record_of_the_turn_is_a_duplicate(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    assert_int_equal(ask(scene, scene->mine, &id, 0, 10), GATE_GO);
    assert_int_equal(ask(scene, scene->mine, &id, 0, 11), GATE_DUPLICATE);
    assert_int_equal(ask(scene, scene->other, &id, 0, 12), GATE_DUPLICATE);
    assert_int_equal(ask(scene, scene->mine, &id, 0, 10), GATE_AGAIN);
}

static void a_higher_turn_supersedes(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    assert_int_equal(ask(scene, scene->mine, &id, 10, 10), GATE_GO);
    assert_int_equal(ask(scene, scene->mine, &id, 9, 9), GATE_SUPERSEDED);
}

static void a_terminal_record_skips(void **state)
{
    struct scene *scene = *state;
    static const enum job_state states[] = { JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED,
                                             JOB_EXPIRED };
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        struct id id = new_id(scene);
        put_record(scene, &id, states[i], 0);
        bool given_up = states[i] == JOB_FAILED || states[i] == JOB_EXPIRED;
        assert_int_equal(ask(scene, scene->mine, &id, 0, TERMINAL_OFFSET),
                         given_up ? GATE_OUTCOME : GATE_TERMINAL);
        assert_string_equal(scene->failure, given_up ? "target_status" : "");
        scene->failure[0] = '\0';
        assert_int_equal(ask(scene, scene->mine, &id, 1, TERMINAL_OFFSET), GATE_TERMINAL);
        assert_int_equal(ask(scene, scene->mine, &id, 0, TERMINAL_OFFSET + 1), GATE_TERMINAL);
    }
}

static void a_live_record_does_not_skip(void **state)
{
    struct scene *scene = *state;
    static const enum job_state states[] = { JOB_QUEUED, JOB_RUNNING, JOB_RETRYING, JOB_HELD };
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        struct id id = new_id(scene);
        put_record(scene, &id, states[i], 0);
        assert_int_equal(ask(scene, scene->mine, &id, 0, 10), GATE_GO);
    }
}

static void on_epoch(void *arg, int64_t epoch)
{
    struct scene *scene = arg;
    scene->epoch = epoch;
    loop_stop(scene->loop);
}

static int64_t raise_epoch(struct scene *scene)
{
    gate_raise_epoch(scene->mine, TOPIC, 3, on_epoch, scene);
    run(scene);
    return scene->epoch;
}

static void a_lower_epoch_is_stale_and_claims_nothing(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    int64_t old = raise_epoch(scene);
    int64_t current = raise_epoch(scene);
    assert_int_equal(current, old + 1);
    struct gate_question asked = question(&id, 0, 10);
    asked.epoch = old;
    assert_int_equal(ask_one(scene, scene->other, asked), GATE_STALE);
    asked.epoch = current;
    assert_int_equal(ask_one(scene, scene->mine, asked), GATE_GO);
    asked.partition = 4; /* another partition has an epoch of its own */
    asked.epoch = 0;
    assert_int_equal(ask_one(scene, scene->mine, asked), GATE_DUPLICATE);
}

static void an_emptied_redis_learns_the_epoch_again(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    int64_t epoch = raise_epoch(scene);
    redis_command_text(scene->redis, on_reply, scene, 1, "FLUSHALL");
    run(scene);
    struct gate_question asked = question(&id, 0, 10);
    asked.epoch = epoch;
    assert_int_equal(ask_one(scene, scene->mine, asked), GATE_GO);
    assert_true(scene->answers[0].emptied);
    struct id later = new_id(scene);
    struct gate_question after = question(&later, 0, 11);
    after.epoch = epoch;
    assert_int_equal(ask_one(scene, scene->mine, after), GATE_GO);
    assert_false(scene->answers[0].emptied); /* it was told */
    asked.epoch = epoch - 1;
    assert_int_equal(ask_one(scene, scene->mine, asked), GATE_STALE);
    assert_int_equal(raise_epoch(scene), epoch + 1);
}

static void a_batch_is_answered_in_its_order(void **state)
{
    struct scene *scene = *state;
    struct id ids[3] = { new_id(scene), new_id(scene), new_id(scene) };
    struct gate_question first = question(&ids[1], 5, 1);
    first.epoch = 1000;
    assert_int_equal(ask_one(scene, scene->mine, first), GATE_GO);
    put_record(scene, &ids[2], JOB_SUCCEEDED, 0);
    struct gate_question questions[4] = { question(&ids[0], 0, 1), question(&ids[1], 4, 2),
                                          question(&ids[2], 0, 3), question(&ids[0], 0, 4) };
    for (size_t i = 0; i < 4; i++)
        questions[i].epoch = 1000;
    scene->asked = 4;
    gate_ask(scene->mine, questions, 4, on_answer, scene);
    run(scene);
    assert_int_equal(scene->answers[0].verdict, GATE_GO);
    assert_int_equal(scene->answers[1].verdict, GATE_SUPERSEDED);
    assert_int_equal(scene->answers[2].verdict, GATE_TERMINAL);
    assert_int_equal(scene->answers[3].verdict, GATE_DUPLICATE);
}

static void a_claim_ends_with_its_job(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    struct gate_question asked = question(&id, 0, 10);
    asked.epoch = 1000;
    asked.forget_at_ms = clock_wall_ms() - 1;
    assert_int_equal(ask_one(scene, scene->mine, asked), GATE_GO);
    asked.offset = 11; /* nothing was kept that could make it a duplicate */
    assert_int_equal(ask_one(scene, scene->mine, asked), GATE_GO);
}

static enum gate_claim release(struct scene *scene, struct gate *gate, const struct id *id,
                               uint32_t turn, int64_t offset)
{
    struct gate_question of = question(id, turn, offset);
    gate_release(gate, &of, true, on_claim, scene);
    run(scene);
    return scene->claim;
}

static void release_unbegun(struct scene *scene, const struct gate_question *of)
{
    gate_release(scene->mine, of, false, on_claim, scene);
    run(scene);
}

/* proves P-34 */
static void what_only_waited_is_not_begun_beside_its_successor(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    struct gate_question of = question(&id, 0, 10);
    struct gate_question next = question(&id, 1, 11);
    of.epoch = next.epoch = 1000;
    release_unbegun(scene, &of); /* never claimed */
    assert_int_equal(scene->claim, GATE_CLAIM_KEPT);
    assert_int_equal(ask_one(scene, scene->other, of), GATE_SUPERSEDED);
    assert_int_equal(ask_one(scene, scene->other, next), GATE_GO);
    assert_true(scene->answers[0].unbegun);
    release_unbegun(scene, &of); /* late: its successor has been taken */
    assert_int_equal(scene->claim, GATE_CLAIM_GONE);
    assert_int_equal(ask_one(scene, scene->other, next), GATE_AGAIN);
}

static void what_became_of_earlier_turns_is_not_made_up(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    struct gate_question of = question(&id, 1, 10);
    of.epoch = 1000;
    release_unbegun(scene, &of);
    of.turn = 2;
    assert_int_equal(ask_one(scene, scene->mine, of), GATE_GO);
    assert_false(scene->answers[0].unbegun);

    struct id ended = new_id(scene);
    put_record(scene, &ended, JOB_CANCELLED, 0);
    of = question(&ended, 0, 12);
    release_unbegun(scene, &of);
    assert_int_equal(scene->claim, GATE_CLAIM_GONE);
}

static void on_cancel(void *arg, enum gate_cancel found)
{
    struct scene *scene = arg;
    scene->found = found;
    loop_stop(scene->loop);
}

static enum gate_cancel cancel(struct scene *scene, const struct id *id)
{
    gate_cancel(scene->other, id, clock_wall_ms() + 60000, on_cancel, scene);
    run(scene);
    return scene->found;
}

static void what_is_kept_is_told_again(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    struct gate_question of = question(&id, 0, 10);
    of.epoch = 1000;
    assert_int_equal(ask_one(scene, scene->mine, of), GATE_GO);
    assert_int_equal(scene->answers[0].attempt, 0);
    gate_keep(scene->mine, &of, &(struct gate_kept){ 3, 1234567890123, true }, on_claim, scene);
    run(scene);
    assert_int_equal(scene->claim, GATE_CLAIM_KEPT);
    for (int i = 0; i < 2; i++) { /* claiming it anew keeps it */
        struct gate *gate = i ? scene->mine : scene->other;
        assert_int_equal(ask_one(scene, gate, of), GATE_SUSPECT);
        assert_int_equal(scene->answers[0].attempt, 3);
        assert_int_equal(scene->answers[0].due_at_ms, 1234567890123);
    }
    gate_keep(scene->other, &of, &(struct gate_kept){ 4, 1, true }, on_claim, scene);
    run(scene);
    assert_int_equal(scene->claim, GATE_CLAIM_GONE);
}

static void what_was_handed_on_is_superseded(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    struct gate_question of = question(&id, 0, 10);
    of.epoch = 1000;
    assert_int_equal(ask_one(scene, scene->mine, of), GATE_GO);
    assert_int_equal(release(scene, scene->other, &id, 0, 10), GATE_CLAIM_GONE);
    assert_int_equal(release(scene, scene->mine, &id, 0, 10), GATE_CLAIM_KEPT);
    assert_int_equal(ask_one(scene, scene->other, of), GATE_SUPERSEDED);
    of.turn = 1;
    assert_int_equal(ask_one(scene, scene->other, of), GATE_GO);
}

static void a_mark_ends_what_has_not_begun(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    struct gate_question of = question(&id, 0, 10);
    of.epoch = 1000;
    assert_int_equal(cancel(scene, &id), GATE_CANCEL_IDLE);
    assert_int_equal(cancel(scene, &id), GATE_CANCEL_IDLE);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask_one(scene, scene->mine, of), GATE_CANCELLED);
        assert_false(scene->answers[0].begun);
    }
}

static void a_mark_on_what_runs_is_told_and_kept(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    struct gate_question of = question(&id, 0, 10);
    of.epoch = 1000;
    assert_int_equal(ask_one(scene, scene->mine, of), GATE_GO);
    assert_int_equal(cancel(scene, &id), GATE_CANCEL_RUNNING);
    assert_int_equal(ask_one(scene, scene->mine, of), GATE_CANCELLED);
    assert_true(scene->answers[0].begun);
    of.offset = 11;
    assert_int_equal(ask_one(scene, scene->mine, of), GATE_DUPLICATE);
    assert_int_equal(release(scene, scene->mine, &id, 0, 10), GATE_CLAIM_CANCELLED);
    assert_int_equal(cancel(scene, &id), GATE_CANCEL_IDLE_BEGUN);
    of.turn = 1;
    assert_int_equal(ask_one(scene, scene->mine, of), GATE_CANCELLED);
    assert_true(scene->answers[0].begun);
}

static void what_was_only_held_has_not_begun(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    struct gate_question of = question(&id, 0, 10);
    of.epoch = 1000;
    assert_int_equal(ask_one(scene, scene->mine, of), GATE_GO);
    assert_false(scene->answers[0].unbegun);
    gate_keep(scene->mine, &of, &(struct gate_kept){ 1, 5, false }, on_claim, scene);
    run(scene);
    assert_int_equal(ask_one(scene, scene->mine, of), GATE_AGAIN);
    assert_true(scene->answers[0].unbegun);
    assert_int_equal(scene->answers[0].due_at_ms, 5);
    gate_release(scene->mine, &of, false, on_claim, scene);
    run(scene);
    assert_int_equal(ask_one(scene, scene->other, of), GATE_SUPERSEDED);
    of.turn = 1;
    assert_int_equal(ask_one(scene, scene->mine, of), GATE_GO);
    assert_true(scene->answers[0].unbegun);
    gate_release(scene->mine, &of, false, on_claim, scene);
    run(scene);
    assert_int_equal(cancel(scene, &id), GATE_CANCEL_IDLE);
    of.turn = 2;
    assert_int_equal(ask_one(scene, scene->mine, of), GATE_CANCELLED);
    assert_false(scene->answers[0].begun);
}

static void what_has_ended_is_not_marked(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    put_record(scene, &id, JOB_SUCCEEDED, 0);
    assert_int_equal(cancel(scene, &id), GATE_CANCEL_TERMINAL);
}

static void without_redis_the_answer_is_unknown(void **state)
{
    struct scene *scene = *state;
    struct id id = new_id(scene);
    kill(scene->server.pid, SIGSTOP);
    struct redis_options options = { .config = &scene->server.config,
                                     .timeout_ms = 100,
                                     .pending_max = 10 };
    struct redis *silent = redis_open(scene->loop, &options);
    struct gate *gate = gate_new(silent, "errand", "cccc");
    assert_int_equal(ask(scene, gate, &id, 0, 10), GATE_UNKNOWN);
    redis_close(silent);
    gate_free(gate);
    kill(scene->server.pid, SIGCONT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_claim_goes),
        cmocka_unit_test(a_lower_turn_goes),
        cmocka_unit_test(the_same_record_goes_again),
        cmocka_unit_test(a_redelivery_of_one_that_died_is_a_suspect),
        cmocka_unit_test(a_suspect_stays_one_for_whoever_gets_it_next),
        cmocka_unit_test(another_record_of_the_turn_is_a_duplicate),
        cmocka_unit_test(a_higher_turn_supersedes),
        cmocka_unit_test(a_terminal_record_skips),
        cmocka_unit_test(a_live_record_does_not_skip),
        cmocka_unit_test(a_lower_epoch_is_stale_and_claims_nothing),
        cmocka_unit_test(an_emptied_redis_learns_the_epoch_again),
        cmocka_unit_test(a_batch_is_answered_in_its_order),
        cmocka_unit_test(a_claim_ends_with_its_job),
        cmocka_unit_test(what_is_kept_is_told_again),
        cmocka_unit_test(an_outcome_clears_a_suspect),
        cmocka_unit_test(what_was_handed_on_is_superseded),
        cmocka_unit_test(what_only_waited_is_not_begun_beside_its_successor),
        cmocka_unit_test(what_became_of_earlier_turns_is_not_made_up),
        cmocka_unit_test(a_mark_ends_what_has_not_begun),
        cmocka_unit_test(a_mark_on_what_runs_is_told_and_kept),
        cmocka_unit_test(what_was_only_held_has_not_begun),
        cmocka_unit_test(what_has_ended_is_not_marked),
        cmocka_unit_test(without_redis_the_answer_is_unknown),
    };
    return cmocka_run_group_tests(tests, open_scene, close_scene);
}
