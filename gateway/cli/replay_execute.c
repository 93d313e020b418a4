/* Carrying a replay out: what is not there yet is sent, then it is looked whether all of it has
 * arrived. Into live it is told to the audit topic before and after.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/audit.h"
#include "gateway/cli/dead.h"
#include "gateway/cli/drill.h"
#include "gateway/cli/output.h"
#include "gateway/cli/replay_cmd.h"
#include "gateway/cli/stack.h"
#include "gateway/cli/watch.h"
#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BAR_WIDTH      30
#define WHAT_BYTES_MAX ((size_t)256 * 1024)

static int complain(const char *what, enum err_code code, const struct err *err)
{
    output_error("%s", what);
    output_why("%s", err->text);
    return code == ERR_IO || code == ERR_INVALID_FIELD ? CLI_FAILED : CLI_UNREACHABLE;
}

/* --- progress --- */

static bool on_progress(void *arg, const struct replay_report *report)
{
    const struct replay_cmd *cmd = arg;
    static const char full[BAR_WIDTH + 1] = "##############################";
    static const char empty[BAR_WIDTH + 1] = "..............................";
    int64_t all = replay_plan_jobs(&cmd->plan);
    int64_t done = report->before + report->acknowledged;
    int length = all > 0 ? (int)(done * BAR_WIDTH / all) : BAR_WIDTH;
    int64_t rate = report->elapsed_us ? report->acknowledged * 1000000 / report->elapsed_us : 0;
    if (length > BAR_WIDTH)
        length = BAR_WIDTH;
    output_progress("[%.*s%.*s] %" PRId64 " of %" PRId64 ", %" PRId64 "/s", length, full,
                    BAR_WIDTH - length, empty, done, all, rate);
    return !watch_is_interrupted();
}

/* --- sending --- */

static int minter_of(const struct replay_cmd *cmd, struct id_minter **ret_minter)
{
    const struct config_strings *secrets = &cmd->look.config->id_secrets;
    if (cmd->drill)
        return drill_minter(cmd->folder, cmd->drill, ret_minter);
    if (secrets->count == 0) {
        output_error("no ids can be made: the configuration has no secrets.id");
        return CLI_USAGE;
    }
    struct span *spans = mem_zalloc(secrets->count, sizeof *spans);
    for (size_t i = 0; i < secrets->count; i++)
        spans[i] = span_of(secrets->items[i]);
    *ret_minter = id_minter_new(spans, secrets->count);
    free(spans);
    return CLI_OK;
}

static enum err_code look_what_arrived(const struct replay_cmd *cmd, struct replay_seen **ret_seen,
                                       struct err *err)
{
    const struct replay_plan *plan = &cmd->plan;
    struct replay_seen *seen = replay_seen_new(plan->ranges, plan->range_count);
    const struct replay_arrivals arrivals = { plan->id, plan->topic, plan->places,
                                              plan->place_count };
    enum err_code code = replay_seen_read(seen, cmd->look.admin, &arrivals, err);
    if (code)
        replay_seen_free(seen);
    else
        *ret_seen = seen;
    return code;
}

static enum err_code send(struct replay_cmd *cmd, struct id_minter *minter,
                          const struct replay_seen *seen, struct replay_report *ret_report,
                          struct err *err)
{
    const struct replay_plan *plan = &cmd->plan;
    const char *reason = args_text(cmd->args, "reason");
    char who[DEAD_WHO_SIZE];
    struct replay_resolved resolved = { 0 };
    struct replay_source source;
    struct where *where = NULL;
    dead_who(cmd->args, who);
    const struct redrive_options redrive = { .config = cmd->look.config,
                                             .minter = minter,
                                             .batch = span_of(plan->id),
                                             .number_max = INT64_MAX };
    struct replay_options options = { .source = &source,
                                      .redrive = &redrive,
                                      .namespace_ = plan->namespace_,
                                      .seen = seen,
                                      .queue = span_of(plan->queue),
                                      .who = span_of(who),
                                      .why = span_of(reason ? reason : ""),
                                      .rate_milli = cmd->rate_milli,
                                      .speed_milli = cmd->speed_milli,
                                      .on_progress = on_progress,
                                      .arg = cmd };
    enum err_code code = replay_plan_source(plan, cmd->look.admin, &source, &where, err);
    if (!code && replay_plan_resolves(plan))
        code = replay_resolved_read(&resolved, cmd->look.admin, &source, plan->id, err);
    source.resolved = resolved.others;
    options.resolved = resolved.ours;
    if (!code)
        code = replay_run(&options, ret_report, err);
    output_progress_end();
    replay_resolved_clear(&resolved);
    where_free(where);
    return code;
}

static int send_all(struct replay_cmd *cmd, struct replay_result *result)
{
    struct err err = { 0 };
    struct id_minter *minter = NULL;
    struct replay_seen *seen = NULL;
    int code = minter_of(cmd, &minter);
    if (code != CLI_OK)
        return code;
    enum err_code failed = cmd->resumed ? look_what_arrived(cmd, &seen, &err) : ERR_OK;
    if (!failed)
        failed = send(cmd, minter, seen, &result->report, &err);
    id_minter_free(minter);
    replay_seen_free(seen);
    if (!failed)
        return CLI_OK;
    if (failed == ERR_CANCELLED)
        output_note("stopped; the same command goes on");
    else
        code = complain("the replay was broken off; the same command goes on", failed, &err);
    return failed == ERR_CANCELLED ? CLI_INTERRUPTED : code;
}

/* Whether all of it lies there, as Kafka itself tells. */
static int check(const struct replay_cmd *cmd, struct replay_result *result)
{
    struct err err = { 0 };
    struct replay_seen *seen = NULL;
    enum err_code code = look_what_arrived(cmd, &seen, &err);
    if (code)
        return complain("it cannot be looked what has arrived", code, &err);
    result->arrived = replay_seen_count(seen);
    result->repeats = replay_seen_repeats(seen);
    if (MUTANT(replay_repeats_uncounted))
        result->repeats = 0;
    /* A letter that somebody else has resolved since the plan was made is not done once more. */
    result->missing = replay_plan_jobs(&cmd->plan) - result->arrived -
                      (result->report.passed - cmd->plan.resolved);
    replay_seen_free(seen);
    if (result->missing < 0) /* a type that was refused then is configured now */
        result->missing = 0;
    if (result->missing == 0 || MUTANT(replay_missing_untold))
        return CLI_OK;
    output_error("%" PRId64 " records have not arrived", result->missing);
    output_why("what the plan counted is not there any more, or cannot be made a job any more; the "
               "same command sends what is there and has not arrived");
    return CLI_FAILED;
}

/* --- the audit --- */

static bool tell(const struct replay_cmd *cmd, const char *phase,
                 const struct replay_result *result)
{
    const struct audit_action action = { "replay", cmd->began_ms, args_text(cmd->args, "reason") };
    struct buf what = BUF_INIT(WHAT_BYTES_MAX);
    struct buf counts = BUF_INIT(256);
    if (cmd->drill || MUTANT(replay_untold))
        return true;
    buf_add_char(&what, '{');
    replay_plan_json(&cmd->plan, &what);
    buf_add_char(&what, '}');
    buf_printf(&counts, "{\"jobs\":%" PRId64, replay_plan_jobs(&cmd->plan));
    if (result)
        buf_printf(&counts,
                   ",\"sent\":%" PRId64 ",\"arrived\":%" PRId64 ",\"repeats\":%" PRId64
                   ",\"missing\":%" PRId64,
                   result->report.sent, result->arrived, result->repeats, result->missing);
    if (result && replay_plan_resolves(&cmd->plan))
        buf_printf(&counts, ",\"letters_resolved\":%" PRId64, result->report.resolved);
    buf_add_char(&counts, '}');
    bool told =
        audit_write(cmd->args, &cmd->look, &action, phase, buf_span(&what), buf_span(&counts));
    buf_free(&what);
    buf_free(&counts);
    return told;
}

/* --- all of it --- */

static int keep_plan(struct replay_cmd *cmd)
{
    struct err err = { 0 };
    char *folder = stack_path(cmd->folder, "replay");
    enum err_code code = replay_plan_mark(&cmd->plan, cmd->look.admin, &err);
    if (!code && !cmd->drill)
        code = stack_create(cmd->folder, &err);
    if (!code && !cmd->drill)
        code = stack_create(folder, &err);
    if (!code)
        code = replay_plan_save(&cmd->plan, cmd->path, &err);
    free(folder);
    return code ? complain("the replay's plan cannot be kept", code, &err) : CLI_OK;
}

int replay_execute(struct replay_cmd *cmd, struct replay_result *ret_result)
{
    struct replay_result result = { 0 };
    int code = cmd->resumed ? CLI_OK : keep_plan(cmd);
    if (code != CLI_OK)
        return code;
    if (!cmd->drill)
        output_note("replay %s: if this is broken off, the same with --id %s goes on", cmd->plan.id,
                    cmd->plan.id);
    if (!tell(cmd, "begun", NULL))
        return CLI_UNREACHABLE;
    code = send_all(cmd, &result);
    if (code == CLI_OK)
        code = check(cmd, &result);
    bool done = code == CLI_OK || result.missing > 0; /* else it was broken off, and goes on */
    if (done && !tell(cmd, "done", &result) && code == CLI_OK)
        code = CLI_UNREACHABLE;
    *ret_result = result;
    return code;
}
