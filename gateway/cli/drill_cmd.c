/* `errand drill ls|report|rm`, and what `errand replay` does in a drill.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/drill.h"
#include "gateway/cli/output.h"
#include "gateway/cli/stack.h"
#include "gateway/cli/verbs.h"
#include "gateway/cli/watch.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_MS_DEFAULT   600000
#define NAMES_MAX         1000
#define TOPICS_TIMEOUT_MS 30000

/* --- replaying into one --- */

/* A drill's name is its namespace: another folder's drill of this name would be worked on, and what
 * is left of one counted. */
static int check_is_new(const struct replay_cmd *cmd)
{
    struct kafka_topic_state *states = NULL;
    struct err err = { 0 };
    size_t count = 0;
    size_t others = 0;
    char *folder = drill_folder(cmd->folder, cmd->drill);
    bool here = access(folder, F_OK) == 0;
    free(folder);
    if (here)
        return CLI_OK;
    char *namespace_ = drill_namespace(cmd->look.config, cmd->drill);
    enum err_code code = kafka_topics_list_sync(cmd->look.admin, namespace_, &states, &count,
                                                TOPICS_TIMEOUT_MS, &err);
    for (size_t i = 0; i < count && !code; i++)
        others += drill_owns(namespace_, states[i].name);
    if (!code)
        kafka_topics_free(states, count);
    free(namespace_);
    if (code) {
        output_error("it cannot be looked whether there is a drill %s already", cmd->drill);
        output_why("%s", err.text);
        return CLI_UNREACHABLE;
    }
    if (others == 0 || MUTANT(drill_of_others_taken))
        return CLI_OK;
    output_error("there are topics of a drill %s already, and it is not one of this folder",
                 cmd->drill);
    output_why("it is somebody else's, or its folder is gone");
    output_try("--into drill/ANOTHER-NAME");
    return CLI_REFUSED;
}

int drill_replay(struct replay_cmd *cmd)
{
    struct replay_result result = { 0 };
    int code = cmd->resumed ? CLI_OK : check_is_new(cmd);
    if (code == CLI_OK)
        code = drill_up(cmd->look.config, cmd->folder, cmd->drill);
    if (code != CLI_OK)
        return code;
    code = replay_execute(cmd, &result);
    if (code == CLI_OK) {
        output_note("%" PRId64 " jobs were replayed (%" PRId64 " now, %" PRId64 " before, %" PRId64
                    " repeats) into drill %s",
                    result.arrived, result.report.sent, result.report.before, result.repeats,
                    cmd->drill);
        code = drill_report_print(cmd->args, &cmd->look, &cmd->plan,
                                  args_number(cmd->args, "wait", WAIT_MS_DEFAULT));
    }
    if (args_has(cmd->args, "keep"))
        output_note("the drill runs: errand status --dir %s/drill/%s", cmd->folder, cmd->drill);
    else
        (void)drill_down(cmd->folder, cmd->drill);
    return code;
}

/* --- which there are --- */

struct names {
    char *items[NAMES_MAX];
    size_t count;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void find_names(const char *folder, struct names *names)
{
    char *all = stack_path(folder, "drill");
    DIR *entries = opendir(all);
    const struct dirent *entry = NULL;
    while (entries && (entry = readdir(entries)) && /* NOLINT(concurrency-mt-unsafe): one thread */
           names->count < NAMES_MAX) {
        if (drill_name_is_good(entry->d_name))
            names->items[names->count++] = mem_dup_text(entry->d_name);
    }
    if (entries)
        (void)closedir(entries);
    qsort(names->items, names->count, sizeof(char *), by_name);
    free(all);
}

static enum err_code load_plan(const char *folder, const char *name, struct replay_plan *ret_plan,
                               bool *ret_running, struct err *err)
{
    char *whole = drill_folder(folder, name);
    char *path = stack_path(whole, "replay.json");
    enum err_code code = replay_plan_load(path, ret_plan, err);
    if (ret_running)
        *ret_running = stack_is_locked(whole);
    free(path);
    free(whole);
    return code;
}

static void add_json(struct buf *text, const char *name, const struct replay_plan *plan,
                     bool running)
{
    buf_printf(text, "{\"drill\":\"%s\",\"state\":\"%s\"", name, running ? "running" : "stopped");
    if (plan->topic) {
        buf_printf(text, ",\"namespace\":\"%s\",\"replay\":\"%s\",\"topic\":", plan->namespace_,
                   plan->id);
        buf_add_json_string(text, span_of(plan->topic));
        buf_printf(text, ",\"jobs\":%" PRId64, replay_plan_jobs(plan));
    }
    buf_add_char(text, '}');
}

static void add_row(struct table *table, const char *name, const struct replay_plan *plan,
                    bool running)
{
    table_add_text(table, name);
    table_add_text(table, running ? "running" : "stopped");
    table_add_text(table, plan->topic ? plan->topic : "-");
    if (plan->topic)
        table_add_int(table, replay_plan_jobs(plan));
    else
        table_add_text(table, "-");
}

int drill_ls_run(const struct args *args)
{
    static const char *const headings[] = { "DRILL", "STATE", "TOPIC", "JOBS" };
    struct names *names = MEM_NEW(*names);
    struct table *table = table_new(headings, 4);
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    char *folder = stack_folder(args, NULL);
    find_names(folder, names);
    buf_add_text(&text, "{\"drills\":[");
    for (size_t i = 0; i < names->count; i++) {
        struct replay_plan plan = { 0 };
        struct err ignored;
        bool running = false;
        if (load_plan(folder, names->items[i], &plan, &running, &ignored) != ERR_OK)
            plan = (struct replay_plan){ 0 };
        if (i)
            buf_add_char(&text, ',');
        add_json(&text, names->items[i], &plan, running);
        add_row(table, names->items[i], &plan, running);
        replay_plan_clear(&plan);
        free(names->items[i]);
    }
    buf_add_text(&text, "]}");
    int code = output_is_json(args) ? output_json("errand.drills/1", buf_span(&text))
                                    : output_table(table);
    table_free(table);
    buf_free(&text);
    free(folder);
    free(names);
    return code;
}

/* --- the report --- */

static int check_name(const struct args *args)
{
    if (drill_name_is_good(args->items[0]))
        return CLI_OK;
    output_error("'%s' is no name of a drill", args->items[0]);
    output_why(DRILL_NAME_ALLOWED);
    return CLI_USAGE;
}

int drill_report_run(const struct args *args)
{
    struct replay_plan plan = { 0 };
    struct kafka_look look = { 0 };
    struct err err = { 0 };
    int code = check_name(args);
    if (code != CLI_OK)
        return code;
    char *folder = stack_folder(args, NULL);
    if (load_plan(folder, args->items[0], &plan, NULL, &err) != ERR_OK) {
        output_error("there is no replay in a drill %s", args->items[0]);
        output_try("errand drill ls");
        code = CLI_NOT_FOUND;
    }
    free(folder);
    if (code == CLI_OK)
        code = kafka_look_open(args, &look);
    watch_interrupts();
    if (code == CLI_OK)
        code = drill_report_print(args, &look, &plan, args_number(args, "wait", 0));
    if (look.admin)
        kafka_look_close(&look);
    replay_plan_clear(&plan);
    return code;
}
