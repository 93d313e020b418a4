/* One run from begin to end. See chaos_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/api.h"
#include "gateway/cli/chaos_internal.h"
#include "gateway/cli/output.h"
#include "gateway/cli/watch.h"
#include "infra/clock.h"
#include "infra/config.h"
#include "schemas/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_MS           50
#define SHOW_MS           250
#define WHOLE_TIMEOUT_MS  120000
#define LOADS_TIMEOUT_MS  180000 /* `errand load` gives its stragglers up before that */
#define MARK_TIMEOUT_MS   60000
#define JUDGE_TIMEOUT_MS  300000
#define REBALANCE_MS      1000
#define DRAIN_MS          120000 /* of what was accepted and has not ended */
#define DRAIN_EVERY_MS    2000
#define LAST_READS_MAX    ((size_t)2000)
#define READ_TIMEOUT_MS   5000
#define CHECKED_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define CHECKED_TOKENS    1000000
#define LAG_BYTES_MAX     ((size_t)64 * 1024 * 1024)
#define SEED_MAX          0x7fffffff

struct run {
    const struct args *args;
    struct drill_plan *plan;
    struct chaos_stack stack;
    struct seeded chance;
    struct chaos_measure *measure;
    struct chaos_history *history;
    struct chaos_break *breaking;
    struct chaos_child loads[DRILL_JOBS_MAX];
    struct chaos_child lag;
    int64_t lag_again_ms; /* monotonic */
    char *folder;         /* for what is written down meanwhile */
    int64_t shown_ms;     /* monotonic: progress, for which all jobs are counted */
    struct buf lags;
    struct json *checked;
    struct chaos_result result;
};

static char *inside(const struct run *run, const char *name)
{
    return stack_path(run->folder, name);
}

/* --- before --- */

static bool make_folder(struct run *run)
{
    const char *base = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    char reason[128];
    run->folder = stack_path(base && *base ? base : "/tmp", "errand-chaos-XXXXXX");
    if (mkdtemp(run->folder))
        return true;
    output_error("cannot make the folder %s", run->folder);
    output_why("%s", strerror_r(errno, reason, sizeof reason));
    return false;
}

static void choose_seed(struct run *run)
{
    uint32_t random = 0;
    int64_t seed = args_number(run->args, "seed", run->plan->seed);
    if (seed == 0 && getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random)
        seed = random & SEED_MAX;
    run->result.seed = seed ? seed : 1;
    seeded_init(&run->chance, (uint64_t)run->result.seed);
    output_note("seed %" PRId64, run->result.seed);
}

static int mark(struct run *run)
{
    struct chaos_child child = { 0 };
    const char *const words[] = { "verdict", "--mark", "--dir", run->stack.folder, NULL };
    char *path = inside(run, "since.json");
    bool started = chaos_child_start(&child, words, path);
    int code = CLI_OK;
    if (!started || !chaos_child_wait(&child, MARK_TIMEOUT_MS, "looking where the topics end") ||
        child.code != 0) {
        output_error("the topics cannot be read");
        output_try("errand status --dir %s", run->stack.folder);
        code = CLI_UNREACHABLE;
    }
    free(path);
    return code;
}

/* --- meanwhile --- */

static bool start_load(struct run *run, size_t kind)
{
    const struct drill_jobs *jobs = &run->plan->jobs[kind];
    char rate[32];
    char duration[32];
    char name[32];
    int64_t shares = 0;
    for (size_t i = 0; i < run->plan->job_count; i++)
        shares += run->plan->jobs[i].share;
    double each = (double)run->plan->rate / 1000 * (double)jobs->share / (double)shares;
    (void)snprintf(rate, sizeof rate, "%.3f/s", each < 0.1 ? 0.1 : each);
    (void)snprintf(duration, sizeof duration, "%" PRId64 "ms", run->plan->duration_ms);
    (void)snprintf(name, sizeof name, "load-%zu", kind);
    char *output = inside(run, name);
    const char *words[CHAOS_WORDS_MAX + 1] = { "load",       jobs->type,
                                               "--mode",     "e2e",
                                               "--rate",     rate,
                                               "--duration", duration,
                                               "--history",  chaos_history_path(run->history, kind),
                                               "--data",     jobs->payload,
                                               "-o",         "json",
                                               "--dir",      run->stack.folder };
    size_t count = 0;
    while (words[count])
        count++;
    if (run->plan->client == DRILL_CAREFUL)
        words[count++] = "--careful";
    if (jobs->key) {
        words[count++] = "--key";
        words[count] = jobs->key;
    }
    bool started = chaos_child_start(&run->loads[kind], words, output);
    free(output);
    return started;
}

/* What one of them has written so far. */
static void take_lag(struct run *run, const char *path)
{
    struct buf bytes = { 0 };
    struct err err = { 0 };
    if (stack_read_file(path, LAG_BYTES_MAX, &bytes, &err) == ERR_OK)
        buf_add_span(&run->lags, buf_span(&bytes));
    buf_free(&bytes);
}

/* `errand lag` ends when Kafka is away: then it is started again. */
static void keep_lag(struct run *run)
{
    const char *const words[] = { "lag",   "--watch=1s",      "--by", "group", "-o", "json",
                                  "--dir", run->stack.folder, NULL };
    int64_t now_ms = clock_monotonic_ms();
    if (chaos_child_runs(&run->lag) || now_ms < run->lag_again_ms)
        return;
    char *path = inside(run, "lag.jsonl");
    if (run->lag_again_ms)
        take_lag(run, path);
    run->lag_again_ms = now_ms + 1000;
    (void)chaos_child_start(&run->lag, words, path);
    free(path);
}

static void end_lag(struct run *run)
{
    char *path = inside(run, "lag.jsonl");
    chaos_child_signal(&run->lag, SIGTERM);
    (void)chaos_child_wait(&run->lag, 5000, NULL);
    take_lag(run, path);
    free(path);
}

static bool loads_run(struct run *run)
{
    bool any = false;
    for (size_t i = 0; i < run->plan->job_count; i++)
        any = chaos_child_runs(&run->loads[i]) || any;
    return any;
}

static void signal_loads(struct run *run, int signal_number)
{
    for (size_t i = 0; i < run->plan->job_count; i++)
        chaos_child_signal(&run->loads[i], signal_number);
}

static void show_progress(struct run *run, int64_t at_ms, const char *what)
{
    size_t count = 0;
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < run->shown_ms + SHOW_MS)
        return;
    run->shown_ms = now_ms;
    const struct chaos_fault *faults = chaos_break_faults(run->breaking, &count);
    struct chaos_counts counts = chaos_measure_counts(run->measure);
    output_progress("%s, %" PRId64 " of %" PRId64 " s: %" PRIu64 " accepted, %" PRIu64
                    " ended, %" PRIu64 " not accepted; %zu faults%s%s %.60s",
                    what, at_ms / 1000, run->plan->duration_ms / 1000, counts.accepted,
                    counts.ended, counts.refused + counts.unanswered, count, count ? ", last " : "",
                    count ? drill_act_text(faults[count - 1].act) : "",
                    count ? faults[count - 1].name : "");
}

static void break_things(struct run *run)
{
    int64_t began_ms = clock_monotonic_ms();
    int64_t at_ms = 0;
    run->result.begin_ms = clock_wall_ms();
    while (at_ms < run->plan->duration_ms && loads_run(run) && !watch_is_interrupted()) {
        chaos_break_step(run->breaking, at_ms);
        chaos_history_read(run->history);
        keep_lag(run);
        show_progress(run, at_ms, "breaking");
        (void)poll(NULL, 0, STEP_MS);
        at_ms = clock_monotonic_ms() - began_ms;
    }
    chaos_break_undo(run->breaking);
    run->result.interrupted = watch_is_interrupted();
    if (run->result.interrupted)
        signal_loads(run, SIGINT);
}

/* Until all that died is ready again and the loads have heard of all their jobs. */
static void heal(struct run *run)
{
    int64_t began_ms = clock_monotonic_ms();
    bool whole = false;
    for (;;) {
        int64_t waited_ms = clock_monotonic_ms() - began_ms;
        bool running = loads_run(run);
        whole = chaos_break_is_whole(run->breaking);
        chaos_history_read(run->history);
        if (run->result.end_ms == 0 || running)
            run->result.end_ms = clock_wall_ms();
        if ((whole && !running) || waited_ms > LOADS_TIMEOUT_MS ||
            (!whole && waited_ms > WHOLE_TIMEOUT_MS))
            break;
        if (running)
            keep_lag(run);
        show_progress(run, run->plan->duration_ms, "healing");
        (void)poll(NULL, 0, STEP_MS);
    }
    signal_loads(run, SIGKILL);
    while (loads_run(run))
        (void)poll(NULL, 0, STEP_MS);
    chaos_history_read(run->history);
    if (!whole && !run->result.failure)
        run->result.failure = "not everything that was broken is ready again: `errand status`";
}

/* --- afterwards --- */

static bool ask_checker(struct run *run)
{
    struct chaos_child child = { 0 };
    struct err err = { 0 };
    size_t count = 0;
    const struct chaos_fault *faults = chaos_break_faults(run->breaking, &count);
    const struct json_limits limits = { .depth_max = 8, .tokens_max = CHECKED_TOKENS };
    struct buf bytes = { 0 };
    char *judged = inside(run, "judged.jsonl");
    char *since = inside(run, "since.json");
    char *output = inside(run, "checked.json");
    char *url = chaos_stack_url(&run->stack, "simulator");
    char grace[24];
    /* So much later, at most, is who died missed by its group, and its partitions go to others. */
    (void)snprintf(grace, sizeof grace, "%" PRId64 "ms",
                   run->stack.config->kafka.session_timeout_ms + REBALANCE_MS);
    const char *const words[] = { "verdict",
                                  "--history",
                                  judged,
                                  "--grace",
                                  grace,
                                  "--since",
                                  since,
                                  "--view",
                                  "--told",
                                  "-o",
                                  "json",
                                  "--dir",
                                  run->stack.folder,
                                  url ? "--ledger" : NULL,
                                  url,
                                  NULL };
    json_free(run->checked);
    run->checked = NULL;
    if (chaos_history_write(run->history, faults, count, judged, &err) == ERR_OK &&
        chaos_child_start(&child, words, output) &&
        chaos_child_wait(&child, JUDGE_TIMEOUT_MS, "judging") &&
        stack_read_file(output, CHECKED_BYTES_MAX, &bytes, &err) == ERR_OK)
        (void)!json_parse(buf_span(&bytes), &limits, &run->checked, &err);
    buf_free(&bytes);
    free(url);
    free(output);
    free(since);
    free(judged);
    return run->checked != NULL;
}

static int64_t found(const struct run *run, const char *kind)
{
    int64_t count = 0;
    (void)json_integer_of(json_get(json_get(run->checked, "counts"), kind), &count);
    return count;
}

/* -1: none. */
static int64_t version_of(const struct json *job)
{
    int64_t version = -1;
    (void)json_integer_of(json_get(job, "version"), &version);
    return version;
}

/* What a load did not hear of to its end is asked for once more. */
static void read_again(struct run *run)
{
    char *url = chaos_stack_url(&run->stack, "gateway-1");
    struct api *api = url ? api_open_at(url) : NULL;
    struct id id;
    size_t kind = 0;
    size_t skipped = 0;
    for (size_t i = 0; api && i < LAST_READS_MAX; i++) {
        char path[64] = "/v1/jobs/";
        if (!chaos_measure_open_job(run->measure, skipped, &id, &kind))
            break;
        id_text(&id, path + strlen(path));
        const struct api_request request = { .method = "GET",
                                             .path = path,
                                             .timeout_ms = READ_TIMEOUT_MS };
        struct api_answer answer = { 0 };
        struct history_line line = {
            .kind = HISTORY_READ, .has_id = true, .id = id, .begin_ms = clock_wall_ms()
        };
        bool told = api_try(api, &request, &answer);
        line.end_ms = clock_wall_ms();
        line.status = answer.status;
        line.version = version_of(answer.json);
        line.has_state = job_state_parse(json_text(json_get(answer.json, "state")), &line.state);
        skipped += !line.has_state || !job_state_is_terminal(line.state);
        if (told && line.has_state)
            chaos_history_add(run->history, kind, &line);
        api_answer_clear(&answer);
    }
    api_close(api);
    free(url);
}

/* The checker is asked until all that was accepted has ended, or cannot be waited for. */
static void judge(struct run *run)
{
    int64_t began_ms = clock_monotonic_ms();
    for (;;) {
        read_again(run);
        bool told = ask_checker(run);
        bool open = told && (found(run, "lost") || found(run, "view"));
        if (told && !open)
            break;
        if (clock_monotonic_ms() - began_ms > DRAIN_MS)
            break;
        output_progress("waiting until all jobs have ended: %" PRId64 " have not",
                        found(run, "lost"));
        (void)poll(NULL, 0, DRAIN_EVERY_MS);
    }
    output_progress_end();
}

/* --- telling --- */

static int write_report(const char *folder, const char *name, struct span bytes)
{
    struct err err = { 0 };
    char *path = stack_path(folder, name);
    int code = CLI_OK;
    if (stack_write_file(path, bytes, &err) != ERR_OK) {
        output_error("the report cannot be written");
        output_why("%s", err.text);
        code = CLI_FAILED;
    }
    free(path);
    return code;
}

static int write_reports(struct run *run, struct span json)
{
    const char *folder = args_text(run->args, "report");
    const struct json_limits limits = { .depth_max = 8, .tokens_max = CHECKED_TOKENS };
    struct json *report = NULL;
    struct err err = { 0 };
    struct buf whole = BUF_INIT(OUTPUT_BYTES_MAX);
    struct buf page = BUF_INIT(OUTPUT_BYTES_MAX);
    if (!folder)
        return CLI_OK;
    buf_add_text(&whole, "{\"schema\":\"errand.chaos/1\",");
    buf_add(&whole, (const char *)json.data + 1, json.size - 1);
    buf_add_char(&whole, '\n');
    int code = write_report(folder, "report.json", buf_span(&whole));
    if (code == CLI_OK && json_parse(buf_span(&whole), &limits, &report, &err) == ERR_OK) {
        chaos_html(report, &page);
        code = write_report(folder, "report.html", buf_span(&page));
    }
    if (code == CLI_OK)
        output_note("%s/report.html", folder);
    json_free(report);
    buf_free(&page);
    buf_free(&whole);
    return code;
}

static int tell(struct run *run)
{
    struct chaos_result *result = &run->result;
    struct buf json = BUF_INIT(OUTPUT_BYTES_MAX);
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    size_t count = 0;
    struct chaos_fault *faults = chaos_break_faults(run->breaking, &count);
    result->plan = run->plan;
    chaos_measure_faults(run->measure, faults, count);
    result->counts = chaos_measure_counts(run->measure);
    for (size_t i = 0; i < run->plan->job_count; i++) {
        if (chaos_measure_counts_of(run->measure, i).submitted == 0)
            result->unsubmitted = run->plan->jobs[i].type;
    }
    result->accept = chaos_measure_accept(run->measure);
    result->end = chaos_measure_end(run->measure);
    result->silence_ms = chaos_measure_silence(run->measure);
    result->recover = chaos_measure_recover(run->measure, faults, count);
    result->faults = faults;
    result->fault_count = count;
    result->checked = run->checked;
    if (chaos_break_failure(run->breaking))
        result->failure = chaos_break_failure(run->breaking);
    chaos_judge(result);
    chaos_report_json(result, run->measure, buf_span(&run->lags), &json);
    chaos_report_text(result, &text);
    int code = output_is_json(run->args) ? output_json("errand.chaos/1", buf_span(&json))
                                         : output_data(buf_span(&text));
    if (code == CLI_OK)
        code = write_reports(run, buf_span(&json));
    buf_free(&text);
    buf_free(&json);
    if (code == CLI_OK && !result->kept)
        code = CLI_FAILED;
    return code == CLI_OK && result->interrupted ? CLI_INTERRUPTED : code;
}

/* --- the whole --- */

static int prepare_report(const struct args *args)
{
    const char *folder = args_text(args, "report");
    char reason[128];
    struct stat there;
    if (!folder)
        return CLI_OK;
    if (mkdir(folder, 0755) == 0 || (errno == EEXIST && stat(folder, &there) == 0 &&
                                     S_ISDIR(there.st_mode) && access(folder, W_OK | X_OK) == 0))
        return CLI_OK;
    output_error("cannot make the folder %s", folder);
    output_why("%s", strerror_r(errno, reason, sizeof reason));
    return CLI_USAGE;
}

static int run_all(struct run *run)
{
    int code = chaos_stack_canaries(&run->stack, run->plan);
    if (code == CLI_OK)
        code = prepare_report(run->args);
    if (code == CLI_OK && !make_folder(run))
        code = CLI_FAILED;
    if (code != CLI_OK)
        return code;
    choose_seed(run);
    run->measure = chaos_measure_new(run->plan);
    for (size_t i = 0; i < run->plan->job_count; i++) {
        if (chaos_stack_calls(&run->stack, run->plan->jobs[i].type))
            chaos_measure_calls(run->measure, i);
    }
    run->history = chaos_history_new(run->folder, run->plan->job_count, run->measure);
    run->breaking = chaos_break_new(&run->stack, run->plan, &run->chance, run->folder);
    watch_interrupts();
    if (run->breaking) {
        code = mark(run);
    } else {
        output_error("no process can be started");
        code = CLI_FAILED;
    }
    for (size_t i = 0; code == CLI_OK && i < run->plan->job_count; i++) {
        if (!start_load(run, i))
            code = CLI_FAILED;
    }
    if (code == CLI_OK) {
        break_things(run);
        heal(run);
        end_lag(run);
        judge(run);
        code = tell(run);
    } else {
        signal_loads(run, SIGTERM);
    }
    chaos_folder_remove(run->folder);
    return code;
}

/* What --for and --load have made of it. */
static int check_limits(const struct drill_plan *plan)
{
    if (plan->duration_ms > DRILL_DURATION_MAX || plan->duration_ms < DRILL_DURATION_MIN) {
        output_error("--for is from %ds to %ds", DRILL_DURATION_MIN / 1000,
                     DRILL_DURATION_MAX / 1000);
        return CLI_USAGE;
    }
    if (plan->rate > DRILL_RATE_MAX * INT64_C(1000)) {
        output_error("--load is at most %d/s", DRILL_RATE_MAX);
        return CLI_USAGE;
    }
    for (size_t i = 0; i < plan->fault_count; i++) {
        if (plan->faults[i].at_ms >= plan->duration_ms) {
            output_error("the load is over before fault %zu begins, after %" PRId64 " ms", i + 1,
                         plan->faults[i].at_ms);
            output_try("a longer --for");
            return CLI_USAGE;
        }
    }
    return CLI_OK;
}

int chaos_run(const struct args *args, struct drill_plan *plan)
{
    int code = check_limits(plan);
    if (code != CLI_OK)
        return code;
    struct run *run = MEM_NEW(*run);
    run->args = args;
    run->plan = plan;
    run->lags.max = LAG_BYTES_MAX;
    code = chaos_stack_open(args, plan, &run->stack);
    if (code == CLI_OK)
        code = run_all(run);
    chaos_break_free(run->breaking);
    chaos_history_free(run->history);
    chaos_measure_free(run->measure);
    json_free(run->checked);
    buf_free(&run->lags);
    free(run->folder);
    chaos_stack_close(&run->stack);
    free(run);
    return code;
}
