/* See real_redis.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/real_redis.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

void real_redis_start(struct real_redis *server)
{
    *server = (struct real_redis){ .folder = "/tmp/errand-redis-XXXXXX" };
    assert_non_null(mkdtemp(server->folder));
    snprintf(server->address, sizeof server->address, "unix:%s/socket", server->folder);
    server->addresses[0] = server->address;
    server->config = (struct config_redis){
        .addresses = { server->addresses, 1 },
        .username = server->empty,
        .password = server->empty,
        .view_timeout_ms = 5000,
        .gate_timeout_ms = 5000,
    };
    pid_t parent = getpid();
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket",
               server->address + strlen("unix:"), "--dir", server->folder, "--save", "",
               "--appendonly", "no", "--logfile", "redis.log", (char *)NULL);
        _exit(127);
    }
}

void real_redis_stop(struct real_redis *server)
{
    char path[128];
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    snprintf(path, sizeof path, "%s/redis.log", server->folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/socket", server->folder);
    unlink(path);
    rmdir(server->folder);
}
