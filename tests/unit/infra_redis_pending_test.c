/* The queue of commands that wait for replies: order, deadlines out of order, callbacks that add.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/redis_pending.h"

struct record {
    struct redis_pending *pending;
    int called;
    int add; /* so many when called */
};

static void push(struct redis_pending *pending, struct record *record, int64_t deadline_ms);

static void on_late(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct record *record = arg;
    assert_int_equal(code, ERR_REDIS_GONE);
    assert_null(reply);
    record->called++;
    for (int i = 0; i < record->add; i++)
        push(record->pending, record, 10000);
}

static void push(struct redis_pending *pending, struct record *record, int64_t deadline_ms)
{
    record->pending = pending;
    redis_pending_push(
        pending, (struct redis_wait){
                     .fn = on_late, .arg = record, .asked_ms = 1, .deadline_ms = deadline_ms });
}

static void test_order_while_growing(void **state)
{
    (void)state;
    struct redis_pending pending = { 0 };
    struct record records[300] = { 0 };
    size_t out = 0;
    for (size_t in = 0; in < 300; in++) {
        push(&pending, &records[in], 100);
        if (in % 3 == 2)
            assert_ptr_equal(redis_pending_pop(&pending).arg, &records[out++]);
    }
    assert_int_equal(redis_pending_count(&pending), 200);
    while (redis_pending_count(&pending) > 0)
        assert_ptr_equal(redis_pending_pop(&pending).arg, &records[out++]);
    assert_int_equal(out, 300);
    assert_true(redis_pending_oldest(&pending) == INT64_MAX);
    redis_pending_clear(&pending);
}

static void test_deadlines(void **state)
{
    (void)state;
    struct redis_pending pending = { 0 };
    struct record a = { 0 }, b = { 0 };
    push(&pending, &a, 100);
    push(&pending, &b, 110);
    redis_pending_expire(&pending, 99);
    assert_int_equal(a.called, 0);
    assert_int_equal(redis_pending_deadline(&pending), 100);
    redis_pending_expire(&pending, 100);
    redis_pending_expire(&pending, 100);
    assert_int_equal(a.called, 1);
    assert_int_equal(b.called, 0);
    assert_int_equal(redis_pending_deadline(&pending), 110);
    assert_int_equal(redis_pending_count(&pending), 2); /* the late reply is still to come */
    assert_null(redis_pending_pop(&pending).fn);
    assert_non_null(redis_pending_pop(&pending).fn);
    redis_pending_clear(&pending);
}

/* A script that is asked again keeps its deadline, behind commands with later ones. */
static void test_deadline_out_of_order(void **state)
{
    (void)state;
    struct redis_pending pending = { 0 };
    struct record a = { 0 }, b = { 0 }, early = { 0 };
    push(&pending, &a, 100);
    push(&pending, &b, 110);
    push(&pending, &early, 50);
    assert_int_equal(redis_pending_deadline(&pending), 50);
    redis_pending_expire(&pending, 60);
    assert_int_equal(a.called + b.called, 0);
    assert_int_equal(early.called, 1);
    assert_int_equal(redis_pending_deadline(&pending), 100);
    redis_pending_expire(&pending, 200);
    assert_int_equal(a.called + b.called, 2);
    assert_int_equal(early.called, 1);
    assert_true(redis_pending_deadline(&pending) == INT64_MAX);
    redis_pending_clear(&pending);
}

static void test_callbacks_that_add(void **state)
{
    (void)state;
    struct redis_pending pending = { 0 };
    struct record adding = { .add = 100 };
    push(&pending, &adding, 100);
    push(&pending, &adding, 100);
    redis_pending_expire(&pending, 100);
    assert_int_equal(adding.called, 2);
    assert_int_equal(redis_pending_count(&pending), 202);
    redis_pending_clear(&pending);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_while_growing),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_deadline_out_of_order),
        cmocka_unit_test(test_callbacks_that_add),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
