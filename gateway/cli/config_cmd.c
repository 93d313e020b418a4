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
    if (code == ERR_OK) {
        output_note("%s is right: %zu job types in %zu queues, %zu targets", path,
                    config->type_count, config->queue_count, config->target_count);
    } else {
        /* The mistakes are what was asked for: data. */
        int written = output_data(span_of(report ? report : err.text));
        if (written == CLI_OK && !report)
            (void)output_data(span_of("\n"));
        output_error("%s is not right", path);
    }
    config_free(config);
    free(report);
    free(own);
    free(folder);
    return code == ERR_OK ? CLI_OK : CLI_USAGE;
}

int version_run(const struct args *args)
{
    (void)args;
    struct buf text = BUF_INIT(128);
    buf_printf(&text, "errand %s\n", version_text());
    int code = output_data(buf_span(&text));
    buf_free(&text);
    return code;
}
