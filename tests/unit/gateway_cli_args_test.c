/* Command lines, right and wrong, and the table of commands itself.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/cli/args.h"
#include "gateway/cli/help.h"
#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 16

static int nothing(const struct args *args)
{
    (void)args;
    return 0;
}

static const struct option_spec options[] = {
    { "verbose", 'v', OPTION_FLAG, NULL, "say more" },
    { "follow", 'f', OPTION_FLAG, NULL, "go on" },
    { "data", 'd', OPTION_TEXT, "JSON", "the payload" },
    { "label", 'l', OPTION_LIST, "N=V", "a label" },
    { "output", 'o', OPTION_CHOICE, "table|json", "the form" },
    { "count", 'n', OPTION_COUNT, "N", "how many" },
    { "wait", 'w', OPTION_OPTIONAL_DURATION, "30s", "wait" },
    { "timeout", 0, OPTION_DURATION, "TIME", "how long" },
    { "rate", 0, OPTION_RATE, "N/s", "how fast" },
    { 0 },
};
static const struct command command = {
    .name = "try",
    .arguments = "A [B]",
    .argument_min = 1,
    .argument_max = 2,
    .summary = "",
    .examples = "",
    .options = options,
    .run = nothing,
};

/* Words in one text, separated by one blank. */
static enum err_code parse(const char *text, struct args *ret_args, struct err *err)
{
    static char copy[512];
    static char *words[WORDS_MAX];
    size_t count = 0;
    assert_true(strlen(text) < sizeof copy);
    memcpy(copy, text, strlen(text) + 1);
    for (char *at = copy; *at; count++) {
        words[count] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = '\0';
    }
    return args_parse(ret_args, &command, count, words, err);
}

static void expect(const char *text, struct args *ret_args)
{
    struct err err = { 0 };
    assert_int_equal(parse(text, ret_args, &err), ERR_OK);
}

static void refuse(const char *text, const char *said, const char *meant)
{
    struct args args = { 0 };
    struct err err = { 0 };
    assert_int_equal(parse(text, &args, &err), ERR_USAGE);
    if (!strstr(err.text, said))
        fail_msg("'%s' is not in: %s", said, err.text);
    assert_string_equal(err.field, meant);
}

static void test_options_and_arguments_stand_in_any_order(void **state)
{
    (void)state;
    struct args args;
    expect("--data={} a -v b --count 3", &args);
    assert_int_equal(args.item_count, 2);
    assert_string_equal(args.items[0], "a");
    assert_string_equal(args.items[1], "b");
    assert_string_equal(args_text(&args, "data"), "{}");
    assert_true(args_has(&args, "verbose"));
    assert_false(args_has(&args, "follow"));
    assert_int_equal(args_number(&args, "count", 7), 3);
    assert_int_equal(args_number(&args, "timeout", 7), 7);
    assert_null(args_text(&args, "output"));
    args_clear(&args);
}

static void test_letters_may_stand_together(void **state)
{
    (void)state;
    struct args args;
    expect("a -vfn5 -ojson", &args);
    assert_true(args_has(&args, "verbose") && args_has(&args, "follow"));
    assert_int_equal(args_number(&args, "count", 0), 5);
    assert_string_equal(args_text(&args, "output"), "json");
    args_clear(&args);
}

static void test_two_dashes_end_the_options_and_one_is_an_argument(void **state)
{
    (void)state;
    struct args args;
    expect("-d - -- --data", &args);
    assert_string_equal(args_text(&args, "data"), "-");
    assert_string_equal(args.items[0], "--data");
    args_clear(&args);
    expect("-", &args);
    assert_string_equal(args.items[0], "-");
    args_clear(&args);
}

static void test_the_last_one_counts_but_lists_keep_all(void **state)
{
    (void)state;
    struct args args;
    size_t labels = 0;
    expect("a -o table -o json -l x=1 -l y=2", &args);
    assert_string_equal(args_text(&args, "output"), "json");
    for (size_t i = 0; i < args.value_count; i++)
        labels += args.values[i].option->kind == OPTION_LIST;
    assert_int_equal(labels, 2);
    args_clear(&args);
}

static void test_an_optional_value_is_attached(void **state)
{
    (void)state;
    struct args args;
    expect("--wait 5s", &args);
    assert_true(args_has(&args, "wait"));
    assert_int_equal(args_number(&args, "wait", 30000), 30000);
    assert_string_equal(args.items[0], "5s");
    args_clear(&args);
    expect("a --wait=5s", &args);
    assert_int_equal(args_number(&args, "wait", 30000), 5000);
    args_clear(&args);
}

static void test_rates_and_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t rate;
    } cases[] = { { "a --rate 200/s", 200000 },
                  { "a --rate 200", 200000 },
                  { "a --rate 90/m", 1500 },
                  { "a --rate 0.5/s", 500 },
                  { "a --rate 36/h", 10 } };
    struct args args;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect(cases[i].text, &args);
        assert_int_equal(args_number(&args, "rate", 0), cases[i].rate);
        args_clear(&args);
    }
    expect("a --timeout 1m30s", &args);
    assert_int_equal(args_number(&args, "timeout", 0), 90000);
    args_clear(&args);
}

static void test_mistakes_are_told_with_what_was_meant(void **state)
{
    (void)state;
    refuse("a --dtaa {}", "no option --dtaa", "data");
    refuse("a --xyzzy", "no option --xyzzy", "");
    refuse("a -x", "no option -x", "");
    refuse("a --data", "--data needs a value: JSON", "");
    refuse("a --verbose=1", "--verbose takes no value", "");
    refuse("a -o yaml", "allowed is table|json", "");
    refuse("a -o tab", "allowed is table|json", "");
    refuse("a --count 0", "a whole number from 1 on", "");
    refuse("a --count 3x", "a whole number from 1 on", "");
    refuse("a --timeout soon", "a duration such as", "");
    refuse("a --wait=soon", "a duration such as", "");
    refuse("a --rate 0", "a rate such as", "");
    refuse("a --rate 5/y", "a rate such as", "");
    refuse("a --rate nan", "a rate such as", "");
    refuse("-v", "needs A [B]", "");
    refuse("a b c", "'c' is too much", "");
}

static void test_help_asks_nothing_else(void **state)
{
    (void)state;
    struct args args;
    expect("--count zero --help", &args);
    assert_true(args.help);
    args_clear(&args);
    expect("a -h", &args);
    assert_true(args.help);
    args_clear(&args);
    expect("-- --help", &args);
    assert_false(args.help);
    args_clear(&args);
}

/* --- the table --- */

static void check_options(const struct command *of)
{
    for (const struct option_spec *a = of->options; a->kind != OPTION_END; a++) {
        assert_non_null(a->help);
        assert_true((a->kind == OPTION_FLAG) == (a->value == NULL));
        assert_string_not_equal(a->name, "help");
        assert_true(a->letter != 'h');
        for (const struct option_spec *b = of->options; b < a; b++) {
            assert_string_not_equal(a->name, b->name);
            assert_true(a->letter == 0 || a->letter != b->letter);
        }
    }
}

/* Whoever prints JSON says which, and its schema is there. */
static void check_json(const struct command *of)
{
    bool prints = false;
    for (const struct option_spec *o = of->options; o->kind != OPTION_END; o++)
        prints = prints || strcmp(o->name, "output") == 0;
    assert_int_equal(prints, of->json != NULL);
    if (!of->json)
        return;
    const char *slash = strchr(of->json, '/');
    char path[128];
    assert_non_null(slash);
    (void)snprintf(path, sizeof path, "docs/json/%.*s-%s.json", (int)(slash - of->json), of->json,
                   slash + 1);
    FILE *file = fopen(path, "re");
    if (!file)
        fail_msg("%s prints %s, and there is no %s", of->name, of->json, path);
    (void)fclose(file);
}

/* The next word as a shell would have it: quotes taken off; NULL at the line's end, a pipe or a
 * redirection. */
static char *next_word(char **at)
{
    char *from = *at + strspn(*at, " ");
    if (*from == '\0' || strchr("|>)", *from))
        return NULL;
    char *to = from, *word = from, quote = '\0';
    for (; *from && (quote || !strchr(" )", *from)); from++) {
        if (*from == quote)
            quote = '\0';
        else if (!quote && (*from == '\'' || *from == '"'))
            quote = *from;
        else
            *to++ = *from;
    }
    *at = from + (*from != '\0');
    *to = '\0';
    return word;
}

/* Each line is a command line of this very command, and right. */
static void check_examples(const struct command *of)
{
    char *text = mem_dup_text(of->examples), *rest = text, *line = NULL;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *words[64];
        size_t count = 0, used = 0;
        char *at = strstr(line, "errand ");
        assert_non_null(at);
        at += strlen("errand ");
        while (count < 64 && (words[count] = next_word(&at)) != NULL)
            count++;
        struct args args = { 0 };
        struct err err = { 0 };
        assert_ptr_equal(command_find(count, words, &used), of);
        if (args_parse(&args, of, count - used, words + used, &err) != ERR_OK)
            fail_msg("an example of %s: %s", of->name, err.text);
        args_clear(&args);
    }
    free(text);
}

static void test_every_command_is_whole(void **state)
{
    (void)state;
    const struct command *known = NULL;
    for (size_t i = 0; (known = command_at(i)) != NULL; i++) {
        assert_non_null(known->run);
        assert_non_null(known->summary);
        assert_true(strlen(known->examples) > 0);
        assert_true(strncmp(known->examples, "errand ", 7) == 0 || strchr(known->examples, '|'));
        assert_true(known->argument_min <= known->argument_max);
        assert_true((known->argument_max == 0) == (known->arguments[0] == '\0'));
        check_options(known);
        check_json(known);
        if (!known->hidden)
            check_examples(known);
        struct buf text = BUF_INIT(65536);
        help_command(known, &text);
        assert_false(text.overflow);
        assert_non_null(strstr(text.data, known->summary));
        assert_true(strstr(text.data, "Examples:") < strstr(text.data, "Usage:"));
        buf_free(&text);
    }
}

static void test_commands_are_found_by_one_word_or_two(void **state)
{
    (void)state;
    char topics[] = "topics", ls[] = "ls", submit[] = "submit", type[] = "a.b";
    char *two[] = { topics, ls }, *one[] = { submit, type }, *half[] = { topics };
    size_t used = 0;
    assert_string_equal(command_find(2, two, &used)->name, "topics ls");
    assert_int_equal(used, 2);
    assert_string_equal(command_find(2, one, &used)->name, "submit");
    assert_int_equal(used, 1);
    assert_null(command_find(1, half, &used));
    assert_null(command_find(0, NULL, &used));
}

static void test_a_slip_finds_the_nearest_command(void **state)
{
    (void)state;
    char submt[] = "submt", topics[] = "topics", aply[] = "aply", none[] = "qqqqqq";
    char hidden[] = "supervis";
    char *one[] = { submt }, *two[] = { topics, aply }, *no[] = { none }, *secret[] = { hidden };
    assert_string_equal(command_nearest(1, one), "submit");
    assert_string_equal(command_nearest(2, two), "topics apply");
    assert_null(command_nearest(1, no));
    assert_null(command_nearest(1, secret));
}

static void test_the_overview_names_all_but_the_hidden(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(65536);
    const struct command *known = NULL;
    help_overview(&text);
    for (size_t i = 0; (known = command_at(i)) != NULL; i++)
        assert_int_equal(strstr(text.data, known->summary) == NULL, known->hidden);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_and_arguments_stand_in_any_order),
        cmocka_unit_test(test_letters_may_stand_together),
        cmocka_unit_test(test_two_dashes_end_the_options_and_one_is_an_argument),
        cmocka_unit_test(test_the_last_one_counts_but_lists_keep_all),
        cmocka_unit_test(test_an_optional_value_is_attached),
        cmocka_unit_test(test_rates_and_durations),
        cmocka_unit_test(test_mistakes_are_told_with_what_was_meant),
        cmocka_unit_test(test_help_asks_nothing_else),
        cmocka_unit_test(test_every_command_is_whole),
        cmocka_unit_test(test_commands_are_found_by_one_word_or_two),
        cmocka_unit_test(test_a_slip_finds_the_nearest_command),
        cmocka_unit_test(test_the_overview_names_all_but_the_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
