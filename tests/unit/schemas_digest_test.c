/* Digests against published vectors (FIPS 180-4's examples, RFC 4231).
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/buf.h"
#include "schemas/digest.h"

static void expect_hex(const uint8_t digest[DIGEST_SIZE], const char *expected)
{
    struct buf hex = BUF_INIT(64);
    buf_add_hex(&hex, (struct span){ digest, DIGEST_SIZE });
    assert_string_equal(hex.data, expected);
    buf_free(&hex);
}

static void test_sha256_is_of_all_parts_joined(void **state)
{
    (void)state;
    uint8_t digest[DIGEST_SIZE];
    digest_sha256(NULL, 0, digest);
    expect_hex(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

    const struct span whole[] = { SPAN_LIT("abc") };
    digest_sha256(whole, 1, digest);
    expect_hex(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");

    const struct span parts[] = { SPAN_LIT("a"), { NULL, 0 }, SPAN_LIT("bc") };
    digest_sha256(parts, 3, digest);
    expect_hex(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_a_hasher_can_be_used_again(void **state)
{
    (void)state;
    const struct span parts[] = { SPAN_LIT("a"), SPAN_LIT("bc") };
    uint8_t digest[DIGEST_SIZE];
    struct digest_hasher *hasher = digest_hasher_new();
    for (int round = 0; round < 3; round++) {
        digest_hasher_sha256(hasher, NULL, 0, digest);
        expect_hex(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        digest_hasher_sha256(hasher, parts, 2, digest);
        expect_hex(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
    digest_hasher_free(hasher);
    digest_hasher_free(NULL);
}

static void test_hmac_can_be_used_again(void **state)
{
    (void)state;
    uint8_t digest[DIGEST_SIZE];
    struct digest_hmac *hmac = digest_hmac_new(span_of("Jefe"));
    for (int round = 0; round < 3; round++) {
        digest_hmac_sha256(hmac, span_of("what do ya want for nothing?"), digest);
        expect_hex(digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
    digest_hmac_free(hmac);
}

static void test_hmac_with_a_long_or_no_secret(void **state)
{
    (void)state;
    uint8_t digest[DIGEST_SIZE];
    uint8_t secret[131];
    memset(secret, 0xaa, sizeof secret);
    struct digest_hmac *hmac = digest_hmac_new((struct span){ secret, sizeof secret });
    digest_hmac_sha256(hmac, span_of("Test Using Larger Than Block-Size Key - Hash Key First"),
                       digest);
    expect_hex(digest, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    digest_hmac_free(hmac);

    hmac = digest_hmac_new((struct span){ 0 });
    digest_hmac_sha256(hmac, (struct span){ 0 }, digest);
    expect_hex(digest, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    digest_hmac_free(hmac);
    digest_hmac_free(NULL);
}

static void test_equal_looks_at_every_byte(void **state)
{
    (void)state;
    uint8_t a[16] = { 1, 2, 3 };
    uint8_t b[16] = { 1, 2, 3 };
    assert_true(digest_equal(a, b, sizeof a));
    assert_true(digest_equal(a, b, 0));
    b[15] ^= 0x80;
    assert_false(digest_equal(a, b, sizeof a));
    assert_true(digest_equal(a, b, 15));
}

static void test_random_bytes_differ(void **state)
{
    (void)state;
    uint8_t a[16] = { 0 };
    uint8_t b[16] = { 0 };
    assert_true(digest_random(a, sizeof a));
    assert_true(digest_random(b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_is_of_all_parts_joined),
        cmocka_unit_test(test_a_hasher_can_be_used_again),
        cmocka_unit_test(test_hmac_can_be_used_again),
        cmocka_unit_test(test_hmac_with_a_long_or_no_secret),
        cmocka_unit_test(test_equal_looks_at_every_byte),
        cmocka_unit_test(test_random_bytes_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
