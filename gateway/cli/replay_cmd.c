/* `errand replay`: what was asked, the survey, and the dry run.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/replay_cmd.h"

#include "gateway/cli/drill.h"
#include "gateway/cli/output.h"
#include "gateway/cli/stack.h"
#include "gateway/cli/verbs.h"
#include "gateway/cli/watch.h"
#include "infra/clock.h"
#include "infra/config.h"
#include "schemas/digest.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SPEED_MILLI_MAX INT64_C(1000000000)

/* --- what was asked --- */

static char *option_dup(const struct args *args, const char *name)
{
    const char *text = args_text(args, name);
    return mem_dup_text(text ? text : "");
}

/* "2x", "0.5x", "2". */
static bool parse_speed(const char *text, int64_t *ret_milli)
{
    int64_t whole = 0;
    int64_t milli = 0;
    int64_t unit = 1000;
    size_t digits = 0;
    for (; *text >= '0' && *text <= '9'; text++, digits++) {
        whole = whole * 10 + (*text - '0');
        if (whole > SPEED_MILLI_MAX / 1000)
            return false;
    }
    if (digits && *text == '.') {
        for (text++; *text >= '0' && *text <= '9' && unit > 1; text++) {
            unit /= 10;
            milli += (*text - '0') * unit;
        }
    }
    *ret_milli = whole * 1000 + milli;
    return digits && (*text == '\0' || strcmp(text, "x") == 0) && *ret_milli > 0;
}

static int take_pace(struct replay_cmd *cmd)
{
    const char *speed = args_text(cmd->args, "speed");
    cmd->rate_milli = args_number(cmd->args, "rate", 0);
    if (speed && cmd->rate_milli) {
        output_error("--rate and --speed are two paces: give one of them");
        return CLI_USAGE;
    }
    if (speed && !parse_speed(speed, &cmd->speed_milli)) {
        output_error("--speed is '%s'; allowed is a number such as 2x or 0.5x", speed);
        return CLI_USAGE;
    }
    return CLI_OK;
}

/* The whole name, or what follows the namespace. */
static int take_topic(struct replay_cmd *cmd)
{
    const char *namespace_ = cmd->look.config->namespace_;
    const char *given = cmd->args->items[0];
    struct replay_plan *plan = &cmd->plan;
    enum topic_kind kind = TOPIC_KIND_COUNT;
    struct span queue = { 0 };
    struct buf whole = BUF_INIT(TOPIC_NAME_MAX);
    buf_printf(&whole, "%s.%s", namespace_, given);
    const char *name = topic_parse(span_of(given), namespace_, &kind, &queue) ? given : whole.data;
    bool good = topic_parse(span_of(name), namespace_, &kind, &queue) &&
                (kind == TOPIC_COMMANDS || kind == TOPIC_DEAD);
    if (good) {
        plan->topic = mem_dup_text(name);
        plan->queue = mem_dup(queue);
        plan->letters = kind == TOPIC_DEAD;
    } else {
        output_error("%s cannot be replayed", given);
        output_why("what can be replayed are commands and dead letters: %s.commands.QUEUE, "
                   "%s.dead.QUEUE",
                   namespace_, namespace_);
        output_try("errand topics ls");
    }
    buf_free(&whole);
    return good ? CLI_OK : CLI_USAGE;
}

static int take_destination(struct replay_cmd *cmd)
{
    struct replay_plan *plan = &cmd->plan;
    const char *into = args_text(cmd->args, "into");
    char name[DEAD_BATCH_SIZE + 2];
    if (into && strcmp(into, REPLAY_LIVE) == 0) {
        struct buf file = BUF_INIT(DEAD_BATCH_SIZE + 16);
        buf_printf(&file, "replay/%s.json", plan->id);
        plan->into = mem_dup_text(REPLAY_LIVE);
        plan->namespace_ = mem_dup_text(cmd->look.config->namespace_);
        cmd->path = stack_path(cmd->folder, file.data);
        buf_free(&file);
        return CLI_OK;
    }
    if (into && strncmp(into, REPLAY_DRILL, sizeof REPLAY_DRILL - 1) != 0) {
        output_error("--into is '%s'; allowed is drill/NAME or live", into);
        return CLI_USAGE;
    }
    (void)snprintf(name, sizeof name, "r%s", plan->id);
    const char *drill = into ? into + sizeof REPLAY_DRILL - 1 : name;
    if (!drill_name_is_good(drill)) {
        output_error("'%s' is no name of a drill", drill);
        output_why(DRILL_NAME_ALLOWED);
        return CLI_USAGE;
    }
    struct buf whole = BUF_INIT(STACK_PATH_SIZE);
    buf_printf(&whole, REPLAY_DRILL "%s", drill);
    plan->into = buf_take(&whole);
    cmd->drill = plan->into + sizeof REPLAY_DRILL - 1;
    plan->namespace_ = drill_namespace(cmd->look.config, cmd->drill);
    char *folder = drill_folder(cmd->folder, cmd->drill);
    cmd->path = stack_path(folder, "replay.json");
    free(folder);
    return CLI_OK;
}

static int take_id(struct replay_cmd *cmd)
{
    int64_t began_ms = 0;
    uint32_t random = 0;
    const char *given = args_text(cmd->args, "id");
    if (given && !dead_batch_parse(span_of(given), &began_ms)) {
        output_error("'%s' is no replay's id", given);
        return CLI_USAGE;
    }
    if (given)
        (void)snprintf(cmd->plan.id, sizeof cmd->plan.id, "%s", given);
    else if (digest_random(&random, sizeof random))
        dead_batch_name(cmd->began_ms, random, cmd->plan.id);
    return cmd->plan.id[0] ? CLI_OK : CLI_FAILED;
}

static int check_reason(const struct replay_cmd *cmd)
{
    if (cmd->drill || !args_has(cmd->args, "execute") || args_text(cmd->args, "reason") ||
        MUTANT(replay_unexplained))
        return CLI_OK;
    output_error("--reason is needed with --into live --execute");
    output_why("it is kept with what is done, on the audit topic");
    return CLI_USAGE;
}

static int take_place(const struct args *args, const char *name, int64_t now_ms,
                      struct place *ret_place)
{
    const char *text = args_text(args, name);
    if (!text || place_parse_each(span_of(text), now_ms, ret_place))
        return CLI_OK;
    output_error("--%s is '%s'; allowed is " PLACE_EACH_ALLOWED, name, text);
    return CLI_USAGE;
}

static int take_filters(struct replay_cmd *cmd)
{
    struct replay_plan *plan = &cmd->plan;
    struct where *where = NULL;
    struct err err = { 0 };
    plan->from = option_dup(cmd->args, "from");
    plan->to = option_dup(cmd->args, "to");
    plan->type = option_dup(cmd->args, "type");
    plan->key = option_dup(cmd->args, "key");
    plan->where = option_dup(cmd->args, "where");
    plan->limit = args_number(cmd->args, "limit", 0);
    if (*plan->where && where_parse(span_of(plan->where), &where, &err) != ERR_OK) {
        output_error("--where: %s", err.text);
        return CLI_USAGE;
    }
    where_free(where);
    return CLI_OK;
}

/* --- the plan --- */

static bool is_place(const char *kept, const char *given)
{
    return !*given || strcmp(kept, given) == 0;
}

/* Where it begins and ends need not be said again. */
static bool same(const struct replay_plan *a, const struct replay_plan *b)
{
    return is_place(a->from, b->from) && is_place(a->to, b->to) &&
           strcmp(a->topic, b->topic) == 0 && strcmp(a->type, b->type) == 0 &&
           strcmp(a->key, b->key) == 0 && strcmp(a->where, b->where) == 0 && a->limit == b->limit;
}

/* A plan that is there is what is carried on. */
static int take_plan(struct replay_cmd *cmd, struct replay_plan *kept)
{
    if (!same(kept, &cmd->plan) && !MUTANT(replay_other_taken)) {
        output_error("%s is another replay: of %s", cmd->path, kept->topic);
        output_why(
            "topic, --from, --to, --type, --key, --where and --limit must be the same for it "
            "to go on");
        if (cmd->drill)
            output_try("errand drill rm %s, or another name", cmd->drill);
        replay_plan_clear(kept);
        return CLI_REFUSED;
    }
    replay_plan_clear(&cmd->plan);
    cmd->plan = *kept;
    cmd->drill = cmd->drill ? cmd->plan.into + sizeof REPLAY_DRILL - 1 : NULL;
    cmd->resumed = true;
    return CLI_OK;
}

static bool on_progress(void *arg, int64_t read)
{
    (void)arg;
    output_progress("%" PRId64 " records fit so far", read);
    return !watch_is_interrupted();
}

static int survey(struct replay_cmd *cmd)
{
    struct err err = { 0 };
    struct replay_survey survey = { .look = &cmd->look,
                                    .from = { .kind = PLACE_START },
                                    .to = { .kind = PLACE_TIME, .value = cmd->began_ms },
                                    .on_progress = on_progress,
                                    .arg = cmd };
    int code = take_place(cmd->args, "from", cmd->began_ms, &survey.from);
    if (code == CLI_OK)
        code = take_place(cmd->args, "to", cmd->began_ms, &survey.to);
    if (code != CLI_OK)
        return code;
    if (!args_has(cmd->args, "to"))
        survey.to = (struct place){ .kind = PLACE_END };
    static const struct span secret = SPAN_LIT("nothing that is made with it is kept");
    survey.minter = id_minter_new(&secret, 1);
    enum err_code failed = replay_plan_survey(&cmd->plan, &survey, &err);
    output_progress_end();
    id_minter_free(survey.minter);
    if (failed == ERR_CANCELLED)
        return CLI_INTERRUPTED;
    if (failed) {
        output_error("%s cannot be read", cmd->plan.topic);
        output_why("%s", err.text);
    }
    return failed == ERR_NOT_FOUND ? CLI_NOT_FOUND : failed ? CLI_UNREACHABLE : CLI_OK;
}

static int make_plan(struct replay_cmd *cmd)
{
    struct replay_plan kept = { 0 };
    struct err err = { 0 };
    enum err_code code = replay_plan_load(cmd->path, &kept, &err);
    if (code == ERR_OK)
        return take_plan(cmd, &kept);
    if (code == ERR_NOT_FOUND)
        return survey(cmd);
    output_error("the replay's plan cannot be read");
    output_why("%s", err.text);
    return CLI_FAILED;
}

/* --- the verb --- */

static int take_all(struct replay_cmd *cmd)
{
    int code = take_pace(cmd);
    if (code == CLI_OK)
        code = take_id(cmd);
    if (code == CLI_OK)
        code = take_filters(cmd);
    if (code == CLI_OK)
        code = kafka_look_open(cmd->args, &cmd->look);
    if (code == CLI_OK)
        code = take_topic(cmd);
    if (code == CLI_OK)
        code = take_destination(cmd);
    return code == CLI_OK ? check_reason(cmd) : code;
}

static int act(struct replay_cmd *cmd)
{
    struct replay_result result = { 0 };
    int code = make_plan(cmd);
    if (code != CLI_OK)
        return code;
    if (!args_has(cmd->args, "execute") && !MUTANT(replay_unasked))
        return replay_cmd_print(cmd, NULL);
    if (cmd->drill)
        return drill_replay(cmd);
    code = replay_execute(cmd, &result);
    if (code != CLI_OK && result.missing == 0)
        return code; /* it was broken off */
    int printed = replay_cmd_print(cmd, &result);
    return code == CLI_OK ? printed : code;
}

int replay_cmd_run(const struct args *args)
{
    struct replay_cmd *cmd = MEM_NEW(*cmd);
    cmd->args = args;
    cmd->began_ms = clock_wall_ms();
    cmd->folder = stack_folder(args, NULL);
    watch_interrupts();
    int code = take_all(cmd);
    if (code == CLI_OK)
        code = act(cmd);
    if (cmd->look.admin)
        kafka_look_close(&cmd->look);
    replay_plan_clear(&cmd->plan);
    free(cmd->path);
    free(cmd->folder);
    free(cmd);
    return code;
}
