/* The wake-up of a loop by a librdkafka queue. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/kafka_internal.h"

#define DEADLINE_MS 5000

struct rig {
    struct loop *loop;
    struct kafka_wake wake;
    struct loop_timer *deadline;
    bool woken;
};

static void on_wake(void *arg)
{
    struct rig *rig = arg;
    rig->woken = true;
    loop_stop(rig->loop);
}

static void on_deadline(void *arg)
{
    struct rig *rig = arg;
    loop_stop(rig->loop);
}

/* A client that finds no broker has reported so before anyone could ask for its signals. */
static void test_what_was_in_the_queue_before_is_signalled(void **state)
{
    (void)state;
    struct rig rig = { .loop = loop_new(16) };
    struct err err = { 0 };
    assert_int_equal(kafka_wake_init(&rig.wake, rig.loop, on_wake, &rig, &err), ERR_OK);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(rk);
    rd_kafka_test_fatal_error(rk, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "early");
    assert_int_equal(rd_kafka_queue_length(queue), 1);

    kafka_wake_enable(&rig.wake, queue);
    rig.deadline = loop_timer_new(rig.loop, on_deadline, &rig);
    loop_timer_start(rig.deadline, DEADLINE_MS, 0);
    loop_run(rig.loop);
    assert_true(rig.woken);

    kafka_wake_disable(queue);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    loop_timer_free(rig.deadline);
    kafka_wake_clear(&rig.wake);
    loop_free(rig.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_in_the_queue_before_is_signalled),
    };
    return cmocka_run_group_tests_name("infra/kafka_conf (wake)", tests, NULL, NULL);
}
