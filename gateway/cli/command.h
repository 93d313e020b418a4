/* The commands as data: names, arguments, options, help and the function that does the work.
 * Parsing, help, did-you-mean, manual pages and completions all come from this one table
 * (commands.c). To add a command: a line in commands.c and its `run` in a file of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_COMMAND_H
#define GATEWAY_CLI_COMMAND_H

#include "schemas/span.h"

#include <stdint.h>

enum option_kind {
    OPTION_END = 0,           /* closes a list of options */
    OPTION_FLAG,              /* --name */
    OPTION_TEXT,              /* --name VALUE */
    OPTION_LIST,              /* the same, as often as one likes */
    OPTION_CHOICE,            /* one of `value`, which is "table|json" */
    OPTION_COUNT,             /* a number from 1 on */
    OPTION_DURATION,          /* "30s", in ms */
    OPTION_OPTIONAL_DURATION, /* --name or --name=30s */
    OPTION_RATE,              /* "200/s", "90/m"; in thousandths a second */
};

struct option_spec {
    const char *name;
    char letter; /* 0: none */
    enum option_kind kind;
    const char *value; /* how help calls the value, or the choices */
    const char *help;
};

struct args;
typedef int (*command_fn)(const struct args *args);

#define COMMAND_ARGUMENTS_UNLIMITED 1000

struct command {
    const char *name;      /* "submit", or two words: "topics ls" */
    const char *arguments; /* "TYPE", "[NAME...]"; "" for none */
    size_t argument_min, argument_max;
    const char *summary;  /* one line */
    const char *details;  /* more, for `errand help NAME`; may be NULL */
    const char *examples; /* lines that begin with "errand" */
    const char
        *json; /* what -o json prints, "errand.job/1": docs/json has its schema; NULL: none */
    const struct option_spec *options;
    command_fn run; /* returns the exit code */
    bool hidden;    /* what the program calls itself with: not in help */
};

/* The i-th command in the order of help; NULL past the last one. */
const struct command *command_at(size_t i);
/* The command that the words begin with; *ret_words is how many of them name it. NULL when none
 * does. */
const struct command *command_find(size_t count, char *const *words, size_t *ret_words);
/* The known name nearest to what was typed, NULL when nothing is near. */
const char *command_nearest(size_t count, char *const *words);

/* The whole of main(). */
int command_main(int argc, char **argv);

#endif
