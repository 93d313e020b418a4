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
int list_run(const struct args *args);
int workers_run(const struct args *args);
int why_run(const struct args *args);
int types_run(const struct args *args);
int health_run(const struct args *args);
int load_cmd_run(const struct args *args);

int lag_run(const struct args *args);
int groups_ls_run(const struct args *args);
int groups_describe_run(const struct args *args);
int groups_seek_run(const struct args *args);
int dead_ls_run(const struct args *args);
int dead_show_run(const struct args *args);
int dead_redrive_run(const struct args *args);
int dead_export_run(const struct args *args);
int dead_purge_run(const struct args *args);
int audit_run(const struct args *args);
int replay_cmd_run(const struct args *args);
int drill_ls_run(const struct args *args);
int drill_report_run(const struct args *args);
int drill_rm_run(const struct args *args);

int topics_ls_run(const struct args *args);
int topics_describe_run(const struct args *args);
int topics_plan_run(const struct args *args);
int topics_tail_run(const struct args *args);
int topics_apply_run(const struct args *args);
int verify_run(const struct args *args);
int chaos_kill_run(const struct args *args);
int chaos_stop_run(const struct args *args);
int chaos_restart_run(const struct args *args);
int chaos_third_party_run(const struct args *args);
int chaos_flush_redis_run(const struct args *args);
int drill_run_run(const struct args *args);
int config_check_run(const struct args *args);
int version_run(const struct args *args);
/* For maintainers and tests. */
int verdict_run(const struct args *args);

/* What the program calls itself with. */
int supervise_run(const struct args *args);
int exec_child_run(const struct args *args);
int mend_child_run(const struct args *args);

#endif
