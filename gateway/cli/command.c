/* From the words of the command line to the command that does the work.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/command.h"

#include "gateway/cli/args.h"
#include "gateway/cli/help.h"
#include "gateway/cli/output.h"
#include "schemas/suggest.h"

#define HELP_BYTES_MAX    ((size_t)64 * 1024)
#define COMMANDS_MAX      64
#define COMMAND_WORDS_MAX 128

/* How many of the words name the command; 0: none. */
static size_t words_of(const struct command *command, size_t count, char *const *words)
{
    const char *name = command->name;
    size_t used = 0;
    while (*name && used < count) {
        size_t length = strcspn(name, " ");
        if (strlen(words[used]) != length || memcmp(words[used], name, length) != 0)
            return 0;
        used++;
        name += length;
        name += *name == ' ';
    }
    return *name ? 0 : used;
}

const struct command *command_find(size_t count, char *const *words, size_t *ret_words)
{
    const struct command *command = NULL;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        size_t used = words_of(command, count, words);
        if (used) {
            *ret_words = used;
            return command;
        }
    }
    return NULL;
}

/* The first word decides ("submt"), and for a command of two words both ("topics aply"). */
const char *command_nearest(size_t count, char *const *words)
{
    const char *names[COMMANDS_MAX];
    size_t name_count = 0;
    const struct command *command = NULL;
    for (size_t i = 0; (command = command_at(i)) != NULL && name_count < COMMANDS_MAX; i++) {
        if (!command->hidden)
            names[name_count++] = command->name;
    }
    if (count == 0)
        return NULL;
    struct buf both = BUF_INIT(COMMAND_WORDS_MAX);
    buf_printf(&both, "%s %s", words[0], count > 1 ? words[1] : "");
    const char *nearest = suggest_nearest(span_of(words[0]), names, name_count);
    if (!nearest && !both.overflow)
        nearest = suggest_nearest(buf_span(&both), names, name_count);
    buf_free(&both);
    return nearest;
}

/* "errand topics": a family without the word that says what to do. */
static const char *family_of(const char *word)
{
    const struct command *command = NULL;
    size_t length = strlen(word);
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if (strncmp(command->name, word, length) == 0 && command->name[length] == ' ')
            return word;
    }
    return NULL;
}

static int unknown_command(size_t count, char *const *words)
{
    const char *family = family_of(words[0]);
    const char *nearest = family ? NULL : command_nearest(count, words);
    if (words[0][0] == '-')
        output_error("the command comes first, then its options");
    else if (family)
        output_error("'errand %s' needs one more word", words[0]);
    else
        output_error("there is no command '%s'", words[0]);
    if (nearest)
        output_try("errand %s", nearest);
    else
        output_try("errand help%s%s", family ? " " : "", family ? family : "");
    return CLI_USAGE;
}

static int show_help(const struct command *command)
{
    struct buf text = BUF_INIT(HELP_BYTES_MAX);
    if (command)
        help_command(command, &text);
    else
        help_overview(&text);
    int code = output_data(buf_span(&text));
    buf_free(&text);
    return code;
}

static int run_command(const struct command *command, size_t count, char *const *words)
{
    struct args args = { 0 };
    struct err err = { 0 };
    if (args_parse(&args, command, count, words, &err) != ERR_OK) {
        output_error("%s", err.text);
        if (err.field[0])
            output_try("errand %s --%s", command->name, err.field);
        else
            output_try("errand help %s", command->name);
        return CLI_USAGE;
    }
    int code = args.help ? show_help(command) : command->run(&args);
    args_clear(&args);
    return code;
}

int command_main(int argc, char **argv)
{
    static char version_word[] = "version";
    static char *const version[] = { version_word };
    size_t count = argc > 1 ? (size_t)argc - 1 : 0;
    char *const *words = count ? argv + 1 : NULL;
    if (count == 0 || strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0)
        return show_help(NULL);
    if (strcmp(words[0], "--version") == 0 || strcmp(words[0], "-V") == 0) {
        words = version;
        count = 1;
    }
    size_t used = 0;
    const struct command *command = command_find(count, words, &used);
    if (!command)
        return unknown_command(count, words);
    return run_command(command, count - used, words + used);
}
