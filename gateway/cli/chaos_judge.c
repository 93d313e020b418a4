/* Whether a run kept the promises: what the checker found, what clients counted, and what the plan
 * asks for. See chaos_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/chaos_internal.h"
#include "schemas/mutant.h"

#include <inttypes.h>
#include <stdarg.h>

static void blame(struct chaos_result *result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void blame(struct chaos_result *result, const char *format, ...)
{
    va_list arguments;
    result->kept = false;
    if (result->reason_count == CHAOS_REASONS_MAX)
        return;
    va_start(arguments, format);
    (void)vsnprintf(result->reasons[result->reason_count++], CHAOS_REASON_SIZE, format, arguments);
    va_end(arguments);
}

static int64_t number(const struct json *object, const char *name)
{
    int64_t value = 0;
    (void)json_integer_of(json_get(object, name), &value);
    return value;
}

/* --- what the checker found --- */

/* What becomes a figure of its own is told by that. */
static void blame_kind(void *arg, struct span name, const struct json *value)
{
    struct chaos_result *result = arg;
    int64_t count = 0;
    static const char *const told[] = { "lost", "commit", "doubled", "repeated" };
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        if (span_is(name, told[i]))
            return;
    }
    if (json_integer_of(value, &count) && count && !MUTANT(chaos_findings_pass))
        blame(result, "%" PRId64 " jobs with the finding '%.*s'", count, SPAN_ARG(name));
}

static void judge_checked(struct chaos_result *result)
{
    const struct json *checked = result->checked;
    const struct json *counts = json_get(checked, "counts");
    if (!counts) {
        blame(result, "there is no verdict of the checker");
        return;
    }
    result->lost = number(counts, "lost") + number(counts, "commit");
    result->doubled = number(counts, "doubled");
    result->calls = number(checked, "calls_judged");
    result->repeats = number(checked, "repeats");
    result->repeats_bound = number(checked, "repeats_bound");
    if (result->lost && !MUTANT(chaos_lost_passes))
        blame(result, "%" PRId64 " jobs were lost", result->lost);
    if (result->doubled && !MUTANT(chaos_doubled_passes))
        blame(result, "%" PRId64 " jobs ended twice", result->doubled);
    if ((number(counts, "repeated") || result->repeats > result->repeats_bound) &&
        !MUTANT(chaos_repeats_pass))
        blame(result, "calls were repeated beyond what the faults excuse: %" PRId64 " attempts",
              number(counts, "repeated"));
    json_each(counts, blame_kind, result);
    const struct json *not_judged = json_get(checked, "not_judged");
    for (size_t i = 0; i < json_count(not_judged) && !MUTANT(chaos_unjudged_passes); i++)
        blame(result, "not judged: %.*s", SPAN_ARG(json_text(json_at(not_judged, i))));
}

/* What clients counted must be what the checker counted, and every accepted job is somewhere. */
static void judge_counts(struct chaos_result *result)
{
    const struct chaos_counts *counts = &result->counts;
    int64_t accepted = number(result->checked, "accepted");
    if (MUTANT(chaos_counts_unchecked))
        return;
    if (result->checked && accepted != (int64_t)counts->accepted)
        blame(result, "clients were told of %" PRIu64 " accepted jobs, the checker of %" PRId64,
              counts->accepted, accepted);
    if (result->checked && (int64_t)counts->accepted > (int64_t)counts->ended + result->lost)
        blame(result,
              "of %" PRIu64 " accepted jobs %" PRIu64 " were seen ended and %" PRId64 " are lost",
              counts->accepted, counts->ended, result->lost);
    if (counts->wrong)
        blame(result, "%" PRIu64 " jobs ended otherwise than they had to", counts->wrong);
    if (counts->accepted == 0)
        blame(result, "nothing was accepted");
    if (result->unsubmitted && !result->interrupted)
        blame(result, "no job of type %.100s was submitted", result->unsubmitted);
}

/* --- what the plan asks for --- */

static void judge_plan(struct chaos_result *result)
{
    const struct drill_plan *plan = result->plan;
    const struct chaos_counts *counts = &result->counts;
    const int64_t measured[DRILL_LEVEL_COUNT] = {
        [DRILL_ACCEPT_P99] = result->accept.p99,
        [DRILL_END_P99] = result->end.p99,
        [DRILL_RECOVER_P99] = result->recover.p99,
        [DRILL_SILENCE] = result->silence_ms,
    };
    for (size_t i = 0; i < DRILL_LEVEL_COUNT; i++) {
        result->measured[i] = measured[i];
        if (plan->levels[i] && measured[i] > plan->levels[i] && !MUTANT(chaos_levels_pass))
            blame(result, "%s is %" PRId64 " ms, at most %" PRId64 " ms are allowed",
                  drill_level_text((enum drill_level)i), measured[i], plan->levels[i]);
    }
    if (plan->levels[DRILL_RECOVER_P99] && result->fault_count && !result->recover.count &&
        !MUTANT(chaos_unfelt_passes))
        blame(result, "how long faults were felt is not known: no job is plain, without key and "
                      "'simulate'");
    if ((int64_t)result->fault_count < plan->faults_min && !result->interrupted)
        blame(result, "only %zu faults were made, at least %" PRId64 " were to be",
              result->fault_count, plan->faults_min);
    if (result->failure && !MUTANT(chaos_failure_passes))
        blame(result, "%.180s", result->failure);
    uint64_t not_taken = counts->refused + counts->unanswered;
    if (plan->refused_percent >= 0 &&
        not_taken * 100 > (uint64_t)plan->refused_percent * counts->submitted &&
        !MUTANT(chaos_refused_passes))
        blame(result,
              "%" PRIu64 " of %" PRIu64 " submissions were not accepted, at most %" PRId64
              " %% may be",
              not_taken, counts->submitted, plan->refused_percent);
}

void chaos_judge(struct chaos_result *result)
{
    result->kept = true;
    judge_checked(result);
    judge_counts(result);
    judge_plan(result);
}
