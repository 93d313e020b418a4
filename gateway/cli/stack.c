/* A stack's folder: where it is, what is in it, who holds it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/stack.h"

#include "infra/embed.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_DEFAULT   ".errand"
#define CONFIG_EMBEDDED  "deploy/local.yaml"
#define CONFIG_BYTES_MAX ((size_t)1024 * 1024)
#define SECRET_BYTES     32
#define FOLDER_MODE      0700
#define REASON_SIZE      128
#define OPEN_FILES       16 /* while a folder is removed */

static enum err_code fail(const char *what, const char *path, struct err *err)
{
    char reason[REASON_SIZE];
    return err_set(err, ERR_IO, "cannot %s %s: %s", what, path,
                   strerror_r(errno, reason, sizeof reason));
}

int stack_apache_brokers(const struct stack_options *options)
{
    if (strcmp(options->broker, STACK_BROKER_APACHE_3) == 0)
        return 3;
    return strcmp(options->broker, STACK_BROKER_APACHE) == 0 ? 1 : 0;
}

char *stack_path(const char *folder, const char *name)
{
    struct buf path = BUF_INIT(STACK_PATH_SIZE);
    buf_printf(&path, "%s/%s", folder, name);
    return buf_take(&path);
}

/* Symbolic links are resolved as far as the path exists; the rest stays as it was given. */
static char *absolute(const char *path)
{
    char *real = realpath(path, NULL);
    if (real || path[0] == '/')
        return real ? real : mem_dup_text(path);
    char *here = getcwd(NULL, 0);
    char *joined = here ? stack_path(here, path) : mem_dup_text(path);
    free(here);
    return joined;
}

char *stack_folder(const struct args *args, bool *ret_explicit)
{
    const char *given = args_text(args, "dir");
    if (ret_explicit)
        *ret_explicit = given && *given;
    if (!given || !*given)
        given = getenv("ERRAND_DIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    return absolute(given && *given ? given : FOLDER_DEFAULT);
}

enum err_code stack_read_file(const char *path, size_t size_max, struct buf *ret_bytes,
                              struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail("open", path, err);
    struct buf bytes = BUF_INIT(size_max);
    char chunk[16384];
    ssize_t got = 0;
    while ((got = read(fd, chunk, sizeof chunk)) > 0 || (got < 0 && errno == EINTR)) {
        if (got > 0)
            buf_add(&bytes, chunk, (size_t)got);
    }
    enum err_code code = ERR_OK;
    if (got < 0)
        code = fail("read", path, err);
    else if (bytes.overflow)
        code = err_set(err, ERR_LIMIT, "%s is larger than %zu bytes", path, size_max);
    (void)close(fd);
    if (code == ERR_OK)
        *ret_bytes = bytes;
    else
        buf_free(&bytes);
    return code;
}

static bool write_all(int fd, struct span bytes)
{
    const char *at = bytes.data;
    size_t left = bytes.size;
    while (left > 0) {
        ssize_t written = write(fd, at, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        at += written;
        left -= (size_t)written;
    }
    return true;
}

/* Written beside, then renamed: a reader sees the old file or the new one. */
enum err_code stack_write_file(const char *path, struct span bytes, struct err *err)
{
    struct buf beside = BUF_INIT(STACK_PATH_SIZE);
    buf_printf(&beside, "%s.new", path);
    enum err_code code = ERR_OK;
    int fd = open(beside.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        code = fail("create", beside.data, err);
    } else {
        bool written = write_all(fd, bytes) && fdatasync(fd) == 0;
        written = close(fd) == 0 && written;
        if (!written || rename(beside.data, path) != 0)
            code = fail("write", path, err);
    }
    buf_free(&beside);
    return code;
}

static enum err_code make_folder(const char *path, struct err *err)
{
    if (mkdir(path, FOLDER_MODE) == 0)
        return ERR_OK;
    if (errno != EEXIST)
        return fail("make the folder", path, err);
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return fail("use", path, err);
    }
    return ERR_OK;
}

enum err_code stack_create(const char *folder, struct err *err)
{
    return make_folder(folder, err);
}

static enum err_code make_secret(const char *folder, const char *name, struct err *err)
{
    char *path = stack_path(folder, name);
    enum err_code code = ERR_OK;
    if (access(path, F_OK) != 0 || MUTANT(secrets_made_anew)) {
        unsigned char bytes[SECRET_BYTES];
        struct buf text = BUF_INIT(2 * SECRET_BYTES + 1);
        if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
            code = fail("make a secret for", path, err);
        buf_add_hex(&text, (struct span){ .data = bytes, .size = sizeof bytes });
        buf_add_char(&text, '\n');
        if (code == ERR_OK)
            code = stack_write_file(path, buf_span(&text), err);
        explicit_bzero(bytes, sizeof bytes);
        explicit_bzero(text.data, text.size);
        buf_free(&text);
    }
    free(path);
    return code;
}

/* "file:PATH" at `text`, when PATH is relative and such a file lies in `folder`: the copy is read
 * elsewhere. 0 when it is not, else the size of PATH. */
static size_t secret_beside(const char *text, const char *end, const char *folder)
{
    static const char prefix[] = "file:";
    size_t left = (size_t)(end - text);
    if (left <= sizeof prefix || memcmp(text, prefix, sizeof prefix - 1) != 0)
        return 0;
    const char *path = text + sizeof prefix - 1;
    size_t size = 0;
    while (path + size < end && !strchr(" \t\r\n\"',]}#", path[size]))
        size++;
    if (size == 0 || path[0] == '/')
        return 0;
    struct buf file = BUF_INIT(PATH_MAX);
    buf_printf(&file, "%s/%.*s", folder, (int)size, path);
    bool there = !file.overflow && access(file.data, F_OK) == 0;
    buf_free(&file);
    return there ? size : 0;
}

/* References to secrets beside the given file stay what they were: they become absolute. */
static void copy_config(const char *config_file, struct span from, struct buf *out)
{
    char *whole = realpath(config_file, NULL);
    char *slash = whole ? strrchr(whole, '/') : NULL;
    if (slash)
        *slash = '\0';
    const char *text = from.data;
    const char *end = text + from.size;
    for (const char *at = text; at < end; at++) {
        size_t size = slash ? secret_beside(at, end, whole) : 0;
        if (size) {
            buf_printf(out, "file:%s/", whole);
            at += strlen("file:") - 1;
        } else {
            buf_add_char(out, *at);
        }
    }
    free(whole);
}

static enum err_code make_config(const char *folder, const char *config_file, struct err *err)
{
    char *path = stack_path(folder, "errand.yaml");
    enum err_code code = ERR_OK;
    struct span embedded;
    if (config_file) {
        struct buf bytes = BUF_INIT(CONFIG_BYTES_MAX);
        code = stack_read_file(config_file, CONFIG_BYTES_MAX, &bytes, err);
        struct buf copy = BUF_INIT(2 * CONFIG_BYTES_MAX);
        copy_config(config_file, buf_span(&bytes), &copy);
        if (code == ERR_OK)
            code = stack_write_file(path, buf_span(&copy), err);
        buf_free(&copy);
        buf_free(&bytes);
    } else if (access(path, F_OK) != 0) {
        if (embed_find(CONFIG_EMBEDDED, &embedded))
            code = stack_write_file(path, embedded, err);
        else
            code = err_set(err, ERR_IO,
                           "this program carries no configuration; give one with --config");
    }
    free(path);
    return code;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

bool stack_remove_folder(const char *path)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    return nftw(path, remove_one, OPEN_FILES, FTW_DEPTH | FTW_PHYS) == 0;
}

enum err_code stack_prepare(const char *folder, const char *config_file, struct err *err)
{
    static const char *const folders[] = { "secrets", "log", "kafka", "redis" };
    static const char *const secrets[] = { "secrets/id", "secrets/redis" };
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < sizeof folders / sizeof folders[0]; i++) {
        char *path = stack_path(folder, folders[i]);
        code = make_folder(path, err);
        free(path);
    }
    for (size_t i = 0; code == ERR_OK && i < sizeof secrets / sizeof secrets[0]; i++)
        code = make_secret(folder, secrets[i], err);
    return code == ERR_OK ? make_config(folder, config_file, err) : code;
}

/* A lock of the open file (fcntl(2), F_OFD_SETLK): it goes along to a process that inherits the
 * descriptor, and unlike flock's it can be looked at without being taken. */
static struct flock whole_file(void)
{
    return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
}

bool stack_lock(const char *folder, int *ret_fd)
{
    struct flock lock = whole_file();
    char *path = stack_path(folder, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(path);
    if (fd < 0)
        return false;
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        (void)close(fd);
        return false;
    }
    *ret_fd = fd;
    return true;
}

bool stack_is_locked(const char *folder)
{
    struct flock lock = whole_file();
    char *path = stack_path(folder, "lock");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return false;
    bool locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    (void)close(fd);
    return locked;
}
