/* See log.h. Lines lie in a ring of bytes, never wrapped: a line that does not fit before the end
 * begins at the start again. Callers add under the mutex; the writer takes the longest unbroken run
 * of whole lines and writes it without the mutex, since nobody touches bytes between tail and head.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/log.h"

#include "infra/clock.h"
#include "schemas/buf.h"
#include "schemas/json_out.h"
#include "schemas/mem.h"
#include "schemas/timefmt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_SIZE    8192
#define MESSAGE_MAX_SIZE 4096
#define CLOSE_MS         1000
#define POLL_MS          100
/* A pipe that polls as writable takes this much without blocking (POSIX). */
#define WRITE_MAX  4096
#define BUFFER_MIN (2 * (size_t)LINE_MAX_SIZE)

struct log {
    char *process;
    char *path; /* NULL: stderr */
    size_t rotate_bytes;
    pthread_t writer;
    pthread_mutex_t mutex;
    pthread_cond_t work; /* something to write, or closing */
    pthread_cond_t done; /* the writer has ended */
    _Atomic int64_t dropped;

    /* Under the mutex. */
    char *ring;
    size_t ring_bytes;
    size_t head; /* where the next line goes */
    size_t tail; /* the oldest byte not yet written */
    size_t wrap; /* where the lines end when head is before tail; ring_bytes otherwise */
    int64_t unreported;
    int64_t close_at_ms;
    bool full; /* tells full from empty when head == tail */
    bool closing;
    bool ended;
    bool left; /* log_close did not wait: the writer frees it all, should it ever end */

    /* Only the writer's, once it runs. */
    bool rotates; /* a regular file */
    int fd;
    size_t file_bytes;

    enum log_level level;
};

/* --- the ring; under the mutex --- */

/* Where `size` bytes fit in one piece, NULL when they do not. */
static char *ring_room(struct log *log, size_t size)
{
    if (log->full)
        return NULL;
    if (log->head < log->tail)
        return log->tail - log->head >= size ? log->ring + log->head : NULL;
    if (log->ring_bytes - log->head >= size)
        return log->ring + log->head;
    if (log->tail < size)
        return NULL;
    log->wrap = log->head;
    log->head = 0;
    return log->ring;
}

static bool ring_add(struct log *log, struct span line)
{
    char *room = ring_room(log, line.size);
    if (!room)
        return false;
    memcpy(room, line.data, line.size);
    log->head += line.size;
    log->full = log->head == log->tail;
    return true;
}

/* The oldest run of lines in one piece. */
static struct span ring_run(struct log *log)
{
    if (log->head == log->tail && !log->full)
        return (struct span){ 0 };
    if (log->tail < log->head)
        return (struct span){ log->ring + log->tail, log->head - log->tail };
    if (log->tail < log->wrap)
        return (struct span){ log->ring + log->tail, log->wrap - log->tail };
    log->tail = 0;
    log->wrap = log->ring_bytes;
    return (struct span){ log->ring, log->head };
}

static void ring_consume(struct log *log, size_t size)
{
    log->tail += size;
    log->full = false;
    if (log->tail == log->head) {
        log->head = log->tail = 0;
        log->wrap = log->ring_bytes;
    }
}

/* --- the writer --- */

static bool time_is_up(struct log *log)
{
    pthread_mutex_lock(&log->mutex);
    bool up = log->closing && clock_monotonic_ms() >= log->close_at_ms;
    pthread_mutex_unlock(&log->mutex);
    return up;
}

static void count_lost(struct log *log, struct span lines)
{
    int64_t count = 0;
    const char *p = lines.data;
    const char *end = p + lines.size;
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
        count++;
        p++;
    }
    atomic_fetch_add_explicit(&log->dropped, count, memory_order_relaxed);
    pthread_mutex_lock(&log->mutex);
    log->unreported += count;
    pthread_mutex_unlock(&log->mutex);
}

/* Opens the path; what is there is kept. A named pipe without a reader is an error, never a wait.
 */
static int open_file(const char *path, struct stat *ret_status)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd >= 0 && fstat(fd, ret_status) != 0) {
        int cause = errno;
        close(fd);
        errno = cause;
        return -1;
    }
    return fd;
}

/* The file becomes path.1. Where that fails the old one simply grows on. */
static void rotate(struct log *log)
{
    struct buf old = BUF_INIT(8192);
    buf_printf(&old, "%s.1", log->path);
    struct stat status;
    int fd = -1;
    if (!old.overflow && (rename(log->path, old.data) == 0 || errno == ENOENT))
        fd = open_file(log->path, &status);
    if (fd >= 0) {
        close(log->fd);
        log->fd = fd;
        log->file_bytes = (size_t)status.st_size;
    }
    buf_free(&old);
}

/* Of whole lines, as many as the file still takes; none when it is to be rotated first. An empty
 * file takes at least one. */
static struct span piece_for_file(const struct log *log, struct span run)
{
    if (!log->rotates || log->file_bytes + run.size <= log->rotate_bytes)
        return run;
    size_t room = log->rotate_bytes > log->file_bytes ? log->rotate_bytes - log->file_bytes : 0;
    const char *end = room ? memrchr(run.data, '\n', room < run.size ? room : run.size) : NULL;
    if (!end && log->file_bytes == 0)
        end = memchr(run.data, '\n', run.size);
    return (struct span){ run.data, end ? (size_t)(end - (const char *)run.data) + 1 : 0 };
}

/* Writes until the file refuses or the time for closing is up; returns how much. */
static size_t write_piece(struct log *log, struct span piece)
{
    size_t done = 0;
    while (done < piece.size) {
        size_t left = piece.size - done;
        struct pollfd ready = { .fd = log->fd, .events = POLLOUT };
        ssize_t size = 0;
        if (poll(&ready, 1, POLL_MS) > 0) {
            size = write(log->fd, (const char *)piece.data + done,
                         log->rotates || left < WRITE_MAX ? left : WRITE_MAX);
            if (size < 0 && errno != EINTR && errno != EAGAIN)
                break;
        }
        if (size > 0)
            done += (size_t)size;
        else if (time_is_up(log))
            break;
    }
    log->file_bytes += done;
    return done;
}

static void write_run(struct log *log, struct span run)
{
    while (run.size > 0) {
        struct span piece = piece_for_file(log, run);
        if (piece.size == 0) {
            rotate(log);
            piece = log->file_bytes ? run : piece_for_file(log, run);
        }
        size_t done = write_piece(log, piece);
        run = (struct span){ (const char *)run.data + done, run.size - done };
        if (done < piece.size)
            break;
    }
    if (run.size > 0)
        count_lost(log, run);
}

static void free_log(struct log *log)
{
    if (log->path && log->fd >= 0)
        close(log->fd);
    pthread_mutex_destroy(&log->mutex);
    pthread_cond_destroy(&log->work);
    pthread_cond_destroy(&log->done);
    free(log->process);
    free(log->path);
    free(log->ring);
    free(log);
}

static void *write_lines(void *arg)
{
    struct log *log = arg;
    pthread_mutex_lock(&log->mutex);
    for (;;) {
        struct span run = ring_run(log);
        if (run.size == 0 && log->closing)
            break;
        if (run.size == 0) {
            pthread_cond_wait(&log->work, &log->mutex);
            continue;
        }
        pthread_mutex_unlock(&log->mutex);
        write_run(log, run);
        pthread_mutex_lock(&log->mutex);
        ring_consume(log, run.size);
    }
    log->ended = true;
    bool left = log->left;
    pthread_cond_signal(&log->done);
    pthread_mutex_unlock(&log->mutex);
    if (left)
        free_log(log);
    return NULL;
}

/* --- a line --- */

struct line {
    const struct log *log;
    enum log_level level;
    const char *component;
    const struct log_about *about;
    struct span message;
    bool cut; /* the message was longer */
};

static const char *const level_texts[] = { "debug", "info", "warn", "error" };

static struct span cut_to(struct span text, size_t size_max, bool *ret_cut)
{
    if (text.size <= size_max)
        return text;
    *ret_cut = true;
    size_t size = size_max;
    while (size > 0 && (((const unsigned char *)text.data)[size] & 0xc0) == 0x80)
        size--;
    return (struct span){ text.data, size };
}

/* Every text is cut to `text_max`. */
static void format_line(const struct line *line, size_t text_max, struct buf *out)
{
    bool cut = line->cut;
    char time[25];
    timefmt_rfc3339(clock_wall_ms(), time);
    buf_printf(out, "{\"ts\":\"%s\",\"level\":\"%s\"", time, level_texts[line->level]);
    json_out_text(out, "process", cut_to(span_of(line->log->process), text_max, &cut));
    json_out_text(out, "component", cut_to(span_of(line->component), text_max, &cut));
    buf_add_text(out, ",\"msg\":");
    buf_add_json_string(out, cut_to(line->message, text_max, &cut));
    if (line->about) {
        json_out_text(out, "job_id", cut_to(line->about->job_id, text_max, &cut));
        json_out_text(out, "trace_id", cut_to(line->about->trace_id, text_max, &cut));
        json_out_text(out, "request_id", cut_to(line->about->request_id, text_max, &cut));
    }
    const struct err *err = line->about ? line->about->err : NULL;
    if (err) {
        json_out_text(out, "error", span_of(err_code_text(err->code)));
        json_out_text(out, "error_field", cut_to(span_of(err->field), text_max, &cut));
        json_out_text(out, "error_text", cut_to(span_of(err->text), text_max, &cut));
    }
    buf_add_text(out, cut ? ",\"truncated\":true}\n" : "}\n");
}

/* Escaping may make a text six times as long, so texts are cut shorter until the line fits. */
static void fit_line(const struct line *line, struct buf *out)
{
    size_t text_max = MESSAGE_MAX_SIZE;
    format_line(line, text_max, out);
    while (out->overflow) {
        buf_reset(out);
        text_max /= 2;
        format_line(line, text_max, out);
    }
}

/* Adds the line, after a word about those that did not fit before it. */
static void add_line(struct log *log, struct span line)
{
    pthread_mutex_lock(&log->mutex);
    bool fits = true;
    if (log->unreported > 0) {
        char text[64];
        int size = snprintf(text, sizeof text, "dropped %lld lines", (long long)log->unreported);
        struct line notice = {
            .log = log, .level = LOG_WARN, .component = "log", .message = { text, (size_t)size }
        };
        struct buf out = BUF_INIT(LINE_MAX_SIZE);
        fit_line(&notice, &out);
        fits = ring_add(log, buf_span(&out));
        if (fits)
            log->unreported = 0;
        buf_free(&out);
    }
    if (!fits || !ring_add(log, line)) {
        log->unreported++;
        atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
    }
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->mutex);
}

void log_write(struct log *log, enum log_level level, const char *component,
               const struct log_about *about, const char *format, ...)
{
    if (!log || level < log->level)
        return;
    char message[MESSAGE_MAX_SIZE];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct line line = { .log = log, .level = level, .component = component, .about = about };
    if (size >= (int)sizeof message) /* between two characters */
        line.message =
            cut_to((struct span){ message, sizeof message - 1 }, sizeof message - 2, &line.cut);
    else
        line.message = (struct span){ message, size < 0 ? 0 : (size_t)size };
    struct buf out = BUF_INIT(LINE_MAX_SIZE);
    fit_line(&line, &out);
    add_line(log, buf_span(&out));
    buf_free(&out);
}

/* --- life --- */

static enum err_code open_target(struct log *log, struct err *err)
{
    log->fd = STDERR_FILENO;
    if (!log->path)
        return ERR_OK;
    struct stat status;
    log->fd = open_file(log->path, &status);
    if (log->fd < 0)
        return err_field(err, ERR_IO, "log.path", "%s cannot be opened for writing: %s", log->path,
                         strerrordesc_np(errno));
    log->rotates = S_ISREG(status.st_mode) && log->rotate_bytes > 0;
    log->file_bytes = (size_t)status.st_size;
    return ERR_OK;
}

/* Signals are for the threads that run loops. */
static int start_writer(struct log *log)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&log->writer, NULL, write_lines, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

enum err_code log_open(const struct log_options *options, struct log **ret_log, struct err *err)
{
    struct log *log = MEM_NEW(*log);
    log->process = mem_dup_text(options->process);
    log->path = options->path && options->path[0] ? mem_dup_text(options->path) : NULL;
    log->level = options->level;
    log->rotate_bytes = options->rotate_bytes;
    log->ring_bytes = options->buffer_bytes > BUFFER_MIN ? options->buffer_bytes : BUFFER_MIN;
    log->ring = mem_zalloc(log->ring_bytes, 1);
    log->wrap = log->ring_bytes;
    pthread_mutex_init(&log->mutex, NULL);
    pthread_cond_init(&log->work, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&log->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    enum err_code code = open_target(log, err);
    if (code == ERR_OK && start_writer(log) != 0)
        code = err_set(err, ERR_IO,
                       "the log's thread cannot be started; raise the limit on processes");
    if (code != ERR_OK)
        free_log(log);
    else
        *ret_log = log;
    return code;
}

void log_close(struct log *log)
{
    if (!log)
        return;
    pthread_mutex_lock(&log->mutex);
    log->closing = true;
    log->close_at_ms = clock_monotonic_ms() + CLOSE_MS;
    pthread_cond_signal(&log->work);
    /* A little longer than the writer gives itself. */
    int64_t until_ms = log->close_at_ms + INT64_C(2) * POLL_MS;
    struct timespec until = { .tv_sec = until_ms / 1000,
                              .tv_nsec = (long)(until_ms % 1000) * 1000000 };
    while (!log->ended && pthread_cond_timedwait(&log->done, &log->mutex, &until) == 0)
        ;
    bool ended = log->ended;
    if (!ended) { /* it hangs in the kernel, on a file that does not answer */
        log->left = true;
        pthread_detach(log->writer);
    }
    pthread_mutex_unlock(&log->mutex);
    if (!ended)
        return;
    pthread_join(log->writer, NULL);
    free_log(log);
}

int64_t log_dropped(const struct log *log)
{
    return log ? atomic_load_explicit(&log->dropped, memory_order_relaxed) : 0;
}

bool log_level_parse(struct span text, enum log_level *ret_level)
{
    for (size_t i = 0; i < sizeof level_texts / sizeof *level_texts; i++) {
        if (span_is(text, level_texts[i])) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}
