/* `errand dead redrive|purge`: step by step through the gateway, at the pace asked for. What has
 * been done stands on the topics, so a run that was broken off goes on with --batch.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/dead.h"
#include "gateway/cli/output.h"
#include "gateway/cli/payload.h"
#include "gateway/cli/verbs.h"
#include "infra/clock.h"
#include "schemas/dead_letter.h"
#include "schemas/digest.h"
#include "schemas/json.h"

#include <inttypes.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CALL_TIMEOUT_MS 60000
#define BODY_BYTES_MAX  ((size_t)64 * 1024)
#define STEP_MAX        100
#define STEP_MS         500   /* a rate is kept over so long */
#define PAUSE_MS        200   /* while jobs are undecided */
#define SETTLE_MS       10000 /* for what becomes of the last jobs */
#define PATIENCE_MS     60000 /* with a gateway that does not answer, or cannot tell yet */
#define OUTCOMES_MAX    16

struct outcome {
    char name[32];
    int64_t count;
};

struct redriving {
    const struct args *args;
    struct api *api;
    bool purge, execute;
    char batch[DEAD_BATCH_SIZE];
    char who[DEAD_WHO_SIZE];
    char cursor[512];
    char letter[512]; /* one alone; "": by the filter */
    char state[16];
    struct outcome outcomes[OUTCOMES_MAX];
    size_t outcome_count;
    int64_t taken; /* items so far */
    int64_t began_ms;
    struct buf items;  /* -o json: all of them */
    struct buf places; /* of letters that were told, each in a line */
    bool lost;         /* an answer, so that something may have been done and not told */
    struct {           /* what became of the batch's jobs; made -1: not known */
        int64_t made, succeeded, failed, undecided;
    } sums;
    int64_t made_before; /* by the batch, in earlier runs; -1: not told yet */
};

void dead_who(const struct args *args, char ret_who[DEAD_WHO_SIZE])
{
    char host[64] = "";
    char buffer[1024];
    struct passwd entry;
    struct passwd *found = NULL;
    if (args_text(args, "who")) {
        (void)snprintf(ret_who, DEAD_WHO_SIZE, "%s", args_text(args, "who"));
        return;
    }
    (void)gethostname(host, sizeof host - 1);
    (void)getpwuid_r(getuid(), &entry, buffer, sizeof buffer, &found);
    (void)snprintf(ret_who, DEAD_WHO_SIZE, "%.60s@%s", found ? entry.pw_name : "unknown", host);
}

/* --- the request --- */

static void add_member(struct buf *body, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    buf_printf(body, ",\"%s\":", name);
    buf_add_json_string(body, span_of(value));
}

/* Of a rate in thousandths a second: so many in STEP_MS. */
static int64_t step_limit(const struct args *args)
{
    int64_t milli = args_number(args, "rate", 0);
    int64_t limit = milli ? milli * STEP_MS / 1000 / 1000 : STEP_MAX;
    if (limit < 1)
        return 1;
    return limit < STEP_MAX ? limit : STEP_MAX;
}

static bool make_body(const struct redriving *run, int64_t limit, struct buf *body)
{
    const struct args *args = run->args;
    static const char *const names[] = { "queue", "type", "reason", "fingerprint" };
    buf_printf(body, "{\"execute\":%s,\"limit\":%" PRId64, run->execute ? "true" : "false", limit);
    add_member(body, "batch", run->batch);
    add_member(body, "who", run->who);
    add_member(body, "why", args_text(args, "why"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        add_member(body, names[i], args_text(args, names[i]));
    add_member(body, "letter", run->letter);
    add_member(body, "cursor", run->cursor);
    bool made = true;
    if (!run->purge) {
        static const char *const numbers[][2] = { { "max-redrives", "max_redrives" },
                                                  { "max-failed", "max_failed_percent" },
                                                  { "ahead", "ahead" } };
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            if (args_has(args, numbers[i][0]))
                buf_printf(body, ",\"%s\":%" PRId64, numbers[i][1],
                           args_number(args, numbers[i][0], 0));
        }
        struct buf edit = BUF_INIT(PAYLOAD_BYTES_MAX);
        if (args_text(args, "edit")) {
            made = payload_read(args_text(args, "edit"), &edit);
            buf_add_text(body, ",\"edit\":");
            buf_add_span(body, buf_span(&edit));
        }
        buf_free(&edit);
    }
    buf_add_char(body, '}');
    return made;
}

/* A gateway that starts again, or whose view is behind, is asked again. */
static int ask(struct redriving *run, int64_t limit, struct api_answer *ret_answer)
{
    struct buf body = BUF_INIT(BODY_BYTES_MAX);
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
    int code = make_body(run, limit, &body) ? CLI_OK : CLI_USAGE;
    const struct api_request request = {
        .method = "POST",
        .path = run->purge ? "/v1/dead:purge" : "/v1/dead:redrive",
        .body = buf_span(&body),
        .timeout_ms = CALL_TIMEOUT_MS,
    };
    bool again = code == CLI_OK;
    while (again) {
        api_answer_clear(ret_answer);
        bool answered = api_try(run->api, &request, ret_answer);
        run->lost = run->lost || !answered;
        again = (!answered || ret_answer->status == 503) && clock_monotonic_ms() < until_ms;
        if (again)
            (void)poll(NULL, 0, PAUSE_MS);
        else if (!answered)
            code = CLI_UNREACHABLE;
        else if (ret_answer->status != 200)
            code = api_complain("the letters cannot be resolved", ret_answer);
    }
    if (code == CLI_UNREACHABLE)
        output_error("the gateway does not answer");
    buf_free(&body);
    return code;
}

/* --- what it did --- */

static void count_outcome(struct redriving *run, struct span name)
{
    size_t i = 0;
    while (i < run->outcome_count && !span_is(name, run->outcomes[i].name))
        i++;
    if (i == OUTCOMES_MAX)
        return;
    if (i == run->outcome_count) {
        (void)snprintf(run->outcomes[i].name, sizeof run->outcomes[i].name, "%.*s",
                       (int)(name.size < 31 ? name.size : 31), (const char *)name.data);
        run->outcome_count++;
    }
    run->outcomes[i].count++;
}

static int print_item(const struct json *item)
{
    struct buf line = BUF_INIT(4096);
    table_add_safe(&line, json_text(json_get(item, "letter")));
    buf_add_char(&line, ' ');
    table_add_safe(&line, json_text(json_get(item, "outcome")));
    buf_add_char(&line, ' ');
    table_add_safe(&line, json_text(json_get(item, "job")));
    table_add_safe(&line, json_text(json_get(item, "why")));
    buf_add_char(&line, '\n');
    int code = output_data(buf_span(&line));
    buf_free(&line);
    return code;
}

static int tell_item(struct redriving *run, const struct json *item)
{
    buf_add_span(&run->places, json_text(json_get(item, "letter")));
    buf_add_char(&run->places, '\n');
    count_outcome(run, json_text(json_get(item, "outcome")));
    run->taken++;
    if (!output_is_json(run->args))
        return run->execute ? print_item(item) : CLI_OK;
    if (run->items.size)
        buf_add_char(&run->items, ',');
    json_dump(item, &run->items);
    return CLI_OK;
}

static int tell_items(struct redriving *run, const struct json *items)
{
    int code = CLI_OK;
    for (size_t i = 0; i < json_count(items) && code == CLI_OK; i++)
        code = tell_item(run, json_at(items, i));
    return code;
}

static void keep_pace(const struct redriving *run)
{
    int64_t milli = args_number(run->args, "rate", 0);
    if (!milli || !run->execute)
        return;
    int64_t due_ms = run->began_ms + run->taken * 1000 * 1000 / milli;
    int64_t left_ms = due_ms - clock_monotonic_ms();
    if (left_ms > 0)
        (void)poll(NULL, 0, (int)left_ms);
}

/* One selection, to its end. */
static int walk(struct redriving *run)
{
    int code = CLI_OK;
    bool more = true;
    run->cursor[0] = '\0';
    while (code == CLI_OK && more) {
        struct api_answer answer = { 0 };
        code = ask(run, step_limit(run->args), &answer);
        if (code == CLI_OK) {
            struct span state = json_text(json_get(answer.json, "state"));
            struct span next = json_text(json_get(answer.json, "next"));
            (void)snprintf(run->state, sizeof run->state, "%.*s",
                           (int)(state.size < 15 ? state.size : 15), (const char *)state.data);
            if (run->made_before < 0)
                (void)json_integer_of(json_get(json_get(answer.json, "so_far"), "made"),
                                      &run->made_before);
            code = tell_items(run, json_get(answer.json, "items"));
            more = span_is(state, "going") || span_is(state, "waiting");
            if (span_is(state, "going") && next.size < sizeof run->cursor)
                (void)snprintf(run->cursor, sizeof run->cursor, "%.*s", SPAN_ARG(next));
            if (span_is(state, "waiting"))
                (void)poll(NULL, 0, PAUSE_MS);
            output_progress("%" PRId64 " letters, %s", run->taken, run->state);
            keep_pace(run);
        }
        api_answer_clear(&answer);
    }
    output_progress_end();
    return code;
}

/* --- what has not been told yet --- */

static bool is_told(const struct redriving *run, struct span letter)
{
    char line[512];
    int size = snprintf(line, sizeof line, "\n%.*s\n", SPAN_ARG(letter));
    return memmem(run->places.data, run->places.size, line, (size_t)size) != NULL;
}

/* Of what was done in a step whose answer did not come. */
static int tell_lost(struct redriving *run, const struct json *items)
{
    int code = CLI_OK;
    for (size_t i = 0; i < json_count(items) && code == CLI_OK; i++) {
        if (!is_told(run, json_text(json_get(json_at(items, i), "letter"))))
            code = tell_item(run, json_at(items, i));
    }
    return code;
}

static int64_t count_of(const struct redriving *run, const char *name)
{
    for (size_t i = 0; i < run->outcome_count; i++) {
        if (strcmp(run->outcomes[i].name, name) == 0)
            return run->outcomes[i].count;
    }
    return 0;
}

static void take_sums(struct redriving *run, const struct json *told)
{
    if (!told)
        return;
    (void)json_integer_of(json_get(told, "made"), &run->sums.made);
    (void)json_integer_of(json_get(told, "succeeded"), &run->sums.succeeded);
    (void)json_integer_of(json_get(told, "failed"), &run->sums.failed);
    (void)json_integer_of(json_get(told, "undecided"), &run->sums.undecided);
}

/* Waits for what becomes of the last jobs, as long as --settle says: that too many of them failed
 * again is known only then, of a few not before. */
static int settle(struct redriving *run)
{
    int64_t settle_ms = run->purge ? 0 : args_number(run->args, "settle", SETTLE_MS);
    int64_t until_ms = clock_monotonic_ms() + settle_ms;
    int64_t made = count_of(run, "redriven");
    if (!run->execute || (!run->lost && (run->purge || made == 0)))
        return CLI_OK;
    made += run->made_before > 0 ? run->made_before : 0;
    bool again = true;
    int code = CLI_OK;
    while (again && code == CLI_OK) {
        struct api_answer answer = { 0 };
        code = ask(run, 0, &answer);
        struct span state = json_text(json_get(answer.json, "state"));
        if (code == CLI_OK) {
            take_sums(run, json_get(answer.json, "so_far"));
            again = (span_is(state, "waiting") || run->sums.made < made) && !run->purge &&
                    clock_monotonic_ms() < until_ms;
            if (span_is(state, "stopped"))
                (void)snprintf(run->state, sizeof run->state, "stopped");
            if (!again && run->lost)
                code = tell_lost(run, json_get(answer.json, "items"));
        }
        if (again && code == CLI_OK)
            (void)poll(NULL, 0, PAUSE_MS);
        api_answer_clear(&answer);
    }
    return code;
}

/* --- the end --- */

static int print_json(struct redriving *run)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    buf_printf(&text, "{\"batch\":\"%s\",\"state\":\"%s\",\"dry_run\":%s,\"counts\":{", run->batch,
               run->state, run->execute ? "false" : "true");
    for (size_t i = 0; i < run->outcome_count; i++)
        buf_printf(&text, "%s\"%s\":%" PRId64, i ? "," : "", run->outcomes[i].name,
                   run->outcomes[i].count);
    buf_add_char(&text, '}');
    if (run->sums.made >= 0)
        buf_printf(&text,
                   ",\"so_far\":{\"made\":%" PRId64 ",\"succeeded\":%" PRId64 ",\"failed\":%" PRId64
                   ",\"undecided\":%" PRId64 "}",
                   run->sums.made, run->sums.succeeded, run->sums.failed, run->sums.undecided);
    buf_add_text(&text, ",\"items\":[");
    buf_add_span(&text, buf_span(&run->items));
    buf_add_text(&text, "]}");
    int code =
        output_json(run->purge ? "errand.dead.purge/1" : "errand.dead.redrive/1", buf_span(&text));
    buf_free(&text);
    return code;
}

static int print_counts(const struct redriving *run)
{
    static const char *const headings[] = { "OUTCOME", "LETTERS" };
    struct table *table = table_new(headings, 2);
    for (size_t i = 0; i < run->outcome_count; i++) {
        table_add_text(table, run->outcomes[i].name);
        table_add_int(table, run->outcomes[i].count);
    }
    int code = run->outcome_count ? output_table(table) : output_data(span_of("no letters\n"));
    table_free(table);
    return code;
}

static int tell(struct redriving *run)
{
    int code = output_is_json(run->args) ? print_json(run) : print_counts(run);
    if (!run->execute)
        output_note("nothing was changed; the same with --execute --why TEXT does it");
    if (run->sums.made >= 0)
        output_note("of the batch's new jobs %" PRId64 " succeeded, %" PRId64
                    " failed again, %" PRId64 " are under way",
                    run->sums.succeeded, run->sums.failed, run->sums.undecided);
    if (code == CLI_OK && strcmp(run->state, "stopped") == 0) {
        output_error("stopped: too many of the new jobs failed again");
        output_try("errand dead ls; to go on nevertheless: --batch %s --max-failed 100",
                   run->batch);
        code = CLI_FAILED;
    }
    return code;
}

/* A letter's place, or that of a job's newest letter. */
static int find_letter(const struct redriving *run, const char *word, char *to, size_t size)
{
    char path[512];
    struct api_answer answer = { 0 };
    if (strchr(word, '/')) {
        (void)snprintf(to, size, "%s", word);
        return CLI_OK;
    }
    (void)snprintf(path, sizeof path, "/v1/dead/%s", word);
    const struct api_request request = { .method = "GET",
                                         .path = path,
                                         .timeout_ms = CALL_TIMEOUT_MS };
    int code = api_call(run->api, &request, &answer);
    if (code == CLI_OK && answer.status != 200)
        code = api_complain("the job's letter cannot be found", &answer);
    if (code == CLI_OK)
        dead_place(answer.json, to, size);
    api_answer_clear(&answer);
    return code;
}

static int walk_all(struct redriving *run)
{
    const struct args *args = run->args;
    if (args->item_count == 0)
        return walk(run);
    int code = CLI_OK;
    for (size_t i = 0; i < args->item_count && code == CLI_OK; i++) {
        code = find_letter(run, args->items[i], run->letter, sizeof run->letter);
        if (code == CLI_OK)
            code = walk(run);
        if (strcmp(run->state, "stopped") == 0)
            break;
    }
    return code;
}

static bool check(const struct args *args)
{
    bool filtered = args_has(args, "queue") || args_has(args, "type") || args_has(args, "reason") ||
                    args_has(args, "fingerprint");
    int64_t began_ms;
    if (args->item_count + filtered + args_has(args, "all") == 0) {
        output_error("which letters?");
        output_why("give letters or jobs, or --queue, --type, --reason, --fingerprint, or --all");
        return false;
    }
    if (args_has(args, "execute") && !args_text(args, "why")) {
        output_error("--why is needed with --execute");
        output_why("it is kept with what is changed, on the audit topic");
        return false;
    }
    if (args_text(args, "batch") &&
        !dead_batch_parse(span_of(args_text(args, "batch")), &began_ms)) {
        output_error("'%s' is no batch", args_text(args, "batch"));
        return false;
    }
    return true;
}

static int run_all(const struct args *args, bool purge)
{
    uint32_t random = 0;
    if (!check(args) || !digest_random(&random, sizeof random))
        return CLI_USAGE;
    struct redriving run = { .args = args,
                             .purge = purge,
                             .execute = args_has(args, "execute"),
                             .began_ms = clock_monotonic_ms(),
                             .items = BUF_INIT(OUTPUT_BYTES_MAX),
                             .places = BUF_INIT(OUTPUT_BYTES_MAX),
                             .sums = { .made = -1 },
                             .made_before = -1 };
    buf_add_char(&run.places, '\n');
    dead_who(args, run.who);
    if (args_text(args, "batch"))
        (void)snprintf(run.batch, sizeof run.batch, "%s", args_text(args, "batch"));
    else
        dead_batch_name(clock_wall_ms(), random, run.batch);
    if (run.execute)
        output_note("batch %s: if this is broken off, the same with --batch %s goes on", run.batch,
                    run.batch);
    run.api = api_open(args);
    int code = run.api ? walk_all(&run) : CLI_UNREACHABLE;
    if (code == CLI_OK)
        code = settle(&run);
    if (code == CLI_OK)
        code = tell(&run);
    api_close(run.api);
    buf_free(&run.items);
    buf_free(&run.places);
    return code;
}

int dead_redrive_run(const struct args *args)
{
    return run_all(args, false);
}

int dead_purge_run(const struct args *args)
{
    return run_all(args, true);
}
