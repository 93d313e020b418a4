/* `errand chaos`: one fault, again and again, from the command line. See chaos_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/chaos_internal.h"
#include "gateway/cli/output.h"
#include "gateway/cli/verbs.h"

#define HOLD_SHARE 2 /* a third party is broken for one part of so many of the time */

/* Only what lasts has the option. */
static int64_t hold_of(const struct args *args, enum drill_act act, int64_t every_ms)
{
    if (act == DRILL_STOP)
        return args_number(args, "hold", DRILL_HOLD_MS);
    return act == DRILL_THIRD_PARTY ? args_number(args, "hold", every_ms / HOLD_SHARE) : 0;
}

static int run(const struct args *args, enum drill_act act)
{
    struct drill_plan plan;
    const char *what = args->item_count ? args->items[0] : "redis";
    const char *allowed = NULL;
    char name[CHAOS_NAME_SIZE];
    int64_t every_ms = args_number(args, "every", DRILL_EVERY_MS);
    if (!drill_what_is_known(act, span_of(what), &allowed)) {
        output_error("'%s' is not what can be broken so", what);
        output_why("it is %s", allowed);
        return CLI_USAGE;
    }
    (void)snprintf(name, sizeof name, "chaos %s %.60s", drill_act_text(act), what);
    drill_plan_init(&plan, name);
    plan.duration_ms = args_number(args, "for", DRILL_DURATION_MS);
    plan.rate = args_number(args, "load", DRILL_RATE_DEFAULT);
    if (act == DRILL_RESTART && strncmp(what, "gateway", strlen("gateway")) == 0)
        plan.client =
            DRILL_CAREFUL; /* who is not may find a connection closed under a submission */
    const struct drill_fault fault = {
        .act = act,
        .what = (char[CHAOS_NAME_SIZE]){ 0 },
        .at_ms = every_ms < plan.duration_ms ? every_ms : plan.duration_ms / 2,
        .every_ms = every_ms,
        .hold_ms = hold_of(args, act, every_ms),
        .count = 1,
    };
    (void)snprintf(fault.what, CHAOS_NAME_SIZE, "%s", what);
    drill_plan_add_fault(&plan, &fault);
    int code = chaos_run(args, &plan);
    drill_plan_clear(&plan);
    return code;
}

int chaos_kill_run(const struct args *args)
{
    return run(args, DRILL_KILL);
}

int chaos_stop_run(const struct args *args)
{
    return run(args, DRILL_STOP);
}

int chaos_restart_run(const struct args *args)
{
    return run(args, DRILL_RESTART);
}

int chaos_third_party_run(const struct args *args)
{
    return run(args, DRILL_THIRD_PARTY);
}

int chaos_flush_redis_run(const struct args *args)
{
    return run(args, DRILL_FLUSH_REDIS);
}
