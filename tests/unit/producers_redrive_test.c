/* What a letter's command becomes: the same job each time, with the old effect id.
 * SPDX-License-Identifier: Apache-2.0 */
#include "producers/redrive.h"

#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW_MS 1795709731123

static char type_name[] = "quote.fetch", queue_name[] = "default";
static struct config_type types[] = { { .name = type_name,
                                        .queue = queue_name,
                                        .max_age_ms = 1000,
                                        .retention_ms = 500,
                                        .payload_bytes_max = 64 } };
static const struct config config = { .types = types, .type_count = 1 };

struct rig {
    struct id_minter *minter;
    struct redrive_options options;
    struct job_command letter;
};

static int set_up(void **state)
{
    static const struct span secret = SPAN_LIT("0123456789abcdef0123456789abcdef");
    static struct rig rig;
    rig = (struct rig){ .minter = id_minter_new(&secret, 1) };
    rig.options = (struct redrive_options){ .config = &config,
                                            .minter = rig.minter,
                                            .batch = SPAN_LIT("1795709731123-9f86d081"),
                                            .number_max = 3 };
    rig.letter = (struct job_command){
        .facts = { .tenant = SPAN_LIT("default"),
                   .type = SPAN_LIT("quote.fetch"),
                   .queue = SPAN_LIT("default"),
                   .created_at_ms = 5,
                   .run_at_ms = 6,
                   .deadline_ms = 7,
                   .fingerprint = SPAN_LIT("0123456789abcdef"),
                   .origin_partition = 3,
                   .origin_offset = 17 },
        .turn = 4,
        .attempt = 5,
        .holds = 6,
        .again = true,
        .due_at_ms = 7,
        .payload = SPAN_LIT("{\"a\": 1, \"b\": 2}"),
    };
    id_mint(rig.minter, 1000, &rig.letter.facts.id);
    id_mint(rig.minter, 1000, &rig.letter.facts.effect_id);
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    id_minter_free(rig->minter);
    return 0;
}

static void test_the_same_letter_and_batch_give_the_same_job(void **state)
{
    struct rig *rig = *state;
    struct buf payload = BUF_INIT(1024);
    struct err err;
    struct job_command made;
    struct job_command again;
    assert_int_equal(redrive_command(&rig->options, &rig->letter, NOW_MS, &payload, &made, &err),
                     0);
    assert_int_equal(
        redrive_command(&rig->options, &rig->letter, NOW_MS + 9, &payload, &again, &err), 0);
    assert_memory_equal(&made.facts.id, &again.facts.id, sizeof made.facts.id);
    assert_true(id_verify(rig->minter, &made.facts.id));
    assert_false(id_same(&made.facts.id, &rig->letter.facts.id));
    rig->options.batch = span_of("1795709731123-00000000");
    assert_int_equal(redrive_command(&rig->options, &rig->letter, NOW_MS, &payload, &again, &err),
                     0);
    assert_false(id_same(&made.facts.id, &again.facts.id));
}

static void test_what_it_carries_on_and_what_begins_anew(void **state)
{
    struct rig *rig = *state;
    struct buf payload = BUF_INIT(1024);
    struct err err;
    struct job_command made;
    rig->letter.facts.redrive.number = 1;
    assert_int_equal(redrive_command(&rig->options, &rig->letter, NOW_MS, &payload, &made, &err),
                     0);
    assert_memory_equal(&made.facts.effect_id, &rig->letter.facts.effect_id, sizeof(struct id));
    assert_true(span_eq(made.payload, rig->letter.payload));
    assert_int_equal(made.turn, 0);
    assert_int_equal(made.attempt, 1);
    assert_int_equal(made.holds, 0);
    assert_false(made.again);
    assert_int_equal(made.due_at_ms, 0);
    assert_int_equal(made.facts.created_at_ms, NOW_MS);
    assert_int_equal(made.facts.not_after_ms, NOW_MS + 1000);
    assert_int_equal(made.facts.forget_at_ms, NOW_MS + 1500);
    assert_int_equal(made.facts.deadline_ms, 0);
    assert_int_equal(made.facts.fingerprint.size, 0);
    assert_int_equal(made.facts.origin_offset, -1);
    assert_int_equal(made.facts.redrive.number, 2);
    assert_memory_equal(&made.facts.redrive.of, &rig->letter.facts.id, sizeof(struct id));
}

static void test_an_edit_is_applied_and_told(void **state)
{
    struct rig *rig = *state;
    const struct json_limits limits = { .depth_max = 8, .tokens_max = 100 };
    struct buf payload = BUF_INIT(1024);
    struct json *edit = NULL;
    struct err err;
    struct job_command made;
    rig->options.edit = span_of("{\"b\":null,\"c\":3}");
    assert_int_equal(json_parse(rig->options.edit, &limits, &edit, &err), ERR_OK);
    rig->options.edit_json = edit;
    assert_int_equal(redrive_command(&rig->options, &rig->letter, NOW_MS, &payload, &made, &err),
                     0);
    assert_true(span_is(made.payload, "{\"a\":1,\"c\":3}"));
    assert_true(span_eq(made.facts.redrive.edit, rig->options.edit));
    types[0].payload_bytes_max = 4;
    assert_int_equal(redrive_command(&rig->options, &rig->letter, NOW_MS, &payload, &made, &err),
                     ERR_INVALID_FIELD);
    types[0].payload_bytes_max = 64;
    rig->letter.payload = span_of("no JSON");
    assert_int_equal(redrive_command(&rig->options, &rig->letter, NOW_MS, &payload, &made, &err),
                     ERR_INVALID_FIELD);
    json_free(edit);
    buf_free(&payload);
}

static void test_what_is_refused(void **state)
{
    struct rig *rig = *state;
    struct buf payload = BUF_INIT(1024);
    struct err err;
    struct job_command made;
    rig->letter.facts.redrive.number = 3;
    assert_int_equal(redrive_command(&rig->options, &rig->letter, NOW_MS, &payload, &made, &err),
                     ERR_LIMIT);
    rig->letter.facts.redrive.number = 0;
    rig->letter.facts.type = span_of("gone.type");
    assert_int_equal(redrive_command(&rig->options, &rig->letter, NOW_MS, &payload, &made, &err),
                     ERR_UNKNOWN_TYPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_same_letter_and_batch_give_the_same_job, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_it_carries_on_and_what_begins_anew, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_edit_is_applied_and_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
