/* `errand config check` and `errand version`.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/rules.h"
#include "gateway/cli/output.h"
#include "gateway/cli/stack.h"
#include "gateway/cli/verbs.h"
#include "infra/config.h"
#include "infra/kafka_admin.h"
#include "infra/version.h"
#include "schemas/suggest.h"

#include <stdlib.h>

#define RULES_MAX  256
#define REPORT_MAX ((size_t)64 * 1024)

static void check_rule(const struct config_type *type, const char *path, struct buf *report)
{
    const char *names[RULES_MAX];
    size_t count = 0;
    if (type->handler != CONFIG_HANDLER_RULES || rule_find(span_of(type->rule)))
        return;
    while (count < RULES_MAX && rule_at(count)) {
        names[count] = rule_at(count)->name;
        count++;
    }
    const char *near = suggest_nearest(span_of(type->rule), names, count);
    buf_printf(report, "%s: types.%s.rule: there is no rule \"%s\"", path, type->name, type->rule);
    if (near)
        buf_printf(report, "; did you mean %s?", near);
    buf_add_char(report, '\n');
}

/* What only the programs know, and not the configuration's own table. */
static void check_programs(const struct config *config, const char *path, struct buf *report)
{
    struct err err = { 0 };
    if (kafka_properties_check(&config->kafka, &err))
        buf_printf(report, "%s: %s\n", path, err.text);
    for (size_t i = 0; i < config->type_count; i++)
        check_rule(&config->types[i], path, report);
}

/* Each line of the report is a mistake. */
static void add_mistakes(struct span report, struct buf *out)
{
    const char *at = report.data;
    const char *end = at + report.size;
    bool first = true;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        if (stop > at) {
            buf_add_text(out, first ? "" : ",");
            buf_add_json_string(out, (struct span){ .data = at, .size = (size_t)(stop - at) });
            first = false;
        }
        at = newline ? newline + 1 : end;
    }
}

static int print_json(const char *path, const struct config *config, struct span report)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    buf_add_text(&text, "{\"file\":");
    buf_add_json_string(&text, span_of(path));
    buf_printf(&text, ",\"right\":%s", report.size == 0 ? "true" : "false");
    if (report.size == 0)
        buf_printf(&text, ",\"types\":%zu,\"queues\":%zu,\"targets\":%zu", config->type_count,
                   config->queue_count, config->target_count);
    buf_add_text(&text, ",\"mistakes\":[");
    add_mistakes(report, &text);
    buf_add_text(&text, "]}");
    int code = output_json("errand.config/1", buf_span(&text));
    buf_free(&text);
    return code;
}

/* The mistakes are what was asked for: data. */
static int print_text(const char *path, const struct config *config, struct span report)
{
    int code = CLI_OK;
    if (report.size == 0) {
        output_note("%s is right: %zu job types in %zu queues, %zu targets", path,
                    config->type_count, config->queue_count, config->target_count);
        return CLI_OK;
    }
    code = output_data(report);
    if (code == CLI_OK && ((const char *)report.data)[report.size - 1] != '\n')
        code = output_data(span_of("\n"));
    output_error("%s is not right", path);
    return code;
}

int config_check_run(const struct args *args)
{
    struct err err = { 0 };
    struct config *config = NULL;
    char *report = NULL;
    char *folder = stack_folder(args, NULL);
    char *own = stack_path(folder, "errand.yaml");
    const char *path = args->item_count ? args->items[0] : own;
    enum err_code code = config_load(path, &config, &report, &err);
    struct buf more = BUF_INIT(REPORT_MAX);
    if (code == ERR_OK)
        check_programs(config, path, &more);
    if (more.size) {
        code = ERR_CONFIG;
        free(report);
        report = buf_take(&more);
    }
    struct span mistakes = span_of(code == ERR_OK ? NULL : report ? report : err.text);
    int printed = output_is_json(args) ? print_json(path, config, mistakes)
                                       : print_text(path, config, mistakes);
    config_free(config);
    free(report);
    free(own);
    free(folder);
    return code == ERR_OK ? printed : CLI_USAGE;
}

int version_run(const struct args *args)
{
    bool json = output_is_json(args);
    struct buf text = BUF_INIT(128);
    buf_printf(&text, json ? "{\"version\":\"%s\"}" : "errand %s\n", version_text());
    int code =
        json ? output_json("errand.version/1", buf_span(&text)) : output_data(buf_span(&text));
    buf_free(&text);
    return code;
}
