/* Records of the audit topic. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_a_record_says_who_what_why_and_how_many(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(AUDIT_BYTES_MAX);
    const struct audit_entry entry = {
        .id = SPAN_LIT("1795709731123-9f86d081"),
        .action = SPAN_LIT("dead.purge"),
        .phase = SPAN_LIT("done"),
        .by = SPAN_LIT("gateway-1"),
        .who = SPAN_LIT("ada@\"desk\""),
        .why = SPAN_LIT("no longer wanted"),
        .what = SPAN_LIT("{\"queue\":\"default\"}"),
        .counts = SPAN_LIT("{\"purged\":3}"),
        .at_ms = 1795709731123,
    };
    audit_json(&entry, &out);
    assert_string_equal(out.data,
                        "{\"schema\":\"errand.audit/1\",\"id\":\"1795709731123-9f86d081\","
                        "\"at\":\"2026-11-26T16:15:31.123Z\",\"action\":\"dead.purge\","
                        "\"phase\":\"done\",\"by\":\"gateway-1\",\"who\":\"ada@\\\"desk\\\"\","
                        "\"why\":\"no longer wanted\",\"what\":{\"queue\":\"default\"},"
                        "\"counts\":{\"purged\":3}}");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_says_who_what_why_and_how_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
