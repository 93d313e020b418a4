/* `errand lag`: how far groups are behind, in records and in time. It asks Kafka itself, so it
 * needs no gateway; with --url a gateway, so that it needs no Kafka. What it tells is decided in
 * consumers/lag.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/lag_look.h"

#include "gateway/cli/kafka_look.h"
#include "gateway/cli/lag_print.h"
#include "gateway/cli/lag_url.h"
#include "gateway/cli/output.h"
#include "gateway/cli/verbs.h"
#include "gateway/cli/watch.h"
#include "infra/clock.h"
#include "schemas/mem.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define ASK_TIMEOUT_MS 10000
#define RATES_OVER_MS  1000
#define WATCH_MS       2000
#define WARN_MS        30000
#define CRIT_MS        300000
#define HOME_AND_CLEAR "\033[H\033[J"

struct lag_run {
    const struct args *args;
    struct api *api; /* who is asked instead of Kafka; NULL: nobody */
    struct kafka_look kafka;
    struct lag_question_group *configured, *asked;
    size_t configured_count;
    struct lag_question question;
    struct lag_look *look; /* the newest */
    bool checked;          /* the exit code is a monitor's state */
};

/* --- what to ask --- */

static const struct lag_question_group *find_configured(const struct lag_run *run, const char *name)
{
    for (size_t i = 0; i < run->configured_count; i++) {
        if (strcmp(run->configured[i].name, name) == 0)
            return &run->configured[i];
    }
    return NULL;
}

static bool is_asked(const struct lag_run *run, const char *name)
{
    for (size_t i = 0; i < run->question.count; i++) {
        if (strcmp(run->asked[i].name, name) == 0)
            return true;
    }
    return false;
}

/* The groups given by --group, each once; without any those of the queues. */
static void choose_groups(struct lag_run *run)
{
    const struct args *args = run->args;
    run->asked = mem_zalloc(args->value_count + run->configured_count, sizeof *run->asked);
    for (size_t i = 0; i < args->value_count; i++) {
        const char *name = args->values[i].text;
        if (strcmp(args->values[i].option->name, "group") != 0 || is_asked(run, name))
            continue;
        const struct lag_question_group *known = find_configured(run, name);
        run->asked[run->question.count++] =
            known ? *known : (struct lag_question_group){ .name = name };
    }
    if (run->question.count == 0) {
        for (size_t i = 0; i < run->configured_count; i++)
            run->asked[run->question.count++] = run->configured[i];
    }
    run->question.groups = run->asked;
}

static enum err_code open_admins(struct lag_run *run, struct err *err)
{
    bool others = false;
    for (size_t i = 0; i < run->question.count; i++)
        others = others || !run->asked[i].queue;
    const struct config_kafka *config = &run->kafka.config->kafka;
    /* Of other groups, too, it tells where logs really end. */
    enum err_code code =
        kafka_admin_open_for(config, "errand", KAFKA_READ_FIRST, &run->question.own, err);
    run->question.reader = run->question.own;
    if (others && !code)
        code = kafka_admin_open_for(config, "errand", KAFKA_READ_FIRST_COMMITTED,
                                    &run->question.others, err);
    return code;
}

/* --- looking --- */

/* The next look, judged against the one before, which it replaces. */
static int look_again(struct lag_run *run)
{
    struct err err = { 0 };
    struct lag_look *look = NULL;
    run->question.before = run->look;
    if (run->api) {
        int code = lag_url_look(run->api, run->args, &look);
        if (code != CLI_OK)
            return code;
    } else if (lag_look_sync(&run->question, &look, &err) != ERR_OK) {
        output_error("the lag cannot be told");
        output_why("%s", err.text);
        return CLI_UNREACHABLE;
    }
    lag_look_free(run->look);
    run->look = look;
    return CLI_OK;
}

static void rest(int64_t ms)
{
    int64_t until_ms = clock_monotonic_ms() + ms;
    for (int64_t now_ms = clock_monotonic_ms(); now_ms < until_ms && !watch_is_interrupted();
         now_ms = clock_monotonic_ms())
        (void)poll(NULL, 0, (int)(until_ms - now_ms));
}

/* A group that was asked for by name and is not there. */
static int check_groups(const struct lag_run *run)
{
    for (size_t i = 0; i < run->look->count; i++) {
        const struct lag_group *group = &run->look->groups[i];
        if (group->count || group->members > 0)
            continue;
        output_error("group %s has committed nothing%s%s", group->name,
                     run->question.topic ? " in topic " : "",
                     run->question.topic ? run->question.topic : "");
        output_try("errand groups ls");
        return CLI_NOT_FOUND;
    }
    return CLI_OK;
}

/* --- telling --- */

static enum lag_print_by by_of(const struct args *args)
{
    const char *by = args_text(args, "by");
    if (by && strcmp(by, "group") == 0)
        return LAG_PRINT_GROUP;
    return by && strcmp(by, "partition") == 0 ? LAG_PRINT_PARTITION : LAG_PRINT_TOPIC;
}

static int print(const struct lag_run *run, bool live)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    if (output_is_json(run->args)) {
        lag_json(run->look, &text);
        buf_add_char(&text, '\n');
    } else {
        struct table *table = lag_print_table(run->look, by_of(run->args));
        if (live && isatty(STDOUT_FILENO))
            buf_add_text(&text, HOME_AND_CLEAR);
        table_render(table, output_has_colour(), &text);
        table_free(table);
    }
    int code = output_data(buf_span(&text));
    buf_free(&text);
    if (!live && !output_is_json(run->args) && !lag_print_is_exact(run->look))
        output_note("behind: age of the oldest record without an outcome; \u2265 is at least, - is "
                    "not known");
    return code;
}

static int watch(struct lag_run *run)
{
    int64_t every_ms = args_number(run->args, "watch", WATCH_MS);
    int64_t looks = args_number(run->args, "looks", INT64_MAX);
    int code = CLI_OK;
    watch_interrupts();
    for (int64_t i = 0; i < looks && code == CLI_OK; i++) {
        if (i)
            rest(every_ms);
        if (watch_is_interrupted())
            return CLI_INTERRUPTED;
        code = i ? look_again(run) : CLI_OK;
        if (code == CLI_OK)
            code = print(run, true);
    }
    return code;
}

/* Exits as monitors want it: 0 ok, 1 warning, 2 critical, 3 unknown. */
static int check(struct lag_run *run)
{
    run->checked = true;
    const struct lag_limits limits = { .warn_ms = args_number(run->args, "warn", WARN_MS),
                                       .crit_ms = args_number(run->args, "crit", CRIT_MS) };
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    bool json = output_is_json(run->args);
    enum lag_state state = json ? lag_print_check_json(run->look, &limits, &text)
                                : lag_print_check(run->look, &limits, &text);
    int code =
        json ? output_json("errand.lag.check/1", buf_span(&text)) : output_data(buf_span(&text));
    buf_free(&text);
    return code == CLI_OK ? (int)state : (int)LAG_STATE_UNKNOWN;
}

static int tell(struct lag_run *run)
{
    int code = look_again(run);
    if (code == CLI_OK)
        code = check_groups(run);
    if (code != CLI_OK)
        return code;
    if (args_has(run->args, "check"))
        return check(run);
    if (args_has(run->args, "watch"))
        return watch(run);
    int64_t over_ms = args_number(run->args, "over", RATES_OVER_MS);
    if (over_ms && !run->api) {
        rest(over_ms);
        code = look_again(run);
    }
    return code == CLI_OK ? print(run, false) : code;
}

static int run_lag(struct lag_run *run)
{
    struct err err = { 0 };
    int code = kafka_look_open(run->args, &run->kafka);
    if (code != CLI_OK)
        return code;
    run->configured = lag_groups_of(run->kafka.config, &run->configured_count);
    run->question.topic = args_text(run->args, "topic");
    run->question.members = true;
    run->question.timeout_ms = ASK_TIMEOUT_MS;
    choose_groups(run);
    if (open_admins(run, &err) == ERR_OK) {
        code = tell(run);
    } else {
        output_error("Kafka cannot be asked");
        output_why("%s", err.text);
        code = CLI_FAILED;
    }
    lag_look_free(run->look);
    kafka_admin_close(run->question.own);
    kafka_admin_close(run->question.others);
    lag_groups_free(run->configured, run->configured_count);
    free(run->asked);
    kafka_look_close(&run->kafka);
    return code;
}

static int run_url(struct lag_run *run)
{
    if (args_has(run->args, "topic")) {
        output_error("--topic is not for --url");
        output_why("a gateway tells of all topics of a group");
        return CLI_USAGE;
    }
    run->api = api_open(run->args);
    int code = run->api ? tell(run) : CLI_UNREACHABLE;
    lag_look_free(run->look);
    api_close(run->api);
    return code;
}

int lag_run(const struct args *args)
{
    struct lag_run run = { .args = args };
    int code = args_has(args, "url") ? run_url(&run) : run_lag(&run);
    /* A monitor that was told nothing must not take another code for a state. */
    if (args_has(args, "check") && !run.checked)
        return LAG_STATE_UNKNOWN;
    return code;
}
