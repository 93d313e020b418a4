/* A command line, read by the table of its command: "--name value", "--name=value", "-x value",
 * options and arguments in any order, "--" ends the options, "-" is an argument.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_ARGS_H
#define GATEWAY_CLI_ARGS_H

#include "gateway/cli/command.h"
#include "schemas/err.h"

struct args_value {
    const struct option_spec *option;
    const char *text; /* NULL for a flag */
    int64_t number;
};

/* Borrows from argv. */
struct args {
    const struct command *command;
    struct args_value *values;
    size_t value_count;
    const char **items; /* the arguments that are no options */
    size_t item_count;
    bool help; /* --help was among them */
};

/* Reads what follows the command's name. A mistake is ERR_USAGE: its text says what is wrong,
 * its field is the option that was probably meant, or empty. Nothing else is checked when --help
 * is among the words. */
enum err_code args_parse(struct args *ret_args, const struct command *command, size_t count,
                         char *const *words, struct err *err) MUST_CHECK;
void args_clear(struct args *args);

/* Options by name, which must be one of the command's; of several the last one counts. */
bool args_has(const struct args *args, const char *name);
/* NULL, or the fallback, when the option was not given. */
const char *args_text(const struct args *args, const char *name);
int64_t args_number(const struct args *args, const char *name, int64_t fallback);

#endif
