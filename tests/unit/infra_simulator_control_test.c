/* Misbehaviour set for paths: which one applies, and how it is changed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/control.h"

#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void set(struct control *control, const char *match, const char *simulate)
{
    assert_int_equal(control_set(control, span_of(match), span_of(simulate), NULL), ERR_OK);
}

static void expect(const struct control *control, const char *path, const char *simulate)
{
    assert_true(span_is(control_find(control, span_of(path)), simulate));
}

static void the_longest_match_applies(void **state)
{
    (void)state;
    struct control *control = control_new();
    expect(control, "/quotes/any", "");
    set(control, "/quotes", "slow=1");
    set(control, "", "slow=2");
    set(control, "/quotes/wilde", "slow=3");
    expect(control, "/quotes/any", "slow=1");
    expect(control, "/quotes", "slow=1");
    expect(control, "/quotes/wilde", "slow=3");
    expect(control, "/quote", "slow=2");
    expect(control, "", "slow=2");
    control_free(control);
    control_free(NULL);
}

static void a_match_is_replaced_and_removed(void **state)
{
    (void)state;
    struct control *control = control_new();
    set(control, "/a", "slow=1");
    set(control, "/b", "slow=2");
    set(control, "/a", "status=500");
    expect(control, "/a", "status=500");
    set(control, "/a", "");
    expect(control, "/a", "");
    expect(control, "/b", "slow=2");
    set(control, "/never", "");
    control_clear(control);
    expect(control, "/b", "");
    control_free(control);
}

static void refuse(struct control *control, const char *match, const char *simulate,
                   enum err_code code, const char *says)
{
    struct err err = { 0 };
    assert_int_equal(control_set(control, span_of(match), span_of(simulate), &err), code);
    if (!strstr(err.text, says))
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void what_is_wrong_changes_nothing(void **state)
{
    (void)state;
    struct control *control = control_new();
    char long_match[200] = "/";
    memset(long_match + 1, 'x', sizeof long_match - 2);
    set(control, "/a", "slow=1");
    refuse(control, "/a", "slwo=2", ERR_INVALID_PARAMETER, "did you mean \"slow\"?");
    refuse(control, "a", "slow=2", ERR_INVALID_FIELD, "beginning of a path");
    refuse(control, long_match, "slow=2", ERR_INVALID_FIELD, "128 bytes");
    expect(control, "/a", "slow=1");
    control_free(control);
}

static void there_is_a_limit(void **state)
{
    (void)state;
    struct control *control = control_new();
    for (int i = 0; i < CONTROL_RULES_MAX; i++) {
        char match[16];
        snprintf(match, sizeof match, "/%d/", i);
        set(control, match, "slow=1");
    }
    refuse(control, "/more/", "slow=1", ERR_LIMIT, "DELETE /control");
    set(control, "/more/", "");
    set(control, "/3/", "slow=2");
    expect(control, "/3/x", "slow=2");
    set(control, "/4/", "");
    set(control, "/more/", "slow=3");
    expect(control, "/more/", "slow=3");
    control_free(control);
}

static void all_is_told(void **state)
{
    (void)state;
    const struct json_limits limits = { .depth_max = 8, .tokens_max = 1000 };
    struct control *control = control_new();
    struct buf text = BUF_INIT(8192);
    struct json *json = NULL;
    set(control, "/a\"b", "slow=1");
    set(control, "", "fail=2");
    control_document(control, &text);
    assert_int_equal(json_parse(buf_span(&text), &limits, &json, NULL), ERR_OK);
    const struct json *rules = json_get(json, "rules");
    assert_int_equal(json_count(rules), 2);
    assert_true(span_is(json_text(json_get(json_at(rules, 0), "match")), "/a\"b"));
    assert_true(span_is(json_text(json_get(json_at(rules, 1), "simulate")), "fail=2"));
    assert_true(json_count(json_get(json, "words")) > 0);
    json_free(json);
    buf_free(&text);
    control_free(control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_match_applies),
        cmocka_unit_test(a_match_is_replaced_and_removed),
        cmocka_unit_test(what_is_wrong_changes_nothing),
        cmocka_unit_test(there_is_a_limit),
        cmocka_unit_test(all_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
