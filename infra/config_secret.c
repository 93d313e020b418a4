/* See config_secret.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/config_secret.h"

#include "infra/config_env.h"
#include "schemas/mem.h"
#include "schemas/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char file_prefix[] = "file:";
static const char env_prefix[] = "env:";

struct request {
    struct config_loader *loader;
    struct config_origin origin;
    const char *path;
};

bool config_secret_is_reference(struct span text)
{
    return span_starts_with(text, file_prefix) || span_starts_with(text, env_prefix);
}

void config_secret_free(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

static void refuse(const struct request *request, const char *what, const char *why)
{
    config_loader_problem(request->loader, request->origin, request->path, "%s %s", what, why);
}

static bool take(const struct request *request, struct span secret, const char *what,
                 char **ret_secret)
{
    if (secret.size == 0)
        refuse(request, what, "is empty");
    else if (secret.size > CONFIG_SECRET_MAX)
        refuse(request, what, "is longer than 4 KiB");
    else if (!utf8_is_text(secret))
        refuse(request, what, "must hold UTF-8 text; make one with: openssl rand -hex 32");
    else {
        *ret_secret = mem_dup(secret);
        return true;
    }
    return false;
}

/* A relative path counts from the configuration file's folder. */
static char *resolve(const struct config_loader *loader, struct span name)
{
    struct buf path = BUF_INIT(8192);
    const char *slash = loader->file ? strrchr(loader->file, '/') : NULL;
    if (slash && name.size && *(const char *)name.data != '/')
        buf_add(&path, loader->file, (size_t)(slash - loader->file) + 1);
    buf_add_span(&path, name);
    return buf_take(&path);
}

/* Whether the file is a credential of systemd (LoadCredential=): from version 254 on its mode shows
 * the group's read bit, which stands for an access list that names our user alone. */
static bool is_credential(const struct config_loader *loader, const char *file)
{
    const char *folder = config_loader_variable(loader, "CREDENTIALS_DIRECTORY");
    const char *slash = strrchr(file, '/');
    return folder && folder[0] == '/' && slash && (size_t)(slash - file) == strlen(folder) &&
           strncmp(file, folder, strlen(folder)) == 0;
}

/* Whether the open file is fit to hold a secret. */
static bool is_private(const struct request *request, const char *file, int fd)
{
    struct stat status;
    struct buf fix = BUF_INIT(16384);
    mode_t refused = S_IRWXG | S_IRWXO;
    if (is_credential(request->loader, file))
        refused &= ~(mode_t)S_IRGRP;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        buf_add_text(&fix, "must be a file");
    else if (status.st_mode & refused)
        buf_printf(&fix, "can be used by others than its owner; run: chmod 600 %s", file);
    bool fits = fix.size == 0;
    if (!fits)
        refuse(request, file, fix.data);
    buf_free(&fix);
    return fits;
}

static size_t read_all(int fd, char *bytes, size_t size_max)
{
    size_t size = 0;
    while (size < size_max) {
        ssize_t got = read(fd, bytes + size, size_max - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        size += (size_t)got;
    }
    return size;
}

static bool read_file(const struct request *request, const char *file, char **ret_secret)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        refuse(request, file,
               errno == ENOENT
                   ? "does not exist; make it with: openssl rand -hex 32 (and chmod 600)"
                   : "cannot be opened by this user");
        return false;
    }
    bool done = false;
    if (is_private(request, file, fd)) {
        char bytes[CONFIG_SECRET_MAX +
                   2]; /* a newline may follow, and one byte more tells that it is too long */
        size_t size = read_all(fd, bytes, sizeof bytes);
        if (size && bytes[size - 1] == '\n')
            size--;
        if (size && bytes[size - 1] == '\r')
            size--;
        done = take(request, (struct span){ bytes, size }, file, ret_secret);
        explicit_bzero(bytes, sizeof bytes);
    }
    close(fd);
    return done;
}

static bool read_variable(const struct request *request, const char *name, char **ret_secret)
{
    config_loader_keep(&request->loader->secret_variables, mem_dup_text(name));
    const char *value = config_loader_variable(request->loader, name);
    if (!value) {
        struct buf what = BUF_INIT(8192);
        buf_printf(&what, "the environment variable %s", name);
        refuse(request, what.data, "is not set");
        buf_free(&what);
        return false;
    }
    return take(request, span_of(value), name, ret_secret);
}

/* Whether a variable takes the place of what the file says: that need not even be readable. */
static bool is_replaced(const struct config_loader *loader, struct config_origin origin,
                        const char *path)
{
    struct buf variable = BUF_INIT(1024);
    config_env_add_name(&variable, path);
    bool replaced = !origin.variable && !variable.overflow &&
                    config_loader_variable(loader, variable.data) != NULL;
    buf_free(&variable);
    return replaced;
}

bool config_secret_read(struct config_loader *loader, struct config_origin origin, const char *path,
                        struct span reference, char **ret_secret)
{
    struct request request = { loader, origin, path };
    bool is_file = span_starts_with(reference, file_prefix);
    if (!config_secret_is_reference(reference) || reference.size >= 4096) {
        config_loader_problem(loader, origin, path,
                              "must be a reference, not the secret itself: file:PATH or env:NAME");
        return false;
    }
    if (is_replaced(loader, origin, path))
        return false;
    size_t skip = strlen(is_file ? file_prefix : env_prefix);
    struct span rest = { (const char *)reference.data + skip, reference.size - skip };
    if (rest.size == 0) {
        refuse(&request,
               is_file ? "file:" : "env:", is_file ? "needs a path" : "needs a variable's name");
        return false;
    }
    char *name = is_file ? resolve(loader, rest) : mem_dup(rest);
    bool done =
        is_file ? read_file(&request, name, ret_secret) : read_variable(&request, name, ret_secret);
    free(name);
    return done;
}
