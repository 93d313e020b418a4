/* errand-devbroker: the embedded broker as a process of its own, with the topics of a
 * configuration.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/config.h"
#include "infra/kafka_mock.h"
#include "infra/topics.h"
#include "infra/version.h"
#include "schemas/buf.h"
#include "schemas/mem.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char help[] =
    "Usage: errand-devbroker [--config FILE] [--address-file PATH]\n"
    "\n"
    "A Kafka broker in memory, for a first look at Errand and for quick tests. It has the topics "
    "of the configuration, takes\n"
    "a free port of 127.0.0.1, prints {\"address\":\"127.0.0.1:PORT\"} and runs until SIGTERM or "
    "SIGINT.\n"
    "\n"
    "  --config FILE        the configuration (default: built-in defaults and environment)\n"
    "  --address-file PATH  also write the address to this file\n"
    "  --version\n"
    "  --help\n";

static const char warning[] = "errand-devbroker: everything is in memory and gone when this "
                              "process ends. It keeps about 5 MiB a\n"
                              "errand-devbroker: partition and drops the oldest records beyond "
                              "that; it has no replication, no retention, no\n"
                              "errand-devbroker: compaction and no look-up by time. Use Apache "
                              "Kafka for everything that matters.\n";

struct options {
    const char *config;
    const char *address_file;
};

/* -1: go on; else the exit code. */
static int parse_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        { "config", required_argument, NULL, 'c' },
        { "address-file", required_argument, NULL, 'a' },
        { "version", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int option;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet */
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->config = optarg;
            break;
        case 'a':
            options->address_file = optarg;
            break;
        case 'v':
            printf("errand-devbroker %s\n", version_text());
            return EXIT_SUCCESS;
        case 'h':
            fputs(help, stdout);
            return EXIT_SUCCESS;
        default:
            fputs("Try errand-devbroker --help.\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "errand-devbroker: unexpected argument %s\nTry errand-devbroker --help.\n",
                argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

static enum err_code start_broker(const struct config *config, struct kafka_mock **ret_mock,
                                  struct err *err)
{
    struct kafka_topic_spec *specs;
    size_t count;
    enum err_code code = topics_of(config, &specs, &count, err);
    if (code)
        return code;
    struct kafka_mock_topic *topics = mem_zalloc(count, sizeof *topics);
    for (size_t i = 0; i < count; i++)
        topics[i] = (struct kafka_mock_topic){ specs[i].name, specs[i].partitions };
    code = kafka_mock_start(topics, count, ret_mock, err);
    free(topics);
    topics_free(specs, count);
    return code;
}

/* Whoever waits for the file never sees half of it. */
static enum err_code write_address(const char *path, const char *address, struct err *err)
{
    struct buf temporary = BUF_INIT(4096);
    buf_printf(&temporary, "%s.new", path);
    enum err_code code = ERR_OK;
    FILE *file = temporary.overflow ? NULL : fopen(temporary.data, "we");
    if (!file)
        code = err_set(err, ERR_IO, "cannot write %s: %s", path, strerrordesc_np(errno));
    bool written = file && fprintf(file, "%s\n", address) >= 0;
    bool closed = file && fclose(file) == 0;
    if (file && !(written && closed))
        code = err_set(err, ERR_IO, "cannot write %s: %s", path, strerrordesc_np(errno));
    if (!code && rename(temporary.data, path) != 0)
        code = err_set(err, ERR_IO, "cannot rename %s: %s", temporary.data, strerrordesc_np(errno));
    buf_free(&temporary);
    return code;
}

static enum err_code serve(const struct config *config, const struct options *options,
                           const sigset_t *signals, struct err *err)
{
    struct kafka_mock *mock;
    enum err_code code = start_broker(config, &mock, err);
    if (code)
        return code;
    const char *address = kafka_mock_address(mock);
    if (options->address_file)
        code = write_address(options->address_file, address, err);
    if (!code) {
        fputs(warning, stderr);
        printf("{\"address\":\"%s\"}\n", address);
        fflush(stdout);
        int number;
        sigwait(signals, &number);
    }
    kafka_mock_stop(mock);
    return code;
}

int main(int argc, char **argv)
{
    struct options options = { 0 };
    int exit_code = parse_options(argc, argv, &options);
    if (exit_code >= 0)
        return exit_code;

    /* Blocked before the broker's threads exist, so that only sigwait gets them. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);

    struct err err = { 0 };
    struct config *config;
    char *report = NULL;
    if (config_load(options.config, &config, &report, &err)) {
        fprintf(stderr, "errand-devbroker: %s\n", report && *report ? report : err.text);
        free(report);
        return EXIT_USAGE;
    }
    free(report);
    enum err_code code = serve(config, &options, &signals, &err);
    if (code)
        fprintf(stderr, "errand-devbroker: %s\n", err.text);
    config_free(config);
    return code ? EXIT_FAILED : EXIT_SUCCESS;
}
