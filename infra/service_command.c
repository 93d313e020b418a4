/* A daemon's command line. SPDX-License-Identifier: Apache-2.0 */
#include "infra/service_internal.h"
#include "infra/version.h"
#include "schemas/suggest.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static void print_help(const struct service_spec *spec)
{
    printf("%s\n\nUsage: %s [--config FILE]\n\n"
           "  --config FILE  the configuration (default: the file that ERRAND_CONFIG names, else "
           "none)\n"
           "  --version      prints the version\n"
           "  --help         prints this\n\n"
           "Every key of the configuration can be set by a variable ERRAND_...; docs/CONFIG.md "
           "lists them.\n",
           spec->description, spec->program);
}

static void print_unknown(const struct service_spec *spec, const char *word)
{
    static const char *const known[] = { "--config", "--version", "--help" };
    (void)fprintf(stderr, "error: %s has no option %s\n", spec->program, word);
    struct span name = { .data = word, .size = strcspn(word, "=") };
    const char *nearest = suggest_nearest(name, known, sizeof known / sizeof *known);
    if (nearest)
        (void)fprintf(stderr, "  did you mean %s?\n", nearest);
    (void)fprintf(stderr, "  try: %s --help\n", spec->program);
}

bool service_command_parse(const struct service_spec *spec, int argc, char **argv,
                           const char **ret_config_path, int *ret_exit_code)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "version", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    /* NOLINTBEGIN(concurrency-mt-unsafe): there is one thread yet */
    const char *config_path = getenv("ERRAND_CONFIG");
    int option;
    opterr = 0;
    *ret_exit_code = SERVICE_EXIT_DRAINED;
    for (int word = optind; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;
         word = optind) {
        switch (option) {
        case 'c':
            config_path = optarg;
            break;
        case 'v':
            printf("%s %s\n", spec->program, version_text());
            return false;
        case 'h':
            print_help(spec);
            return false;
        case ':':
            (void)fprintf(stderr, "error: %s wants a value\n  try: %s --help\n", argv[word],
                          spec->program);
            *ret_exit_code = SERVICE_EXIT_USAGE;
            return false;
        default:
            print_unknown(spec, argv[word]);
            *ret_exit_code = SERVICE_EXIT_USAGE;
            return false;
        }
    }
    /* NOLINTEND(concurrency-mt-unsafe) */
    if (optind < argc) {
        (void)fprintf(stderr, "error: %s takes no argument '%s'\n  try: %s --help\n", spec->program,
                      argv[optind], spec->program);
        *ret_exit_code = SERVICE_EXIT_USAGE;
        return false;
    }
    *ret_config_path = config_path;
    return true;
}
