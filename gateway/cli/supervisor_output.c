/* What children print, caught in log/NAME.log. Daemons rotate their own logs; Redis and brokers
 * know no file, only an open descriptor.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/supervisor_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUTPUT_BYTES_MAX ((off_t)16 * 1024 * 1024)

static char *path_of(const char *folder, const char *name, const char *suffix)
{
    char file[STACK_NAME_SIZE + 16];
    (void)snprintf(file, sizeof file, "log/%s.log%s", name, suffix);
    return stack_path(folder, file);
}

int output_open(const char *folder, const char *name)
{
    char *path = path_of(folder, name, "");
    output_rotate(folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    free(path);
    return fd;
}

static bool copy(int from, off_t size, const char *path)
{
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t got = to < 0 ? 0 : 1;
    while (size > 0 && got > 0) {
        got = sendfile(to, from, NULL, (size_t)size);
        size -= got > 0 ? got : 0;
    }
    if (to >= 0)
        (void)close(to);
    return size == 0;
}

void output_rotate(const char *folder, const char *name)
{
    struct stat status;
    char *path = path_of(folder, name, "");
    char *older = path_of(folder, name, ".1");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > OUTPUT_BYTES_MAX &&
        (!copy(fd, status.st_size, older) || ftruncate(fd, 0) != 0))
        (void)unlink(older); /* it grows on, and nothing is there twice */
    if (fd >= 0)
        (void)close(fd);
    free(older);
    free(path);
}
