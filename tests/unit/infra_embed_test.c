/* The files that programs carry within them are the files of the repository, byte for byte.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/embed.h"
#include "infra/version.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void check_same(const char *name, const char *path)
{
    struct span carried;
    assert_true(embed_find(name, &carried));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *bytes = malloc(carried.size + 1);
    assert_non_null(bytes);
    size_t size = fread(bytes, 1, carried.size + 1, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(size, carried.size);
    assert_memory_equal(bytes, carried.data, size);
    free(bytes);
}

static void carries_the_files(void **state)
{
    (void)state;
    check_same("deploy/local.yaml", "infra/deploy/local.yaml");
    check_same("deploy/kafka/pom.xml", "infra/deploy/kafka/pom.xml");
    check_same("deploy/kafka/server.properties", "infra/deploy/kafka/server.properties");
    check_same("deploy/kafka/log4j2.properties", "infra/deploy/kafka/log4j2.properties");
}

static void a_nul_follows_each_one(void **state)
{
    (void)state;
    struct span carried;
    assert_true(embed_find("deploy/local.yaml", &carried));
    assert_int_equal(((const char *)carried.data)[carried.size], '\0');
}

static void says_when_there_is_none(void **state)
{
    (void)state;
    struct span carried = SPAN_LIT("unchanged");
    assert_false(embed_find("deploy/nothing", &carried));
    assert_false(embed_find("", &carried));
    assert_true(span_is(carried, "unchanged"));
}

static void the_version_begins_with_a_number(void **state)
{
    (void)state;
    assert_true(isdigit((unsigned char)version_text()[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_the_files),
        cmocka_unit_test(a_nul_follows_each_one),
        cmocka_unit_test(says_when_there_is_none),
        cmocka_unit_test(the_version_begins_with_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
