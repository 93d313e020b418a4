/* The parts of `errand chaos` and `errand drill run`, private to chaos*.c and drill_run.c.
 *
 * A run goes: look whether this stack may be broken (chaos_stack), mark where the topics end, start
 * the loads (`errand load`) and `errand lag` as children, break things by the plan (chaos_break;
 * chaos_mend is told, for the case that the run is killed),
 * undo all of it, wait until everything is ready and ended, let `errand verdict` judge, tell.
 * THREADS: one; a run is its caller's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_CHAOS_INTERNAL_H
#define GATEWAY_CLI_CHAOS_INTERNAL_H

#include "gateway/cli/chaos_measure.h"
#include "gateway/cli/stack.h"
#include "schemas/json.h"
#include "schemas/seeded.h"

#include <stdio.h>
#include <sys/types.h>

struct config;

/* --- chaos_stack.c: what may be broken --- */

struct chaos_stack {
    char *folder;
    struct config *config;
    struct stack_state state; /* as it was last looked at */
};
/* Opens the stack of --dir, and refuses one that must not be broken by this plan; an exit code. */
int chaos_stack_open(const struct args *args, const struct drill_plan *plan,
                     struct chaos_stack *ret_stack);
void chaos_stack_close(struct chaos_stack *stack);
/* Looks at state.json again; what cannot be read stays as it was. */
void chaos_stack_look(struct chaos_stack *stack);
/* "http://127.0.0.1:4711", or NULL. Free with free(). */
char *chaos_stack_url(const struct chaos_stack *stack, const char *process);
/* The jobs that are submitted when the plan names none: of those types that the configuration has
 * and that call nobody but the simulator. An exit code. */
int chaos_stack_canaries(const struct chaos_stack *stack, struct drill_plan *plan);
/* Whether jobs of this type call the simulator. */
bool chaos_stack_calls(const struct chaos_stack *stack, const char *type);

/* --- chaos_break.c: breaking and mending --- */

struct chaos_break;
/* Borrows all of it. NULL when nobody would mend what is left by a run that was killed. */
struct chaos_break *chaos_break_new(struct chaos_stack *stack, const struct drill_plan *plan,
                                    struct seeded *chance, const char *folder);
void chaos_break_free(struct chaos_break *breaking);
/* What is due `at_ms` after the load began: begins faults, ends those that have lasted. */
void chaos_break_step(struct chaos_break *breaking, int64_t at_ms);
/* Ends everything: who was stopped goes on, the third party is well. At once. */
void chaos_break_undo(struct chaos_break *breaking);
/* Whether all that died is ready again. */
bool chaos_break_is_whole(struct chaos_break *breaking);
/* The faults so far, in the order of their begin. */
struct chaos_fault *chaos_break_faults(struct chaos_break *breaking, size_t *ret_count);
/* What could not be done; NULL when nothing failed. */
const char *chaos_break_failure(const struct chaos_break *breaking);

/* --- chaos_mend.c: mending for a run that was killed --- */

struct api_answer;
/* Asks the simulator at `url` for its rules (GET), or tells it what holds for all paths (PUT, with
 * words); false when that was not done. */
bool chaos_control(const char *url, const char *method, const char *words,
                   struct api_answer *ret_answer);

struct chaos_mend;
/* `folder` is the run's own, which goes with it. NULL when the child that mends cannot be started.
 */
struct chaos_mend *chaos_mend_open(const char *folder);
/* Removes a folder with the files in it. */
void chaos_folder_remove(const char *folder);
/* Waits for the child, which then undoes what was not told as undone. Accepts NULL. */
void chaos_mend_close(struct chaos_mend *mend);
/* Before a process is stopped, and after it goes on. False: nobody would mend it. */
bool chaos_mend_stops(const struct chaos_mend *mend, struct stack_pid id);
void chaos_mend_goes_on(const struct chaos_mend *mend, struct stack_pid id);
/* Before the third party is told something else than `words`, and after it was told them again. */
bool chaos_mend_breaks(const struct chaos_mend *mend, const char *url, const char *words);
void chaos_mend_is_well(const struct chaos_mend *mend);

/* --- chaos_child.c: errand's other verbs as children --- */

#define CHAOS_WORDS_MAX 24
struct chaos_child {
    pid_t pid; /* 0: does not run */
    int code;  /* of the exit; 128 + signal */
};
/* Starts `errand WORDS...` (ends with NULL) with its output in a file; it ends with this process.
 */
bool chaos_child_start(struct chaos_child *child, const char *const *words,
                       const char *output_path);
/* Whether it still runs. */
bool chaos_child_runs(struct chaos_child *child);
void chaos_child_signal(struct chaos_child *child, int signal_number);
/* Waits; false when it was ended after `timeout_ms`. `progress` is shown meanwhile. */
bool chaos_child_wait(struct chaos_child *child, int64_t timeout_ms, const char *progress);

/* --- chaos_history.c: what the loads write down --- */

struct chaos_history;
struct chaos_history *chaos_history_new(const char *folder, size_t kinds,
                                        struct chaos_measure *measure);
void chaos_history_free(struct chaos_history *history);
/* The file of a kind's load. Borrowed. */
const char *chaos_history_path(const struct chaos_history *history, size_t kind);
/* Reads on, as far as whole lines are there. */
void chaos_history_read(struct chaos_history *history);
/* A line of our own. */
void chaos_history_add(struct chaos_history *history, size_t kind, const struct history_line *line);
/* All lines with the faults, in the order of time. */
enum err_code chaos_history_write(const struct chaos_history *history,
                                  const struct chaos_fault *faults, size_t fault_count,
                                  const char *path, struct err *err) MUST_CHECK;

/* --- chaos_judge.c: the verdict --- */

#define CHAOS_REASONS_MAX  20
#define CHAOS_REASON_SIZE  200
#define CHAOS_FINDINGS_MAX 20

/* All that is known when a run is over. */
struct chaos_result {
    const struct drill_plan *plan;
    int64_t seed;
    int64_t begin_ms, end_ms; /* of the load */
    bool interrupted;
    struct chaos_counts counts;
    struct chaos_percentiles accept, end, recover;
    int64_t silence_ms;
    const char *unsubmitted; /* a type of the plan of which no job was submitted; NULL: none */
    const struct chaos_fault *faults;
    size_t fault_count;
    const char *failure;        /* what could not be broken or mended; NULL: nothing */
    const struct json *checked; /* what `errand verdict -o json` said; NULL: nothing */
    /* filled by chaos_judge: */
    bool kept;
    int64_t lost, doubled, calls, repeats, repeats_bound;
    int64_t measured[DRILL_LEVEL_COUNT];
    char reasons[CHAOS_REASONS_MAX][CHAOS_REASON_SIZE];
    size_t reason_count;
};
/* Whether all promises were kept, and why not. Pure. */
void chaos_judge(struct chaos_result *result);

/* --- chaos_report.c, chaos_html.c: telling --- */

/* The result as JSON, without its schema; `lag` holds the lines of `errand lag -o json`. */
void chaos_report_json(const struct chaos_result *result, const struct chaos_measure *measure,
                       struct span lag, struct buf *out);
void chaos_report_text(const struct chaos_result *result, struct buf *out);
/* The page: nothing in it is from elsewhere, and nothing is run. From the report's own JSON, so
 * that its numbers are that one's. */
void chaos_html(const struct json *report, struct buf *out);

/* --- chaos_run.c --- */

/* The whole of a run, told as the options say; an exit code. */
int chaos_run(const struct args *args, struct drill_plan *plan);

#endif
