/* The grammar of misbehaviour: what it says, what it refuses, and what it decides call by call.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/behaviour.h"
#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct behaviour parse(const char *text)
{
    struct behaviour behaviour = { 0 };
    struct err err = { 0 };
    if (behaviour_parse(span_of(text), &behaviour, &err))
        fail_msg("%s: %s", text, err.text);
    return behaviour;
}

/* What one call is to meet. */
struct wanted {
    int64_t slow_ms;
    enum behaviour_way way;
    int64_t status, retry_after_s;
};

static void expect(const char *text, int64_t earlier, struct wanted wanted)
{
    struct behaviour asked = parse(text);
    struct behaviour met = behaviour_decide(&asked, earlier);
    assert_int_equal(met.slow_ms, wanted.slow_ms);
    assert_int_equal(met.way, wanted.way);
    assert_int_equal(met.status, wanted.status);
    assert_int_equal(met.retry_after_s, wanted.retry_after_s);
}

static void nothing_is_asked_for_by_nothing(void **state)
{
    (void)state;
    expect("", 0, (struct wanted){ 0, BEHAVIOUR_REAL, 0, -1 });
    expect("slow=0", 0, (struct wanted){ 0, BEHAVIOUR_REAL, 0, -1 });
    expect("fail=0", 0, (struct wanted){ 0, BEHAVIOUR_REAL, 0, -1 });
    struct behaviour behaviour;
    assert_int_equal(behaviour_parse((struct span){ 0 }, &behaviour, NULL), ERR_OK);
}

static void words_do_what_they_say(void **state)
{
    (void)state;
    expect("slow=250", 0, (struct wanted){ 250, BEHAVIOUR_REAL, 0, -1 });
    expect("status=503", 0, (struct wanted){ 0, BEHAVIOUR_STATUS, 503, -1 });
    expect("status=503", 1000000, (struct wanted){ 0, BEHAVIOUR_STATUS, 503, -1 });
    expect("status=429,retry-after=3", 0, (struct wanted){ 0, BEHAVIOUR_STATUS, 429, 3 });
    expect("retry-after=3", 0, (struct wanted){ 0, BEHAVIOUR_REAL, 0, 3 });
    expect("slow=10,status=204", 0, (struct wanted){ 10, BEHAVIOUR_STATUS, 204, -1 });
    expect("hang", 7, (struct wanted){ 0, BEHAVIOUR_HANG, 0, -1 });
    expect("execute-then-hang", 0, (struct wanted){ 0, BEHAVIOUR_EXECUTE_THEN_HANG, 0, -1 });
    expect("slow=5,reset", 0, (struct wanted){ 5, BEHAVIOUR_RESET, 0, -1 });
    expect("malformed", 0, (struct wanted){ 0, BEHAVIOUR_MALFORMED, 0, -1 });
    expect("wrong-length,drip=3", 0, (struct wanted){ 0, BEHAVIOUR_WRONG_LENGTH, 0, -1 });
    struct behaviour behaviour = parse("oversize=2000000,chunked,drip=3");
    assert_int_equal(behaviour.way, BEHAVIOUR_OVERSIZE);
    assert_int_equal(behaviour.oversize_bytes, 2000000);
    assert_int_equal(behaviour.chunked, 1);
    assert_int_equal(behaviour.drip_ms, 3);
}

static void a_redirect_goes_anywhere(void **state)
{
    (void)state;
    expect("redirect=private", 0, (struct wanted){ 0, BEHAVIOUR_REDIRECT, 302, -1 });
    expect("status=307,redirect=/here", 0, (struct wanted){ 0, BEHAVIOUR_REDIRECT, 307, -1 });
    expect("redirect=/here,status=308", 0, (struct wanted){ 0, BEHAVIOUR_REDIRECT, 308, -1 });
    assert_string_equal(parse("redirect=private").redirect, "http://169.254.169.254/");
    assert_string_equal(parse("redirect=http://0x7f.1/?a=b").redirect, "http://0x7f.1/?a=b");
}

static void failing_ends_after_so_many_calls(void **state)
{
    (void)state;
    expect("fail=2", 0, (struct wanted){ 0, BEHAVIOUR_STATUS, 503, -1 });
    expect("fail=2", 1, (struct wanted){ 0, BEHAVIOUR_STATUS, 503, -1 });
    expect("fail=2", 2, (struct wanted){ 0, BEHAVIOUR_REAL, 0, -1 });
    expect("fail=1,status=500,retry-after=0,slow=5", 0,
           (struct wanted){ 5, BEHAVIOUR_STATUS, 500, 0 });
    expect("status=500,fail=1,slow=5,retry-after=0", 1,
           (struct wanted){ 5, BEHAVIOUR_REAL, 0, -1 });
    expect("hang,fail=1", 0, (struct wanted){ 0, BEHAVIOUR_HANG, 0, -1 });
    expect("hang,fail=1", 1, (struct wanted){ 0, BEHAVIOUR_REAL, 0, -1 });
    struct behaviour dripping = parse("fail=1,drip=9");
    assert_int_equal(dripping.way, BEHAVIOUR_REAL);
    assert_int_equal(behaviour_decide(&dripping, 0).drip_ms, 9);
    assert_int_equal(behaviour_decide(&dripping, 1).drip_ms, 0);
}

static void refuse(const char *text, const char *says)
{
    struct behaviour behaviour = { .slow_ms = 12345 };
    struct err err = { 0 };
    assert_int_equal(behaviour_parse(span_of(text), &behaviour, &err), ERR_INVALID_PARAMETER);
    assert_int_equal(behaviour.slow_ms, 12345);
    assert_string_equal(err.field, "simulate");
    if (!strstr(err.text, says))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, err.text, says);
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    refuse("slwo=250", "did you mean \"slow\"?");
    refuse("statsu=503", "did you mean \"status\"?");
    refuse("explode=1", "the words are slow, status, fail, retry-after, hang, ");
    refuse("hang=1", "hang takes no value");
    refuse("hang=", "hang takes no value");
    refuse("drip=0", "from 1 to 60000");
    refuse("oversize", "whole number");
    refuse("redirect", "takes an address");
    refuse("redirect=", "takes an address");
    refuse("redirect=a b", "takes an address");
    refuse("redirect=a\r\nb", "takes an address");
    refuse("hang,reset", "hang and reset exclude each other");
    refuse("status=500,malformed", "status and malformed exclude each other");
    refuse("redirect=/x,status=302,hang", "redirect and hang exclude each other");
    refuse("Slow=1", "slow");
    refuse("slow", "slow takes a whole number from 0 to 600000");
    refuse("slow=", "whole number");
    refuse("slow=-1", "whole number");
    refuse("slow=1s", "whole number");
    refuse("slow=600001", "whole number from 0 to 600000");
    refuse("slow=99999999999999999999", "whole number");
    refuse("status=199", "from 200 to 599");
    refuse("status=600", "from 200 to 599");
    refuse("fail=1=2", "whole number");
    refuse("slow=1,slow=2", "slow is given twice");
    refuse("slow=1,", "unknown word \"\"");
    refuse(",", "unknown word \"\"");
    refuse("slow=1, status=503", "did you mean \"status\"?");
    char text[200];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    refuse(text, "at most 128 bytes");
}

static void the_grammar_tells_itself(void **state)
{
    (void)state;
    const struct json_limits limits = { .depth_max = 8, .tokens_max = 1000 };
    struct buf text = BUF_INIT(4096);
    struct json *json = NULL;
    behaviour_document(&text);
    assert_int_equal(json_parse(buf_span(&text), &limits, &json, NULL), ERR_OK);
    assert_int_equal(json_count(json), 13);
    assert_true(span_is(json_text(json_get(json_at(json, 0), "word")), "slow"));
    json_free(json);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_asked_for_by_nothing),
        cmocka_unit_test(words_do_what_they_say),
        cmocka_unit_test(a_redirect_goes_anywhere),
        cmocka_unit_test(failing_ends_after_so_many_calls),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(the_grammar_tells_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
