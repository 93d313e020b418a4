/* `errand drill run`: a drill file, or one of those that errand carries. See chaos_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/chaos_internal.h"
#include "gateway/cli/output.h"
#include "gateway/cli/verbs.h"
#include "gateway/cli/watch.h"
#include "infra/embed.h"
#include "schemas/suggest.h"

#include <stdlib.h>
#include <unistd.h>

static const char *const built_in[] = { "worker-crash",   "broker-bounce", "redis-loss",
                                        "slow-target",    "poison",        "rebalance-storm",
                                        "rolling-restart" };
#define BUILT_IN_COUNT (sizeof built_in / sizeof built_in[0])

static int unknown(const char *file)
{
    const char *nearest = suggest_nearest(span_of(file), built_in, BUILT_IN_COUNT);
    struct buf names = BUF_INIT(512);
    for (size_t i = 0; i < BUILT_IN_COUNT; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", built_in[i]);
    output_error("there is no file %s, and no drill of that name", file);
    output_why("errand carries %s", names.data);
    output_try("errand drill run %s", nearest ? nearest : built_in[0]);
    buf_free(&names);
    return CLI_USAGE;
}

/* A file goes before a drill of the same name. */
static int read_file(const char *file, struct buf *text)
{
    struct err err = { 0 };
    struct span embedded;
    char name[128];
    if (access(file, F_OK) == 0) {
        if (stack_read_file(file, DRILL_FILE_MAX, text, &err) == ERR_OK)
            return CLI_OK;
        output_error("the drill cannot be read");
        output_why("%s", err.text);
        return CLI_USAGE;
    }
    (void)snprintf(name, sizeof name, "drills/%.64s.yaml", file);
    if (!embed_find(name, &embedded))
        return unknown(file);
    text->max = DRILL_FILE_MAX;
    buf_add_span(text, embedded);
    return CLI_OK;
}

/* What the command line says goes before the file. */
static void lay_over(const struct args *args, struct drill_plan *plan)
{
    plan->duration_ms = args_number(args, "for", plan->duration_ms);
    plan->rate = args_number(args, "load", plan->rate);
}

int drill_run_run(const struct args *args)
{
    struct drill_plan plan;
    struct buf text = { 0 };
    struct err err = { 0 };
    char *report = NULL;
    int code = read_file(args->items[0], &text);
    if (code != CLI_OK)
        return code;
    if (args_has(args, "show")) {
        code = output_data(buf_span(&text));
    } else if (drill_plan_parse(args->items[0], buf_span(&text), &plan, &report, &err) != ERR_OK) {
        output_error("the drill cannot be used");
        watch_print_lines(report ? report : err.text);
        code = CLI_USAGE;
    } else {
        lay_over(args, &plan);
        code = chaos_run(args, &plan);
        drill_plan_clear(&plan);
    }
    free(report);
    buf_free(&text);
    return code;
}
