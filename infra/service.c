/* See service.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/service.h"

#include "infra/clock.h"
#include "infra/version.h"
#include "schemas/buf.h"
#include "schemas/digest.h"
#include "schemas/mem.h"
#include "schemas/suggest.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define POSTS_MAX         65536
#define LOG_BUFFER_BYTES  ((size_t)4 * 1024 * 1024)
#define OPEN_FILES_MAX    65536
#define STALL_MS          10000 /* a loop that does not turn for so long is ended */
#define STALL_LOOK_MS     500
#define HEARTBEAT_MS      1000 /* an idle loop turns at least so often */
#define DRAIN_GRACE_MS    2000
#define ROUTES_MAX        64
#define READY_BYTES_MAX   ((size_t)64 * 1024)
#define METRICS_BYTES_MAX ((size_t)16 * 1024 * 1024)

enum { EXIT_DRAINED = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct service_condition {
    struct service_condition *next;
    char name[32];
    bool ready;
    char why[256];
};

struct service {
    const struct service_spec *spec;
    const char *config_path;
    struct config *config;
    struct log *log;
    struct loop *loop;
    struct metrics *metrics;
    struct http_server *http;
    struct http_route routes[ROUTES_MAX];
    const char *name;
    char incarnation[17];
    void *state;
    struct service_condition *conditions;
    struct loop_signal *term, *interrupt;
    struct loop_timer *drain_limit, *heartbeat;
    pthread_t watchdog;
    bool watching;
    atomic_bool stopping;
    bool draining, announced;
    int exit_code;
};

/* --- accessors --- */

struct loop *service_loop(const struct service *service)
{
    return service->loop;
}

const struct config *service_config(const struct service *service)
{
    return service->config;
}

struct log *service_log(const struct service *service)
{
    return service->log;
}

struct metrics *service_metrics(const struct service *service)
{
    return service->metrics;
}

struct http_server *service_http(const struct service *service)
{
    return service->http;
}

const char *service_name(const struct service *service)
{
    return service->name;
}

const char *service_incarnation(const struct service *service)
{
    return service->incarnation;
}

void *service_state(const struct service *service)
{
    return service->state;
}

bool service_is_draining(const struct service *service)
{
    return service->draining;
}

/* --- readiness --- */

/* sd_notify's protocol: one datagram to the socket that systemd names. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (address.sun_path[0] == '@')
        address.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0)
        errno = 0; /* systemd's loss: a daemon does not fail for it */
    close(fd);
}

bool service_ready(const struct service *service)
{
    if (service->draining)
        return false;
    for (const struct service_condition *c = service->conditions; c; c = c->next) {
        if (!c->ready)
            return false;
    }
    return true;
}

struct service_condition *service_condition_new(struct service *service, const char *name)
{
    struct service_condition *condition = MEM_NEW(*condition);
    snprintf(condition->name, sizeof condition->name, "%s", name);
    snprintf(condition->why, sizeof condition->why, "starting");
    condition->next = service->conditions;
    service->conditions = condition;
    return condition;
}

void service_condition_set(struct service_condition *condition, bool ready, const char *why)
{
    condition->ready = ready;
    if (!ready)
        snprintf(condition->why, sizeof condition->why, "%s", why ? why : "not ready");
}

static void announce(struct service *service)
{
    if (service->announced || !service_ready(service))
        return;
    service->announced = true;
    log_write(service->log, LOG_INFO, "service", NULL, "ready");
    notify("READY=1");
}

/* --- the operators' routes --- */

static void reply(struct http_request *req, int status, const char *type, const struct buf *body)
{
    http_reply(req, &(struct http_answer){
                        .status = status, .content_type = type, .body = buf_span(body) });
}

static void livez(struct http_request *req, void *arg)
{
    const struct service *service = arg;
    struct buf body = BUF_INIT(READY_BYTES_MAX);
    buf_printf(&body, "{\"live\":true,\"process\":\"%s\",\"version\":\"%s\"}\n", service->name,
               version_text());
    reply(req, 200, "application/json", &body);
    buf_free(&body);
}

static void readyz(struct http_request *req, void *arg)
{
    struct service *service = arg;
    bool ready = service_ready(service);
    struct buf body = BUF_INIT(READY_BYTES_MAX);
    buf_printf(&body, "{\"ready\":%s,\"process\":\"%s\",\"conditions\":[", ready ? "true" : "false",
               service->name);
    const char *comma = "";
    if (service->draining) {
        buf_add_text(&body, "{\"name\":\"draining\",\"ready\":false,\"why\":\"shutting down\"}");
        comma = ",";
    }
    for (const struct service_condition *c = service->conditions; c; c = c->next) {
        buf_printf(&body, "%s{\"name\":\"%s\",\"ready\":%s", comma, c->name,
                   c->ready ? "true" : "false");
        if (!c->ready) {
            buf_add_text(&body, ",\"why\":");
            buf_add_json_string(&body, span_of(c->why));
        }
        buf_add_char(&body, '}');
        comma = ",";
    }
    buf_add_text(&body, "]}\n");
    reply(req, ready ? 200 : 503, "application/json", &body);
    buf_free(&body);
}

static void metrics_page(struct http_request *req, void *arg)
{
    const struct service *service = arg;
    struct buf body = BUF_INIT(METRICS_BYTES_MAX);
    metrics_render(service->metrics, &body);
    reply(req, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    buf_free(&body);
}

/* A socket that systemd or our supervisor holds for us is descriptor 3 (sd_listen_fds). */
static int inherited_socket(void)
{
    const char *pid = getenv("LISTEN_PID");   /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    const char *count = getenv("LISTEN_FDS"); /* NOLINT(concurrency-mt-unsafe) */
    if (!pid || !count || strtol(pid, NULL, 10) != getpid() || strtol(count, NULL, 10) < 1)
        return -1;
    return 3;
}

static enum err_code open_http(struct service *service, struct err *err)
{
    static const struct http_route own[] = {
        { "GET", "/livez", livez, 0 },
        { "GET", "/readyz", readyz, 0 },
        { "GET", "/metrics", metrics_page, 0 },
    };
    size_t count = sizeof own / sizeof *own;
    if (count + service->spec->route_count > ROUTES_MAX)
        return err_set(err, ERR_INTERNAL, "more than %d routes", ROUTES_MAX);
    memcpy(service->routes, own, sizeof own);
    for (size_t i = 0; i < service->spec->route_count; i++)
        service->routes[count++] = service->spec->routes[i];
    struct http_server_options options = {
        .config = service->spec->http(service->config),
        .listen_fd = inherited_socket(),
        .routes = service->routes,
        .route_count = count,
        .arg = service,
        .metrics = service->metrics,
        .log = service->log,
    };
    return http_server_open(service->loop, &options, &service->http, err);
}

/* --- the end --- */

void service_drained(struct service *service)
{
    loop_stop(service->loop);
}

void service_fail(struct service *service, const struct err *err)
{
    log_write(service->log, LOG_ERROR, "service", &(struct log_about){ .err = err }, "gives up");
    service->exit_code = EXIT_FAILED;
    loop_stop(service->loop);
}

static void on_drain_limit(void *arg)
{
    struct service *service = arg;
    log_write(service->log, LOG_WARN, "service", NULL,
              "what runs did not end within %lld ms; stopping anyway",
              (long long)(service->spec->drain_ms + DRAIN_GRACE_MS));
    loop_stop(service->loop);
}

static void on_term(void *arg, int signal_number)
{
    struct service *service = arg;
    if (service->draining)
        _exit(EXIT_FAILED); /* the second one means now */
    service->draining = true;
    log_write(service->log, LOG_INFO, "service", NULL, "signal %d: draining", signal_number);
    notify("STOPPING=1");
    loop_timer_start(service->drain_limit, service->spec->drain_ms + DRAIN_GRACE_MS, 0);
    if (service->spec->drain && service->state)
        service->spec->drain(service->state);
    else
        loop_stop(service->loop);
}

/* --- the watchdog --- */

static void on_heartbeat(void *arg)
{
    announce(arg);
}

/* thread: its own */
static void *watch(void *arg)
{
    struct service *service = arg;
    int64_t looked_at_ms = clock_monotonic_ms();
    int64_t stalled_ms = 0;
    while (!atomic_load(&service->stopping)) {
        usleep(STALL_LOOK_MS * 1000);
        int64_t now_ms = clock_monotonic_ms();
        bool we_slept = now_ms - looked_at_ms >
                        4 * STALL_LOOK_MS; /* the whole process was stopped: nobody's fault */
        looked_at_ms = now_ms;
        bool turned = now_ms - loop_turned_at_ms(service->loop) < STALL_LOOK_MS + 2 * HEARTBEAT_MS;
        stalled_ms = turned || we_slept ? 0 : stalled_ms + STALL_LOOK_MS;
        if (stalled_ms >= STALL_MS) {
            static const char text[] = "the loop has not turned for 10 s: ending the process\n";
            ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
            (void)written;
            abort();
        }
    }
    return NULL;
}

/* --- the start --- */

static void usage(const struct service_spec *spec, FILE *out)
{
    fprintf(out,
            "%s\n\nUsage: %s [--config FILE]\n\n"
            "  --config FILE  the configuration (default: the file that ERRAND_CONFIG names, else "
            "defaults)\n"
            "  --version      prints the version\n"
            "  --help         prints this\n\n"
            "Every key of the configuration can be set by a variable ERRAND_...; docs/CONFIG.md "
            "lists them.\n",
            spec->description, spec->program);
}

/* -1: go on. */
static int parse_arguments(struct service *service, int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "version", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    static const char *const names[] = { "--config", "--version", "--help" };
    const struct service_spec *spec = service->spec;
    service->config_path =
        getenv("ERRAND_CONFIG"); /* NOLINT(concurrency-mt-unsafe): before any thread */
    opterr = 0;
    for (;;) {
        int index = optind;
        int option = getopt_long(argc, argv, "", options, NULL); /* NOLINT(concurrency-mt-unsafe) */
        if (option == -1)
            break;
        if (option == 'c') {
            service->config_path = optarg;
        } else if (option == 'v') {
            printf("%s %s\n", spec->program, version_text());
            return EXIT_DRAINED;
        } else if (option == 'h') {
            usage(spec, stdout);
            return EXIT_DRAINED;
        } else {
            const char *word = argv[index];
            const char *near = suggest_nearest(span_of(word), names, sizeof names / sizeof *names);
            fprintf(stderr, "error: %s: %s\n  try: %s --help\n", spec->program, word,
                    spec->program);
            if (near)
                fprintf(stderr, "  did you mean %s?\n", near);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "error: %s takes no argument \"%s\"\n  try: %s --help\n", spec->program,
                argv[optind], spec->program);
        return EXIT_USAGE;
    }
    return -1;
}

static void set_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < OPEN_FILES_MAX ? files.rlim_max : OPEN_FILES_MAX;
        setrlimit(RLIMIT_NOFILE, &files);
    }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct rlimit core = { 0, 0 };
    setrlimit(RLIMIT_CORE,
              &core); /* secrets stay out of core files, and out of other processes' reach */
    prctl(PR_SET_DUMPABLE, 0);
#endif
    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    sigaction(SIGHUP, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
}

static void name_process(struct service *service)
{
    const char *name =
        getenv("ERRAND_PROCESS"); /* NOLINT(concurrency-mt-unsafe): before any thread */
    const char *program = service->spec->program;
    service->name =
        name && name[0] ? name : program + (strncmp(program, "errand-", 7) == 0 ? 7 : 0);
    uint8_t random[8] = { 0 };
    struct buf text = BUF_INIT(16);
    if (!digest_random(random, sizeof random))
        memcpy(random, &(int64_t){ clock_monotonic_us() }, sizeof random);
    buf_add_hex(&text, (struct span){ random, sizeof random });
    snprintf(service->incarnation, sizeof service->incarnation, "%s", text.data);
    buf_free(&text);
}

static enum err_code open_basics(struct service *service, struct err *err)
{
    const struct config_log *log = &service->config->log;
    struct log_options options = {
        .process = service->name,
        .path = log->path && log->path[0] ? log->path : NULL,
        .level = log->level,
        .rotate_bytes = (size_t)log->rotate_bytes,
        .buffer_bytes = LOG_BUFFER_BYTES,
    };
    enum err_code code = log_open(&options, &service->log, err);
    if (code)
        return code;
    service->loop = loop_new(POSTS_MAX);
    service->metrics = metrics_new();
    service->term = loop_signal_new(service->loop, SIGTERM, on_term, service);
    service->interrupt = loop_signal_new(service->loop, SIGINT, on_term, service);
    service->drain_limit = loop_timer_new(service->loop, on_drain_limit, service);
    service->heartbeat = loop_timer_new(service->loop, on_heartbeat, service);
    loop_timer_start(service->heartbeat, 0, HEARTBEAT_MS);
    code = open_http(service, err);
    if (code)
        return code;
    log_write(service->log, LOG_INFO, "service", NULL, "%s %s listens on %s, configuration %s",
              service->spec->program, version_text(), http_server_address(service->http),
              service->config_path ? service->config_path : "(defaults)");
    return service->spec->start(service, &service->state, err);
}

static void close_all(struct service *service)
{
    atomic_store(&service->stopping, true);
    if (service->watching)
        pthread_join(service->watchdog, NULL);
    http_server_close(service->http);
    if (service->state)
        service->spec->stop(service->state);
    loop_signal_free(service->term);
    loop_signal_free(service->interrupt);
    loop_timer_free(service->drain_limit);
    loop_timer_free(service->heartbeat);
    loop_free(service->loop);
    metrics_free(service->metrics);
    while (service->conditions) {
        struct service_condition *next = service->conditions->next;
        free(service->conditions);
        service->conditions = next;
    }
    log_write(service->log, LOG_INFO, "service", NULL, "ends with exit code %d",
              service->exit_code);
    log_close(service->log);
    config_free(service->config);
}

int service_main(const struct service_spec *spec, int argc, char **argv)
{
    struct service service = { .spec = spec };
    int done = parse_arguments(&service, argc, argv);
    if (done >= 0)
        return done;
    set_limits();
    name_process(&service);
    struct err err;
    char *report = NULL;
    if (config_load(service.config_path, &service.config, &report, &err)) {
        fprintf(stderr, "error: the configuration is wrong\n%s\n  try: errand config check\n",
                report && report[0] ? report : err.text);
        free(report);
        return EXIT_USAGE;
    }
    free(report);
    if (open_basics(&service, &err)) {
        log_write(service.log, LOG_ERROR, "service", &(struct log_about){ .err = &err },
                  "cannot start");
        fprintf(stderr, "error: %s cannot start: %s\n", spec->program, err.text);
        service.exit_code = err.code == ERR_CONFIG ? EXIT_USAGE : EXIT_FAILED;
    } else {
        service.watching = pthread_create(&service.watchdog, NULL, watch, &service) == 0;
        loop_run(service.loop);
    }
    close_all(&service);
    return service.exit_code;
}
