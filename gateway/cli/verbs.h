/* The functions behind the table of commands, one a command; each returns the exit code.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_VERBS_H
#define GATEWAY_CLI_VERBS_H

#include "gateway/cli/args.h"

int up_run(const struct args *args);
int down_run(const struct args *args);
int status_run(const struct args *args);
int logs_run(const struct args *args);

int submit_run(const struct args *args);
int get_run(const struct args *args);
int wait_run(const struct args *args);
int cancel_run(const struct args *args);
int types_run(const struct args *args);
int health_run(const struct args *args);
int load_cmd_run(const struct args *args);

int topics_ls_run(const struct args *args);
int topics_apply_run(const struct args *args);
int config_check_run(const struct args *args);
int version_run(const struct args *args);
/* For maintainers and tests. */
int verdict_run(const struct args *args);

/* What the program calls itself with. */
int supervise_run(const struct args *args);
int exec_child_run(const struct args *args);

#endif
