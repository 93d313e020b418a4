/* See verify_judge.h and verify_judge_internal.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_judge_internal.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const kinds[VERIFY_KIND_COUNT] = {
    [VERIFY_LOST] = "lost",           [VERIFY_COMMIT] = "commit",
    [VERIFY_GHOST] = "ghost",         [VERIFY_DOUBLED] = "doubled",
    [VERIFY_FLIPPED] = "flipped",     [VERIFY_WENT_BACK] = "went_back",
    [VERIFY_UNFOUNDED] = "unfounded", [VERIFY_ABSENT] = "absent",
    [VERIFY_EARLY] = "early",         [VERIFY_LATE] = "late",
    [VERIFY_ORDER] = "order",         [VERIFY_REPEATED] = "repeated",
    [VERIFY_UNCALLED] = "uncalled",   [VERIFY_UNBURIED] = "unburied",
    [VERIFY_VIEW] = "view",
};

const char *verify_kind_text(enum verify_kind kind)
{
    return kinds[kind];
}

struct verify_judge *verify_judge_new(const struct verify_options *options)
{
    struct verify_judge *judge = MEM_NEW(*judge);
    judge->options = *options;
    judge->jobs = verify_jobs_new(options->bytes_max);
    judge->findings = mem_zalloc(VERIFY_FINDINGS_MAX, sizeof *judge->findings);
    judge->topics = mem_zalloc(VERIFY_TOPICS_MAX, sizeof *judge->topics);
    judge->begins = mem_zalloc(VERIFY_FAULTS_MAX, sizeof *judge->begins);
    judge->ends = mem_zalloc(VERIFY_FAULTS_MAX, sizeof *judge->ends);
    return judge;
}

void verify_judge_free(struct verify_judge *judge)
{
    if (!judge)
        return;
    for (uint16_t i = 0; i < judge->topic_count; i++)
        free(judge->topics[i]);
    verify_jobs_free(judge->jobs);
    free(judge->topics);
    free(judge->findings);
    free(judge->begins);
    free(judge->ends);
    free(judge);
}

void verify_enter(struct verify_judge *judge, enum verify_phase phase)
{
    assert(judge->phase <= phase);
    judge->phase = phase;
}

uint16_t verify_u16(uint64_t value)
{
    return value > UINT16_MAX ? UINT16_MAX : (uint16_t)value;
}

/* --- topics --- */

uint16_t verify_judge_topic(struct verify_judge *judge, const char *name)
{
    for (uint16_t i = 0; i < judge->topic_count; i++) {
        if (strcmp(judge->topics[i], name) == 0)
            return i;
    }
    if (judge->topic_count == VERIFY_TOPICS_MAX)
        return VERIFY_TOPICS_MAX - 1;
    judge->topics[judge->topic_count] = mem_dup_text(name);
    return judge->topic_count++;
}

const char *verify_judge_topic_name(const struct verify_judge *judge, uint16_t topic)
{
    return topic < judge->topic_count ? judge->topics[topic] : "";
}

void verify_judge_set_partial(struct verify_judge *judge)
{
    judge->options.partial = true;
}

void verify_judge_forget_calls(struct verify_judge *judge)
{
    judge->options.ledger = false;
}

/* --- findings --- */

bool verify_has(const struct verify_job *job, enum verify_kind kind)
{
    return job->found & 1U << kind;
}

/* A mutant for each kind of finding. */
static bool is_passed_over(enum verify_kind kind)
{
    return (kind == VERIFY_LOST && MUTANT(verdict_lost_unseen)) ||
           (kind == VERIFY_COMMIT && MUTANT(verdict_commit_unseen)) ||
           (kind == VERIFY_GHOST && MUTANT(verdict_ghost_unseen)) ||
           (kind == VERIFY_DOUBLED && MUTANT(verdict_doubled_unseen)) ||
           (kind == VERIFY_FLIPPED && MUTANT(verdict_flipped_unseen)) ||
           (kind == VERIFY_WENT_BACK && MUTANT(verdict_went_back_unseen)) ||
           (kind == VERIFY_UNFOUNDED && MUTANT(verdict_unfounded_unseen)) ||
           (kind == VERIFY_ABSENT && MUTANT(verdict_absent_unseen)) ||
           (kind == VERIFY_EARLY && MUTANT(verdict_early_unseen)) ||
           (kind == VERIFY_LATE && MUTANT(verdict_late_unseen)) ||
           (kind == VERIFY_ORDER && MUTANT(verdict_order_unseen)) ||
           (kind == VERIFY_REPEATED && MUTANT(verdict_repeated_unseen)) ||
           (kind == VERIFY_UNCALLED && MUTANT(verdict_uncalled_unseen)) ||
           (kind == VERIFY_UNBURIED && MUTANT(verdict_unburied_unseen)) ||
           (kind == VERIFY_VIEW && MUTANT(verdict_view_unseen));
}

void verify_find(struct verify_judge *judge, struct verify_job *job, enum verify_kind kind,
                 struct verify_where where, const char *format, ...)
{
    if (verify_has(job, kind) || is_passed_over(kind))
        return;
    job->found = (uint16_t)(job->found | 1U << kind);
    judge->counts.by_kind[kind]++;
    judge->counts.findings++;
    if (judge->finding_count == VERIFY_FINDINGS_MAX)
        return;
    struct verify_finding *finding = &judge->findings[judge->finding_count++];
    *finding = (struct verify_finding){ .kind = kind, .line = where.line };
    verify_jobs_identity(job, &finding->job);
    if (where.place) {
        finding->has_place = true;
        finding->place = *where.place;
    }
    va_list list;
    va_start(list, format);
    (void)vsnprintf(finding->text, sizeof finding->text, format, list);
    va_end(list);
}

void verify_judge_view(struct verify_judge *judge, const struct id *id,
                       const struct verify_place *place, const char *text)
{
    struct verify_job *job = verify_jobs_find(judge->jobs, id, NULL);
    if (job)
        verify_find(judge, job, VERIFY_VIEW, (struct verify_where){ .place = place }, "%s", text);
}

const struct verify_counts *verify_judge_counts(const struct verify_judge *judge)
{
    return &judge->counts;
}

const struct verify_finding *verify_judge_finding(const struct verify_judge *judge, size_t i)
{
    return i < judge->finding_count ? &judge->findings[i] : NULL;
}

/* --- legs --- */

struct verify_leg *verify_leg_of_due(struct verify_judge *judge, struct verify_job *job,
                                     const struct verify_leg *like)
{
    uint32_t last = 0;
    for (uint32_t i = job->legs; i; i = verify_jobs_leg(judge->jobs, i)->next) {
        struct verify_leg *leg = verify_jobs_leg(judge->jobs, i);
        if (leg->attempt == like->attempt && leg->due_ms == like->due_ms) {
            if (like->turn < leg->turn)
                leg->turn = like->turn;
            return leg;
        }
        last = i;
    }
    uint32_t made = verify_jobs_leg_new(judge->jobs);
    if (!made)
        return NULL;
    struct verify_leg *leg = verify_jobs_leg(judge->jobs, made);
    *leg = *like;
    leg->next = 0;
    if (last)
        verify_jobs_leg(judge->jobs, last)->next = made;
    else
        job->legs = made;
    return leg;
}

struct verify_leg *verify_leg_of_attempt(const struct verify_judge *judge,
                                         const struct verify_job *job, uint32_t attempt)
{
    for (uint32_t i = job->legs; i; i = verify_jobs_leg(judge->jobs, i)->next) {
        struct verify_leg *leg = verify_jobs_leg(judge->jobs, i);
        if (leg->attempt == attempt)
            return leg;
    }
    return NULL;
}
