/* The history: what was submitted, accepted, and told by reads; what went back or flipped is found
 * here, the rest when the log is known. See verify_judge.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_judge_internal.h"
#include "schemas/mutant.h"
#include "schemas/process_name.h"

#include <inttypes.h>

static enum err_code full(struct err *err)
{
    return err_set(err, ERR_LIMIT, "the history has more jobs and reads than the judge's memory");
}

/* --- reads --- */

/* 0: not begun, which every answer may follow. */
static int64_t rank_of(const struct history_line *line)
{
    if (job_state_is_terminal(line->state))
        return VERIFY_RANK_ENDED;
    if (line->state == JOB_QUEUED || line->state == JOB_SCHEDULED)
        return 0;
    return line->version < 0 ? 1 : line->version + 1;
}

/* The steps are in a list from the highest rank down. The one that counts for a read is the highest
 * whose answer had come before the read began. */
static void check_not_back(struct verify_judge *judge, struct verify_job *job,
                           const struct history_line *line, uint32_t number)
{
    int64_t rank = rank_of(line);
    for (uint32_t i = job->steps; i; i = verify_jobs_step(judge->jobs, i)->next) {
        const struct verify_step *step = verify_jobs_step(judge->jobs, i);
        if (step->end_ms >= line->begin_ms)
            continue;
        if (step->rank > rank)
            verify_find(judge, job, VERIFY_WENT_BACK, (struct verify_where){ .line = number },
                        "%s after line %u had told %s", job_state_text(line->state),
                        (unsigned)step->line, job_state_text((enum job_state)step->state));
        return;
    }
}

/* False when full. */
static bool keep_step(struct verify_judge *judge, struct verify_job *job,
                      const struct history_line *line, uint32_t number)
{
    int64_t rank = rank_of(line);
    uint32_t above = 0;
    uint32_t at = job->steps;
    if (rank == 0)
        return true;
    while (at && verify_jobs_step(judge->jobs, at)->rank > rank) {
        above = at;
        at = verify_jobs_step(judge->jobs, at)->next;
    }
    struct verify_step *same = at ? verify_jobs_step(judge->jobs, at) : NULL;
    if (same && same->rank == rank) {
        if (rank != VERIFY_RANK_ENDED && line->version >= 0 && same->state != line->state)
            verify_find(judge, job, VERIFY_FLIPPED, (struct verify_where){ .line = number },
                        "%s at version %" PRId64 ", which line %u told as %s",
                        job_state_text(line->state), line->version, (unsigned)same->line,
                        job_state_text((enum job_state)same->state));
        return true; /* told before, and lines do not go back in time */
    }
    uint32_t made = verify_jobs_step_new(judge->jobs);
    if (!made)
        return false;
    *verify_jobs_step(judge->jobs, made) = (struct verify_step){
        .rank = rank,
        .end_ms = line->end_ms,
        .next = at,
        .line = number & (VERIFY_LINES_MAX - 1),
        .state = (unsigned)line->state & 15,
    };
    if (above)
        verify_jobs_step(judge->jobs, above)->next = made;
    else
        job->steps = made;
    return true;
}

static void check_terminal(struct verify_judge *judge, struct verify_job *job,
                           const struct history_line *line, uint32_t number)
{
    if (!job->read_line) {
        job->read_line = number;
        job->read_state = (uint8_t)line->state;
        job->read_version = line->version;
        job->read_digest = line->digest;
        return;
    }
    const char *what = NULL;
    if (job->read_state != line->state)
        what = "state";
    else if (line->version >= 0 && job->read_version >= 0 && job->read_version != line->version)
        what = "version";
    else if (line->digest && job->read_digest && job->read_digest != line->digest)
        what = "bytes";
    if (what)
        verify_find(judge, job, VERIFY_FLIPPED, (struct verify_where){ .line = number },
                    "%s at version %" PRId64 ": another %s than line %u told (%s at %" PRId64 ")",
                    job_state_text(line->state), line->version, what, job->read_line,
                    job_state_text((enum job_state)job->read_state), job->read_version);
    if (job->read_version < 0)
        job->read_version = line->version;
    if (!job->read_digest)
        job->read_digest = line->digest;
}

static void know(struct verify_job *job, const struct history_line *line, uint16_t flag,
                 uint32_t number)
{
    job->flags |= flag;
    if (!job->line)
        job->line = number;
    if ((flag & (VERIFY_ACCEPTED | VERIFY_SEEN)) && !job->told_ms)
        job->told_ms = line->end_ms;
}

static enum err_code read_told(struct verify_judge *judge, const struct history_line *line,
                               uint32_t number, struct err *err)
{
    bool told = line->status >= 200 && line->status < 300 && line->has_state;
    bool absent = line->status == 404 || line->status == 410;
    if (!told && !absent)
        return ERR_OK;
    struct verify_job *job = verify_jobs_take(judge->jobs, &line->id, NULL);
    if (!job)
        return full(err);
    if (absent) {
        if (job->told_ms && job->told_ms < line->begin_ms && !job->absent_line) {
            job->absent_line = number;
            job->absent_ms = line->end_ms;
        }
        return ERR_OK;
    }
    know(job, line, VERIFY_SEEN, number);
    check_not_back(judge, job, line, number);
    if (job_state_is_terminal(line->state))
        check_terminal(judge, job, line, number);
    return keep_step(judge, job, line, number) ? ERR_OK : full(err);
}

/* --- submissions --- */

static uint64_t hash_of(struct span request)
{
    return history_digest(request);
}

static enum err_code submit_told(struct verify_judge *judge, const struct history_line *line,
                                 uint32_t number, struct err *err)
{
    uint64_t hash = hash_of(line->request);
    judge->counts.submissions++;
    if (verify_jobs_submission(judge->jobs, hash))
        return err_field(err, ERR_INVALID_FIELD, "request",
                         "another submission has this request id: each needs its own");
    struct verify_submission *submission = verify_jobs_submission_new(judge->jobs, hash);
    if (!submission)
        return full(err);
    submission->line = number;
    submission->flags = VERIFY_POSSIBLE;
    return ERR_OK;
}

/* What an answer says of whether the job was accepted (docs/PROTOCOL.md, P-2 and P-3). */
static uint16_t meaning_of(const struct history_line *line)
{
    if (line->status >= 200 && line->status < 300)
        return VERIFY_ACCEPTED;
    if (line->status >= 400 && line->status < 500)
        return VERIFY_REFUSED;
    bool refused = line->status == 503 && line->code.size &&
                   !span_is(line->code, err_code_text(ERR_OUTCOME_UNKNOWN));
    return refused ? VERIFY_REFUSED : VERIFY_POSSIBLE;
}

static enum err_code submitted_told(struct verify_judge *judge, const struct history_line *line,
                                    uint32_t number, struct err *err)
{
    struct verify_submission *submission =
        verify_jobs_submission(judge->jobs, hash_of(line->request));
    uint16_t meaning = meaning_of(line);
    if (!submission)
        return err_field(err, ERR_INVALID_FIELD, "request", "no line before it submits this");
    if (meaning == VERIFY_ACCEPTED && !line->has_id)
        return err_field(err, ERR_MISSING_FIELD, "id", "an accepted job has an id");
    judge->counts.accepted += meaning == VERIFY_ACCEPTED;
    if (!line->has_id || meaning == VERIFY_REFUSED) {
        submission->flags = meaning;
        return ERR_OK;
    }
    verify_jobs_submission_remove(judge->jobs, submission);
    struct verify_job *job = verify_jobs_take(judge->jobs, &line->id, NULL);
    if (!job)
        return full(err);
    know(job, line, meaning, number);
    return line->has_state ? read_told(judge, line, number, err) : ERR_OK;
}

/* --- faults --- */

/* "gateway-1", and "recorder-1+delayer-1": those who call nobody, and on whom no call depends. */
static bool repeats_nothing(struct span name)
{
    static const char *const idle[] = { "gateway", "recorder", "delayer" };
    const char *at = name.data;
    size_t left = name.size;
    while (left > 0) {
        const char *plus = memchr(at, '+', left);
        size_t size = plus ? (size_t)(plus - at) : left;
        bool found = false;
        for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++)
            found |= process_name_is_of((struct span){ at, size }, idle[i]);
        if (!found)
            return false;
        left -= plus ? size + 1 : size;
        at += plus ? size + 1 : size;
    }
    return name.size > 0;
}

static enum err_code fault_told(struct verify_judge *judge, const struct history_line *line,
                                struct err *err)
{
    if (judge->fault_count == VERIFY_FAULTS_MAX)
        return err_set(err, ERR_LIMIT, "a history has at most %d faults", VERIFY_FAULTS_MAX);
    judge->counts.faults++;
    bool nobody_dies = span_is(line->what, "third-party") || repeats_nothing(line->name);
    if (nobody_dies && !MUTANT(all_faults_excuse))
        return ERR_OK;
    judge->begins[judge->fault_count] = line->begin_ms;
    judge->ends[judge->fault_count++] = line->end_ms ? line->end_ms : line->begin_ms;
    return ERR_OK;
}

enum err_code verify_judge_told(struct verify_judge *judge, const struct history_line *line,
                                uint32_t number, struct err *err)
{
    verify_enter(judge, VERIFY_HISTORY);
    if (number >= VERIFY_LINES_MAX)
        return err_set(err, ERR_LIMIT, "a history has at most %u lines", VERIFY_LINES_MAX - 1);
    if (line->kind == HISTORY_FAULT)
        return fault_told(judge, line, err);
    int64_t at_ms = line->kind == HISTORY_SUBMIT ? line->begin_ms : line->end_ms;
    if (at_ms < judge->last_ms)
        return err_field(err, ERR_INVALID_FIELD, line->kind == HISTORY_SUBMIT ? "begin" : "end",
                         "the lines are in the order of time; this one is %" PRId64
                         " ms before the one above",
                         judge->last_ms - at_ms);
    judge->last_ms = at_ms;
    switch (line->kind) {
    case HISTORY_SUBMIT:
        return submit_told(judge, line, number, err);
    case HISTORY_SUBMITTED:
        return submitted_told(judge, line, number, err);
    case HISTORY_CANCEL:
        judge->counts.cancels++;
        return read_told(judge, line, number, err);
    default:
        judge->counts.reads++;
        return read_told(judge, line, number, err);
    }
}
