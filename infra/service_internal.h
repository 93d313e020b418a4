/* What the files of the service skeleton share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SERVICE_INTERNAL_H
#define INFRA_SERVICE_INTERNAL_H

#include "infra/service.h"

enum { SERVICE_EXIT_DRAINED = 0, SERVICE_EXIT_FAILED = 1, SERVICE_EXIT_USAGE = 2 };

/* --- service_command.c: the command line --- */

/* False: the command has been carried out, or was wrong; exit with *ret_exit_code. */
bool service_command_parse(const struct service_spec *spec, int argc, char **argv,
                           const char **ret_config_path, int *ret_exit_code);

/* --- service_process.c: what a process is to its machine --- */

/* A listening socket that systemd or our supervisor holds for us (sd_listen_fds(3)), or -1. */
int service_process_listener(void);
/* Tells systemd, where it asked to be told (sd_notify(3)): "READY=1". */
void service_process_notify(const char *state);

#endif
