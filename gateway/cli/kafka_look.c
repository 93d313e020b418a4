/* A look into the stack's Kafka.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/kafka_look.h"

#include "gateway/cli/output.h"
#include "gateway/cli/stack_settings.h"
#include "gateway/cli/watch.h"
#include "infra/config.h"
#include "infra/kafka_admin.h"
#include "schemas/mem.h"

#include <stdlib.h>

static int load(const char *folder, const struct stack_state *state, struct config **ret_config)
{
    struct err err = { 0 };
    char *report = NULL;
    int code = CLI_OK;
    if (stack_settings_load(folder, state, ret_config, &report, &err) != ERR_OK) {
        output_error("the stack's configuration cannot be used");
        watch_print_lines(report ? report : err.text);
        output_try("errand config check --dir %s", folder);
        code = CLI_USAGE;
    }
    free(report);
    return code;
}

static int load_file(const char *path, struct config **ret_config)
{
    struct err err = { 0 };
    char *report = NULL;
    int code = CLI_OK;
    if (config_load(path, ret_config, &report, &err) != ERR_OK) {
        output_error("the configuration cannot be used");
        watch_print_lines(report ? report : err.text);
        code = CLI_USAGE;
    }
    free(report);
    return code;
}

static int load_stack(const char *folder, struct config **ret_config)
{
    struct err err = { 0 };
    struct stack_state *state = MEM_NEW(*state);
    int code = CLI_UNREACHABLE;
    if (!stack_is_locked(folder)) {
        output_error("errand is not running in %s", folder);
        output_try("errand up");
    } else if (stack_state_load(folder, state, &err) != ERR_OK) {
        output_error("the stack's state cannot be read");
        output_why("%s", err.text);
    } else {
        code = load(folder, state, ret_config);
    }
    free(state);
    return code;
}

int kafka_look_open(const struct args *args, struct kafka_look *ret_look)
{
    return kafka_look_open_for(args, KAFKA_READ_LOGS, ret_look);
}

int kafka_look_open_for(const struct args *args, enum kafka_reading reading,
                        struct kafka_look *ret_look)
{
    struct err err = { 0 };
    struct kafka_look look = { 0 };
    const char *file = args_text(args, "config");
    char *folder = stack_folder(args, NULL);
    int code = file ? load_file(file, &look.config) : load_stack(folder, &look.config);
    free(folder);
    if (code == CLI_OK &&
        kafka_admin_open_for(&look.config->kafka, "errand", reading, &look.admin, &err) != ERR_OK) {
        output_error("Kafka cannot be asked");
        output_why("%s", err.text);
        kafka_look_close(&look);
        code = CLI_FAILED;
    }
    if (code == CLI_OK)
        *ret_look = look;
    return code;
}

void kafka_look_close(struct kafka_look *look)
{
    kafka_admin_close(look->admin);
    config_free(look->config);
    *look = (struct kafka_look){ 0 };
}
