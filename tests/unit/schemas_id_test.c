/* Job ids: their layout, their order, and that nobody without a secret makes one.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "schemas/id.h"

#define NOW_MS INT64_C(1764000000123)

static const struct span secrets[] = { SPAN_LIT("new secret"), SPAN_LIT("old secret") };

static struct id_minter *minter_of(const struct span *list, size_t count)
{
    struct id_minter *minter = id_minter_new(list, count);
    assert_non_null(minter);
    return minter;
}

static void test_a_minted_id_is_a_uuid_of_version_7(void **state)
{
    (void)state;
    struct id_minter *minter = minter_of(secrets, 1);
    struct id id;
    char text[ID_TEXT_SIZE];
    id_mint(minter, NOW_MS, &id);
    id_text(&id, text);
    assert_int_equal(strlen(text), 36);
    assert_int_equal(text[14], '7');
    assert_non_null(strchr("89ab", text[19]));
    assert_int_equal(id_time_ms(&id), NOW_MS);
    assert_true(id_verify(minter, &id));
    id_minter_free(minter);
    id_minter_free(NULL);
}

static int compare(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, ID_IDENTITY_BYTES);
}

static void test_ids_rise_when_the_clock_does_not(void **state)
{
    (void)state;
    static const int64_t steps_ms[] = { 0, 0, 1, -5000, 0, 0, 7, -1, 0, 60000, -60000, 0 };
    struct id_minter *minter = minter_of(secrets, 1);
    struct id last;
    int64_t now_ms = NOW_MS;
    id_mint(minter, now_ms, &last);
    for (size_t i = 0; i < 1200; i++) {
        struct id id;
        now_ms += steps_ms[i % (sizeof steps_ms / sizeof *steps_ms)];
        id_mint(minter, now_ms, &id);
        assert_true(compare(&last, &id) < 0);
        assert_true(id_time_ms(&id) >= id_time_ms(&last));
        last = id;
    }
    id_minter_free(minter);
}

static bool is_even(void *arg, const struct id *id)
{
    ++*(int *)arg;
    return id->bytes[8] % 2 == 0 && id->bytes[9] / 64 == 0; /* the counter's low bits */
}

static bool never(void *arg, const struct id *id)
{
    (void)id;
    ++*(int *)arg;
    return false;
}

static void test_of_the_next_ids_one_is_chosen(void **state)
{
    (void)state;
    struct id_minter *minter = minter_of(secrets, 1);
    struct id last;
    int asked = 0;
    id_mint(minter, NOW_MS, &last);
    for (int i = 0; i < 100; i++) {
        struct id id;
        asked = 0;
        id_mint_where(minter, NOW_MS, is_even, &asked, &id);
        assert_in_range(asked, 1, 8);
        assert_true(is_even(&asked, &id) && id_verify(minter, &id) && compare(&last, &id) < 0);
        last = id;
    }
    asked = 0;
    id_mint_where(minter, NOW_MS, never, &asked, &last);
    assert_in_range(asked, ID_TRIES_MAX - 1, ID_TRIES_MAX);
    assert_true(id_verify(minter, &last));
    id_minter_free(minter);
}

/* A counter has 2^20 values: this many ids in one millisecond must pass its wrap at least once. */
static void test_a_full_counter_borrows_the_next_millisecond(void **state)
{
    (void)state;
    struct id_minter *minter = minter_of(secrets, 1);
    struct id last;
    id_mint(minter, NOW_MS, &last);
    for (size_t i = 0; i < (1U << 20) + 1; i++) {
        struct id id;
        id_mint(minter, NOW_MS, &id);
        if (compare(&last, &id) >= 0)
            fail_msg("id %zu does not rise", i);
        last = id;
    }
    assert_in_range(id_time_ms(&last), NOW_MS + 1, NOW_MS + 2);
    id_minter_free(minter);
}

static void test_minters_differ(void **state)
{
    (void)state;
    struct id_minter *minters[] = { minter_of(secrets, 1), minter_of(secrets, 1) };
    struct id ids[2];
    id_mint(minters[0], NOW_MS, &ids[0]);
    id_mint(minters[1], NOW_MS, &ids[1]);
    assert_false(id_same(&ids[0], &ids[1]));
    assert_true(id_verify(minters[1], &ids[0]));
    id_minter_free(minters[0]);
    id_minter_free(minters[1]);
}

static void test_a_derived_id_is_the_same_everywhere(void **state)
{
    (void)state;
    struct id_minter *minters[] = { minter_of(secrets, 1), minter_of(&secrets[1], 1) };
    struct id ids[2];
    char text[IDENTITY_TEXT_SIZE];
    for (size_t i = 0; i < 2; i++)
        id_derive(minters[i], span_of("tenant"), span_of("default"), span_of("order-17"), &ids[i]);
    assert_true(id_same(&ids[0], &ids[1])); /* a rotation changes no identity */
    assert_memory_not_equal(&ids[0], &ids[1], sizeof ids[0]);
    assert_int_equal(id_time_ms(&ids[0]), -1);
    /* SHA-256 of the three texts, each behind its length in 8 bytes; version and variant set. */
    id_identity_text(&ids[0], text);
    assert_string_equal(text, "f9ae54949f1186298f4c131e");
    id_minter_free(minters[0]);
    id_minter_free(minters[1]);
}

static void test_a_derived_id_tells_its_parts_apart(void **state)
{
    (void)state;
    static const char *const parts[][3] = {
        { "a", "b", "c" }, { "ab", "", "c" }, { "a", "bc", "" },
        { "", "ab", "c" }, { "a", "b", "C" },
    };
    struct id_minter *minter = minter_of(secrets, 1);
    struct id ids[5];
    for (size_t i = 0; i < 5; i++) {
        id_derive(minter, span_of(parts[i][0]), span_of(parts[i][1]), span_of(parts[i][2]),
                  &ids[i]);
        assert_true(id_verify(minter, &ids[i]));
        for (size_t j = 0; j < i; j++)
            assert_false(id_same(&ids[i], &ids[j]));
    }
    id_minter_free(minter);
}

static void test_every_secret_verifies_and_no_other(void **state)
{
    (void)state;
    static const struct span other[] = { SPAN_LIT("another deployment") };
    struct id_minter *old = minter_of(&secrets[1], 1);
    struct id_minter *rotated = minter_of(secrets, 2);
    struct id_minter *stranger = minter_of(other, 1);
    struct id_minter *none = minter_of(NULL, 0);
    struct id id;
    id_mint(old, NOW_MS, &id);
    assert_true(id_verify(old, &id));
    assert_true(id_verify(rotated, &id));
    assert_false(id_verify(stranger, &id));
    assert_false(id_verify(none, &id));
    id_mint(rotated, NOW_MS, &id);
    assert_true(id_verify(rotated, &id));
    assert_false(id_verify(old, &id));
    id_minter_free(old);
    id_minter_free(rotated);
    id_minter_free(stranger);
    id_minter_free(none);
}

static void test_a_changed_bit_is_a_forgery(void **state)
{
    (void)state;
    struct id_minter *minter = minter_of(secrets, 2);
    struct id id;
    id_mint(minter, NOW_MS, &id);
    for (size_t bit = 0; bit < 8 * sizeof id.bytes; bit++) {
        struct id forged = id;
        forged.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(id_verify(minter, &forged));
        assert_int_equal(id_same(&id, &forged), bit >= 96);
    }
    id_minter_free(minter);
}

static void test_text_goes_there_and_back(void **state)
{
    (void)state;
    static const char lower[] = "0193c0de-0123-7abc-9def-0123456789ab";
    struct id id;
    struct id again;
    char text[ID_TEXT_SIZE];
    char identity[IDENTITY_TEXT_SIZE];
    assert_true(id_parse(span_of(lower), &id));
    id_text(&id, text);
    assert_string_equal(text, lower);
    id_identity_text(&id, identity);
    assert_string_equal(identity, "0193c0de01237abc9def0123");
    assert_true(id_parse(span_of("0193C0DE-0123-7ABC-9DEF-0123456789AB"), &again));
    assert_memory_equal(&id, &again, sizeof id);
}

static void test_what_is_no_id(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "0193c0de-0123-7abc-9def-0123456789a",
        "0193c0de-0123-7abc-9def-0123456789abc",
        "0193c0de00123-7abc-9def-0123456789ab",
        "0193c0de-0123-7abc-9def00123456789ab",
        "0193c0de-0123-7abc-9def-0123456789ag",
        "0193c0de-0123-7abc-9def-012345678 ab",
        "0193c0de-0123-4abc-9def-0123456789ab", /* version 4 */
        "0193c0de-0123-7abc-cdef-0123456789ab", /* another variant */
        "0193c0de-0123-7abc-7def-0123456789ab",
        "{193c0de-0123-7abc-9def-0123456789a}",
    };
    struct id id = { .bytes = { 42 } };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(id_parse(span_of(texts[i]), &id));
    assert_int_equal(id.bytes[0], 42);
}

static void test_an_identity_goes_there_and_back(void **state)
{
    (void)state;
    struct id id;
    struct id back;
    char text[IDENTITY_TEXT_SIZE];
    assert_true(id_parse(span_of("0193c0de-0123-7abc-9def-0123456789ab"), &id));
    id_identity_text(&id, text);
    assert_true(id_identity_parse(span_of(text), &back));
    assert_true(id_same(&id, &back));
    assert_int_equal(back.bytes[ID_IDENTITY_BYTES], 0);
    assert_true(id_identity_parse(span_of("0193C0DE01237ABC9DEF0123"), &back));
    assert_true(id_same(&id, &back));
    static const char *const texts[] = { "", "0193c0de01237abc9def012", "0193c0de01237abc9def01234",
                                         "0193c0de01237abc9def012g" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(id_identity_parse(span_of(texts[i]), &back));
}

/* As ids come to a table: from one minter, one after the other or what falls on one partition only,
 * or derived from numbered keys. */
static void test_a_table_by_hash_has_no_long_lists(void **state)
{
    (void)state;
    enum { IDS = 4096, BUCKETS = 4096, LONGEST = 16 };
    static unsigned counts[3][BUCKETS];
    uint8_t secret[SIPHASH_SECRET_SIZE];
    siphash_secret(secret);
    struct id_minter *minter = minter_of(secrets, 1);
    int asked = 0;
    for (int i = 0; i < IDS; i++) {
        char key[16];
        struct id ids[3];
        snprintf(key, sizeof key, "key-%d", i);
        id_mint(minter, NOW_MS + i / 100, &ids[0]);
        id_mint_where(minter, NOW_MS + i / 100, is_even, &asked, &ids[1]);
        id_derive(minter, span_of("default"), span_of("rules"), span_of(key), &ids[2]);
        for (int kind = 0; kind < 3; kind++)
            counts[kind][id_hash(secret, ids[kind].bytes) % BUCKETS]++;
    }
    for (int i = 0; i < 3 * BUCKETS; i++)
        assert_true(counts[i / BUCKETS][i % BUCKETS] <= LONGEST);
    id_minter_free(minter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_minted_id_is_a_uuid_of_version_7),
        cmocka_unit_test(test_ids_rise_when_the_clock_does_not),
        cmocka_unit_test(test_a_full_counter_borrows_the_next_millisecond),
        cmocka_unit_test(test_of_the_next_ids_one_is_chosen),
        cmocka_unit_test(test_minters_differ),
        cmocka_unit_test(test_a_derived_id_is_the_same_everywhere),
        cmocka_unit_test(test_a_derived_id_tells_its_parts_apart),
        cmocka_unit_test(test_every_secret_verifies_and_no_other),
        cmocka_unit_test(test_a_changed_bit_is_a_forgery),
        cmocka_unit_test(test_text_goes_there_and_back),
        cmocka_unit_test(test_what_is_no_id),
        cmocka_unit_test(test_an_identity_goes_there_and_back),
        cmocka_unit_test(test_a_table_by_hash_has_no_long_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
