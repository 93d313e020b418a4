/* `errand logs`: the logs of all processes as one, in the order of time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/log_line.h"
#include "gateway/cli/output.h"
#include "gateway/cli/stack.h"
#include "gateway/cli/verbs.h"
#include "schemas/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX      128
#define LINES_DEFAULT  200
#define LOOK_EVERY_MS  200
#define FILE_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define SUFFIX         ".log"
#define SUFFIX_OLDER   ".log.1"

struct log_file {
    char *process;
    char *path;
    bool older; /* what was rotated away */
    ino_t inode;
    off_t offset;  /* read so far */
    char time[32]; /* of the last line */
};

struct logs {
    const struct args *args;
    struct log_filter filter;
    bool colour;
    struct log_file files[FILES_MAX];
    size_t file_count;
    struct log_line *lines;
    size_t line_count;
    size_t line_capacity;
};

/* --- files --- */

static bool is_wanted(const struct args *args, const char *process)
{
    for (size_t i = 0; i < args->item_count; i++) {
        if (strcmp(args->items[i], process) == 0)
            return true;
    }
    return args->item_count == 0;
}

static bool is_known(const struct logs *logs, const char *path)
{
    for (size_t i = 0; i < logs->file_count; i++) {
        if (strcmp(logs->files[i].path, path) == 0)
            return true;
    }
    return false;
}

static void add_file(struct logs *logs, const char *folder, const char *name)
{
    const char *suffix = strstr(name, SUFFIX);
    bool older = suffix && strcmp(suffix, SUFFIX_OLDER) == 0;
    if (!suffix || suffix == name || (!older && strcmp(suffix, SUFFIX) != 0) ||
        logs->file_count == FILES_MAX)
        return;
    char *process = mem_dup((struct span){ .data = name, .size = (size_t)(suffix - name) });
    char *path = stack_path(folder, name);
    if (!is_wanted(logs->args, process) || is_known(logs, path)) {
        free(process);
        free(path);
        return;
    }
    logs->files[logs->file_count++] =
        (struct log_file){ .process = process, .path = path, .older = older };
}

/* The rotated file of a process comes before its present one. */
static int compare_files(const void *a, const void *b)
{
    const struct log_file *one = a;
    const struct log_file *other = b;
    int order = strcmp(one->process, other->process);
    return order ? order : (int)other->older - (int)one->older;
}

/* Those that are not known yet. */
static void find_files(struct logs *logs, const char *folder)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry = NULL;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    while (directory && (entry = readdir(directory)) != NULL)
        add_file(logs, folder, entry->d_name);
    if (directory)
        (void)closedir(directory);
    qsort(logs->files, logs->file_count, sizeof logs->files[0], compare_files);
}

static void clear_lines(struct logs *logs)
{
    for (size_t i = 0; i < logs->line_count; i++)
        log_line_clear(&logs->lines[i]);
    logs->line_count = 0;
}

static void take_line(struct logs *logs, struct log_file *file, struct span text)
{
    struct log_line line;
    log_line_parse(file->process, text, file->time, &line);
    (void)snprintf(file->time, sizeof file->time, "%s", line.time);
    if (!log_line_fits(&line, &logs->filter)) {
        log_line_clear(&line);
        return;
    }
    if (logs->line_count == logs->line_capacity) {
        logs->line_capacity = logs->line_capacity ? 2 * logs->line_capacity : 1024;
        logs->lines = mem_resize(logs->lines, logs->line_capacity, sizeof *logs->lines);
    }
    line.order = logs->line_count;
    logs->lines[logs->line_count++] = line;
}

/* Whole lines only: the rest is read when it has been written. */
static void take_lines(struct logs *logs, struct log_file *file, struct span text)
{
    const char *at = text.data;
    const char *end = at + text.size;
    const char *newline = NULL;
    while (at < end && (newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        if (newline > at)
            take_line(logs, file, (struct span){ .data = at, .size = (size_t)(newline - at) });
        file->offset += newline + 1 - at;
        at = newline + 1;
    }
}

static void read_rest(struct logs *logs, struct log_file *file, int fd)
{
    struct buf text = BUF_INIT(FILE_BYTES_MAX);
    char chunk[32768];
    ssize_t got = 0;
    while ((got = pread(fd, chunk, sizeof chunk, file->offset + (off_t)text.size)) > 0 &&
           !text.overflow)
        buf_add(&text, chunk, (size_t)got);
    take_lines(logs, file, buf_span(&text));
    buf_free(&text);
}

/* What was written between the last look and the moment when the file was rotated away. */
static void read_rotated(struct logs *logs, struct log_file *file)
{
    struct stat status;
    char older[PATH_MAX];
    (void)snprintf(older, sizeof older, "%s.1", file->path);
    int fd = open(older, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size >= file->offset)
        read_rest(logs, file, fd);
    if (fd >= 0)
        (void)close(fd);
}

static void read_new(struct logs *logs, struct log_file *file)
{
    struct stat status;
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 &&
        (status.st_ino != file->inode || status.st_size < file->offset)) {
        if (file->inode && !file->older)
            read_rotated(logs, file);
        file->inode = status.st_ino;
        file->offset = 0;
    }
    read_rest(logs, file, fd);
    (void)close(fd);
}

/* --- lines --- */

static int compare_lines(const void *a, const void *b)
{
    return log_line_compare(a, b);
}

static int print_lines(struct logs *logs, size_t lines_max)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    bool json = output_is_json(logs->args);
    size_t first = logs->line_count > lines_max ? logs->line_count - lines_max : 0;
    for (size_t i = first; i < logs->line_count; i++) {
        const struct log_line *line = &logs->lines[i];
        if (!json) {
            log_line_render(line, logs->colour, &text);
        } else if (line->structured) {
            buf_add_text(&text, line->text);
            buf_add_char(&text, '\n');
        }
    }
    clear_lines(logs);
    int code = output_data(buf_span(&text));
    buf_free(&text);
    return code;
}

static int follow(struct logs *logs, const char *folder)
{
    int code = CLI_OK;
    while (code == CLI_OK) {
        find_files(logs, folder);
        for (size_t i = 0; i < logs->file_count; i++) {
            if (!logs->files[i].older)
                read_new(logs, &logs->files[i]);
        }
        if (logs->line_count > 0) {
            qsort(logs->lines, logs->line_count, sizeof *logs->lines, compare_lines);
            code = print_lines(logs, SIZE_MAX);
        }
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
    return code;
}

static int show(struct logs *logs, const char *folder)
{
    for (size_t i = 0; i < logs->file_count; i++)
        read_new(logs, &logs->files[i]);
    if (logs->line_count > 0)
        qsort(logs->lines, logs->line_count, sizeof *logs->lines, compare_lines);
    int code = print_lines(logs, (size_t)args_number(logs->args, "lines", LINES_DEFAULT));
    return code == CLI_OK && args_has(logs->args, "follow") ? follow(logs, folder) : code;
}

static int nothing_found(const struct args *args, const char *folder)
{
    if (args->item_count == 0) {
        output_error("there are no logs in %s", folder);
        output_try("errand up");
        return CLI_UNREACHABLE;
    }
    output_error("there is no log of '%s'", args->items[0]);
    output_try("errand status, for the names");
    return CLI_NOT_FOUND;
}

static void read_filter(const struct args *args, struct log_filter *ret_filter)
{
    const char *level = args_text(args, "level");
    *ret_filter =
        (struct log_filter){ .job_id = args_text(args, "job"), .any_level = level == NULL };
    if (level)
        (void)log_level_parse(span_of(level), &ret_filter->level);
}

int logs_run(const struct args *args)
{
    char *stack = stack_folder(args, NULL);
    char *folder = stack_path(stack, "log");
    struct logs *logs = MEM_NEW(*logs);
    logs->args = args;
    logs->colour = output_has_colour();
    read_filter(args, &logs->filter);
    find_files(logs, folder);
    int code = logs->file_count ? show(logs, folder) : nothing_found(args, folder);
    for (size_t i = 0; i < logs->file_count; i++) {
        free(logs->files[i].process);
        free(logs->files[i].path);
    }
    clear_lines(logs);
    free(logs->lines);
    free(logs);
    free(folder);
    free(stack);
    return code;
}
