/* Apache Kafka for a stack.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/apache.h"

#include "gateway/cli/output.h"
#include "gateway/cli/port.h"
#include "gateway/cli/program.h"
#include "infra/embed.h"
#include "schemas/mem.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_NAME       "errand/kafka-" APACHE_VERSION
#define POM_NAME         "deploy/kafka/pom.xml"
#define PROPERTIES_NAME  "deploy/kafka/server.properties"
#define LOGGING_NAME     "deploy/kafka/log4j2.properties"
#define PROPERTIES_BYTES ((size_t)64 * 1024)
#define NAME_SIZE_MAX    64
#define CLUSTER_ID_BYTES 16
#define CLUSTER_ID_TEXT  24 /* 22 characters, the NUL, and room */
#define INSTALL_COMMAND  "apt-get install default-jre-headless maven"

/* --- the jars --- */

/* Free with free(). */
static char *cache_folder(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"); /* NOLINT(concurrency-mt-unsafe): one thread */
    const char *home = getenv("HOME");            /* NOLINT(concurrency-mt-unsafe) */
    if (cache && *cache)
        return stack_path(cache, CACHE_NAME);
    return stack_path(home && *home ? home : "/tmp", ".cache/" CACHE_NAME);
}

static bool make_folders(const char *path)
{
    char *copy = mem_dup_text(path);
    bool made = true;
    for (char *at = copy + 1; made; at++) {
        if (*at != '/' && *at)
            continue;
        bool last = !*at;
        *at = '\0';
        made = mkdir(copy, 0700) == 0 || errno == EEXIST;
        if (last)
            break;
        *at = '/';
    }
    free(copy);
    return made;
}

static bool write_embedded(const char *name, const char *path)
{
    struct span file;
    struct err err = { 0 };
    return embed_find(name, &file) && stack_write_file(path, file, &err) == ERR_OK;
}

/* What an attempt that came to nothing has left. */
static void remove_flat_folder(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry = NULL;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    while (folder && (entry = readdir(folder)) != NULL) {
        char *file = stack_path(path, entry->d_name);
        (void)unlink(file);
        free(file);
    }
    if (folder)
        (void)closedir(folder);
    (void)rmdir(path);
}

/* Into a folder beside, which gets its name only when all the jars are in it. */
static int fetch_into(const char *cache, const char *log_path)
{
    struct buf beside = BUF_INIT(STACK_PATH_SIZE);
    struct plan_argv argv = { 0 };
    buf_printf(&beside, "%s.%lld", cache, (long long)getpid());
    char *pom = stack_path(beside.data, "pom.xml");
    int status = -1;
    if (make_folders(beside.data) && write_embedded(POM_NAME, pom)) {
        plan_argv_add(&argv, "mvn");
        plan_argv_add(&argv, "--batch-mode");
        plan_argv_add(&argv, "--file");
        plan_argv_add(&argv, "%s", pom);
        plan_argv_add(&argv, "dependency:copy-dependencies");
        plan_argv_add(&argv, "-DincludeScope=runtime");
        plan_argv_add(&argv, "-DoutputDirectory=%s", beside.data);
        status = program_run(argv.words, log_path,
                             "fetching Apache Kafka " APACHE_VERSION " from Maven Central");
    }
    if (status == 0 && rename(beside.data, cache) != 0 && errno != ENOTEMPTY && errno != EEXIST)
        status = -1;
    remove_flat_folder(beside.data); /* after a rename there is none */
    plan_argv_clear(&argv);
    free(pom);
    buf_free(&beside);
    return status;
}

static bool fetch(const char *folder, const char *cache)
{
    if (!program_exists("mvn")) {
        output_error("Apache Kafka is not here yet, and there is no Maven to fetch it with");
        output_try(INSTALL_COMMAND);
        return false;
    }
    char *log_path = stack_path(folder, "log/maven.log");
    output_note("fetching Apache Kafka " APACHE_VERSION " into %s (once)", cache);
    int status = fetch_into(cache, log_path);
    if (status != 0) {
        output_error("Apache Kafka could not be fetched");
        output_why("mvn ended with %d; what it said is in %s", status, log_path);
        output_try("errand up --broker embedded");
    }
    free(log_path);
    return status == 0;
}

bool apache_prepare(const char *folder)
{
    if (!program_exists("java")) {
        output_error("Apache Kafka needs java");
        output_try(INSTALL_COMMAND);
        return false;
    }
    char *cache = cache_folder();
    bool usable = access(cache, F_OK) == 0 || fetch(folder, cache);
    free(cache);
    return usable;
}

/* --- its settings --- */

static const char *value_of(struct span name, const char *const *values)
{
    for (; *values; values += 2) {
        if (span_is(name, values[0]))
            return values[1];
    }
    return NULL;
}

static size_t name_length(const char *at, const char *end)
{
    size_t length = 0;
    while (at + length < end && length < NAME_SIZE_MAX &&
           ((at[length] >= 'A' && at[length] <= 'Z') || at[length] == '_'))
        length++;
    return at + length < end && at[length] == '@' ? length : 0;
}

enum err_code apache_fill(struct span template, const char *const *values, struct buf *out,
                          struct err *err)
{
    const char *at = template.data;
    const char *end = at + template.size;
    bool comment = false;
    while (at < end) {
        if (at == template.data || at[-1] == '\n')
            comment = *at == '#';
        size_t length = *at == '@' && !comment ? name_length(at + 1, end) : 0;
        if (length == 0) {
            buf_add_char(out, *at++);
            continue;
        }
        struct span name = { .data = at + 1, .size = length };
        const char *value = value_of(name, values);
        if (!value)
            return err_set(err, ERR_CONFIG, "nothing is known to put for @%.*s@", SPAN_ARG(name));
        buf_add_text(out, value);
        at += length + 2;
    }
    return out->overflow ? err_set(err, ERR_LIMIT, "it is larger than %zu bytes", out->max)
                         : ERR_OK;
}

static const char *port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon ? colon + 1 : "";
}

enum err_code apache_configure(const char *folder, const char *address, struct err *err)
{
    char controller[STACK_ADDRESS_SIZE];
    struct span template;
    if (!embed_find(PROPERTIES_NAME, &template))
        return err_set(err, ERR_IO, "this program does not carry " PROPERTIES_NAME);
    enum err_code code = port_choose("", controller, err);
    if (code != ERR_OK)
        return code;
    char *data = stack_path(folder, "kafka");
    char voters[STACK_ADDRESS_SIZE + 4];
    (void)snprintf(voters, sizeof voters, "1@%s", controller);
    char *properties = stack_path(folder, "kafka/server.properties");
    char *logging = stack_path(folder, "kafka/log4j2.properties");
    const char *const values[] = {
        "PORT",
        port_of(address),
        "CONTROLLER_PORT",
        port_of(controller),
        "VOTERS",
        voters,
        "DIR",
        data,
        "NODE",
        "1",
        "NODES",
        "1",
        "INSYNC",
        "1",
        NULL,
    };
    struct buf text = BUF_INIT(PROPERTIES_BYTES);
    code = apache_fill(template, values, &text, err);
    if (code == ERR_OK)
        code = stack_write_file(properties, buf_span(&text), err);
    if (code == ERR_OK && !write_embedded(LOGGING_NAME, logging))
        code = err_set(err, ERR_IO, "cannot write %s", logging);
    buf_free(&text);
    free(data);
    free(properties);
    free(logging);
    return code;
}

bool apache_is_formatted(const char *folder)
{
    char *path = stack_path(folder, "kafka/data/meta.properties");
    bool formatted = access(path, F_OK) == 0;
    free(path);
    return formatted;
}

/* A UUID as Kafka writes it: base64 for URLs (RFC 4648 section 5), without padding. */
static void make_cluster_id(char ret_id[CLUSTER_ID_TEXT])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char bytes[CLUSTER_ID_BYTES + 2] = { 0 };
    ssize_t got = getrandom(bytes, CLUSTER_ID_BYTES, 0);
    assert(got == CLUSTER_ID_BYTES); /* never interrupted or short for so few */
    bytes[0] &= 0x7f;                /* an id that began with '-' would be taken for an option */
    size_t size = 0;
    for (size_t i = 0; i < CLUSTER_ID_BYTES; i += 3) {
        unsigned group = (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8 | bytes[i + 2];
        for (int shift = 18; shift >= 0 && size < 22; shift -= 6)
            ret_id[size++] = digits[group >> shift & 63];
    }
    ret_id[size] = '\0';
}

/* A broker for one person: the optimising compiler would cost more than it gives, and 256 MiB
 * are plenty. */
static void add_java(const char *folder, const char *main_class, struct plan_argv *argv)
{
    char *cache = cache_folder();
    plan_argv_add(argv, "java");
    plan_argv_add(argv, "-Xms256m");
    plan_argv_add(argv, "-Xmx256m");
    plan_argv_add(argv, "-XX:+UseSerialGC");
    plan_argv_add(argv, "-XX:TieredStopAtLevel=1");
    plan_argv_add(argv, "-XX:+ExitOnOutOfMemoryError");
    plan_argv_add(argv, "-Dkafka.logs.dir=%s/log", folder);
    plan_argv_add(argv, "-Dlog4j2.configurationFile=%s/kafka/log4j2.properties", folder);
    plan_argv_add(argv, "-cp");
    plan_argv_add(argv, "%s/*", cache);
    plan_argv_add(argv, "%s", main_class);
    free(cache);
}

void apache_format_argv(const char *folder, struct plan_argv *argv)
{
    char cluster_id[CLUSTER_ID_TEXT];
    make_cluster_id(cluster_id);
    add_java(folder, "kafka.tools.StorageTool", argv);
    plan_argv_add(argv, "format");
    plan_argv_add(argv, "-t");
    plan_argv_add(argv, "%s", cluster_id);
    plan_argv_add(argv, "-c");
    plan_argv_add(argv, "%s/kafka/server.properties", folder);
}

void apache_run_argv(const char *folder, struct plan_argv *argv)
{
    add_java(folder, "kafka.Kafka", argv);
    plan_argv_add(argv, "%s/kafka/server.properties", folder);
}
