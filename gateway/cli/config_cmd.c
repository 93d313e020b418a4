/* `errand config check` and `errand version`.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/output.h"
#include "gateway/cli/stack.h"
#include "gateway/cli/verbs.h"
#include "infra/config.h"
#include "infra/version.h"

#include <stdlib.h>

int config_check_run(const struct args *args)
{
    struct err err = { 0 };
    struct config *config = NULL;
    char *report = NULL;
    char *folder = stack_folder(args, NULL);
    char *own = stack_path(folder, "errand.yaml");
    const char *path = args->item_count ? args->items[0] : own;
    enum err_code code = config_load(path, &config, &report, &err);
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
