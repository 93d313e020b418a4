/* Apache Kafka for a stack: its jars, and how it is run. What it reads is apache_settings.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/apache.h"

#include "gateway/cli/output.h"
#include "gateway/cli/program.h"
#include "infra/embed.h"
#include "schemas/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_NAME      "errand/kafka-" APACHE_VERSION
#define POM_NAME        "deploy/kafka/pom.xml"
#define INSTALL_COMMAND "apt-get install default-jre-headless maven"

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

char *apache_classes_path(void)
{
    char *cache = cache_folder();
    struct buf path = BUF_INIT(STACK_PATH_SIZE);
    buf_printf(&path, "%s.%lld.jsa", cache, (long long)program_changed_s("java"));
    char *copy = mem_dup_text(path.data);
    buf_free(&path);
    free(cache);
    return copy;
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
    if (usable)
        apache_learn_classes(folder);
    return usable;
}

/* --- running it --- */

/* The words of a variable that Kafka's own scripts know, or of `usual`. */
static void add_options(const char *variable, const char *usual, struct plan_argv *argv)
{
    const char *at = getenv(variable); /* NOLINT(concurrency-mt-unsafe): one thread */
    for (at = at ? at : usual; *at;) {
        size_t size = strcspn(at, " ");
        if (size)
            plan_argv_add(argv, "%.*s", (int)size, at);
        at += size + (at[size] == ' ');
    }
}

/* A broker for one person: the optimising compiler would cost more than it gives, and 256 MiB
 * are plenty. Who wants another has Kafka's own variables. */
static void add_java(const char *folder, const char *archive, const char *main_class,
                     struct plan_argv *argv)
{
    char *cache = cache_folder();
    char *classes = apache_classes_path();
    struct stat status;
    plan_argv_add(argv, "java");
    add_options("KAFKA_HEAP_OPTS", "-Xms256m -Xmx256m", argv);
    add_options("KAFKA_JVM_PERFORMANCE_OPTS", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1", argv);
    plan_argv_add(argv, "-XX:+ExitOnOutOfMemoryError");
    if (archive)
        plan_argv_add(argv, "-XX:ArchiveClassesAtExit=%s", archive);
    else if (stat(classes, &status) == 0 && status.st_size > 0)
        plan_argv_add(argv, "-XX:SharedArchiveFile=%s", classes);
    plan_argv_add(argv, "-Dkafka.logs.dir=%s/log", folder);
    plan_argv_add(argv, "-Dlog4j2.configurationFile=%s/kafka/log4j2.properties", folder);
    plan_argv_add(argv, "-cp");
    plan_argv_add(argv, "%s/*", cache);
    plan_argv_add(argv, "%s", main_class);
    free(classes);
    free(cache);
}

static void add_properties(const char *folder, struct apache_node node, struct plan_argv *argv)
{
    char *path = apache_path(folder, node, "server.properties");
    plan_argv_add(argv, "%s", path);
    free(path);
}

void apache_format_argv(const char *folder, struct apache_node node, const char *cluster_id,
                        struct plan_argv *argv)
{
    add_java(folder, NULL, "kafka.tools.StorageTool", argv);
    plan_argv_add(argv, "format");
    plan_argv_add(argv, "-t");
    plan_argv_add(argv, "%s", cluster_id);
    plan_argv_add(argv, "-c");
    add_properties(folder, node, argv);
}

void apache_run_argv(const char *folder, struct apache_node node, const char *archive,
                     struct plan_argv *argv)
{
    add_java(folder, archive, "kafka.Kafka", argv);
    add_properties(folder, node, argv);
}
