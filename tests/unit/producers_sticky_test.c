/* Jobs of a moment share a partition, and all partitions get the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/kafka_producer.h"
#include "producers/sticky.h"

#define NOW_MS INT64_C(1795000000000)

static const struct span secret = SPAN_LIT("a secret for the ids of tests");

static int32_t partition_of(const struct id *id, int32_t partition_count)
{
    char key[IDENTITY_TEXT_SIZE];
    id_identity_text(id, key);
    return kafka_partition_of(span_of(key), partition_count);
}

static int32_t mint(struct sticky *sticky, struct id_minter *minter, size_t queue, int32_t count,
                    int64_t now_ms)
{
    struct id id;
    sticky_mint(sticky, minter, queue, count, now_ms, &id);
    assert_true(id_verify(minter, &id));
    assert_true(id_time_ms(&id) >= now_ms);
    return partition_of(&id, count);
}

/* The hashes are those that Kafka's own tests of `org.apache.kafka.common.utils.Utils` expect. */
static void test_a_key_lies_where_kafka_puts_it(void **state)
{
    (void)state;
    assert_int_equal(kafka_partition_of(span_of("21"), INT32_MAX),
                     (-973932308 & 0x7fffffff) % INT32_MAX);
    assert_int_equal(kafka_partition_of(span_of("foobar"), INT32_MAX),
                     (-790332482 & 0x7fffffff) % INT32_MAX);
    assert_int_equal(kafka_partition_of(span_of("any"), 1), 0);
}

static void test_jobs_of_a_moment_share_a_partition(void **state)
{
    (void)state;
    struct id_minter *minter = id_minter_new(&secret, 1);
    struct sticky *sticky = sticky_new(1);
    int32_t first = mint(sticky, minter, 0, 8, NOW_MS);
    for (int64_t at_ms = NOW_MS; at_ms < NOW_MS + STICKY_MS; at_ms++) {
        for (int i = 0; i < 20; i++)
            assert_int_equal(mint(sticky, minter, 0, 8, at_ms), first);
    }
    assert_int_not_equal(mint(sticky, minter, 0, 8, NOW_MS + STICKY_MS), first);
    sticky_free(sticky);
    id_minter_free(minter);
}

static void test_every_partition_gets_the_same(void **state)
{
    (void)state;
    struct id_minter *minter = id_minter_new(&secret, 1);
    struct sticky *sticky = sticky_new(1);
    int counts[8] = { 0 };
    for (int i = 0; i < 800; i++)
        counts[mint(sticky, minter, 0, 8, NOW_MS + i)]++;
    for (int i = 0; i < 8; i++)
        assert_int_equal(counts[i], 100);
    sticky_free(sticky);
    id_minter_free(minter);
}

static void test_queues_have_places_of_their_own(void **state)
{
    (void)state;
    struct id_minter *minter = id_minter_new(&secret, 1);
    struct sticky *sticky = sticky_new(2);
    int32_t first = mint(sticky, minter, 0, 8, NOW_MS);
    for (int i = 0; i < 50; i++)
        (void)mint(sticky, minter, 1, 3, NOW_MS + i * INT64_C(1000)); /* moves on each time */
    struct id id;
    sticky_mint(sticky, minter, 0, 8, NOW_MS + 1, &id); /* a clock that went back, for the minter */
    assert_int_equal(partition_of(&id, 8), first);
    sticky_free(sticky);
    id_minter_free(minter);
}

/* Nothing is wrong where the clock goes back or a topic has fewer partitions than it had. */
static void test_the_world_changes(void **state)
{
    (void)state;
    struct id_minter *minter = id_minter_new(&secret, 1);
    struct sticky *sticky = sticky_new(1);
    struct id id;
    for (int i = 0; i < 20; i++)
        (void)mint(sticky, minter, 0, 32, NOW_MS + i * INT64_C(10));
    sticky_mint(sticky, minter, 0, 3, NOW_MS - 60000, &id);
    assert_in_range(partition_of(&id, 3), 0, 2);
    sticky_mint(sticky, minter, 0, 1, NOW_MS - 60000, &id);
    assert_true(id_verify(minter, &id));
    sticky_free(sticky);
    id_minter_free(minter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_lies_where_kafka_puts_it),
        cmocka_unit_test(test_jobs_of_a_moment_share_a_partition),
        cmocka_unit_test(test_every_partition_gets_the_same),
        cmocka_unit_test(test_queues_have_places_of_their_own),
        cmocka_unit_test(test_the_world_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
