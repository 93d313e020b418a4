/* SipHash-2-4 against its authors' own vectors (key 00..0f, text 00 01 02 ...).
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/siphash.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void it_gives_the_authors_values(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        uint64_t hash;
    } vectors[] = {
        { 0, 0x726fdb47dd0e0e31ULL }, { 1, 0x74f839c593dc67fdULL },  { 7, 0xab0200f58b01d137ULL },
        { 8, 0x93f5f5799a932462ULL }, { 15, 0xa129ca6149be45e5ULL },
    };
    uint8_t bytes[16];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        assert_int_equal(siphash(bytes, (struct span){ bytes, vectors[i].size }), vectors[i].hash);
}

static void another_secret_gives_another_hash(void **state)
{
    (void)state;
    static const uint8_t one[SIPHASH_SECRET_SIZE] = { 1 };
    static const uint8_t two[SIPHASH_SECRET_SIZE] = { 2 };
    assert_int_not_equal(siphash(one, span_of("account-17")), siphash(two, span_of("account-17")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_gives_the_authors_values),
        cmocka_unit_test(another_secret_gives_another_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
