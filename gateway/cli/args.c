/* Reading a command line by the table of its command.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/args.h"

#include "schemas/mem.h"
#include "schemas/suggest.h"
#include "schemas/timefmt.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define SUGGESTIONS_MAX 64

struct cursor {
    size_t count;
    char *const *words;
    size_t next;
};

static const struct option_spec *find_option(const struct command *command, struct span name)
{
    for (const struct option_spec *option = command->options; option->kind != OPTION_END;
         option++) {
        if (span_is(name, option->name))
            return option;
    }
    return NULL;
}

static const struct option_spec *find_letter(const struct command *command, char letter)
{
    for (const struct option_spec *option = command->options; option->kind != OPTION_END;
         option++) {
        if (option->letter == letter)
            return option;
    }
    return NULL;
}

static bool is_bare(enum option_kind kind)
{
    return kind == OPTION_FLAG || kind == OPTION_OPTIONAL_DURATION;
}

static bool is_choice(const char *choices, struct span word)
{
    while (*choices) {
        size_t length = strcspn(choices, "|");
        if (word.size == length && memcmp(choices, word.data, length) == 0)
            return true;
        choices += length + (choices[length] == '|');
    }
    return false;
}

static bool parse_count(const char *text, int64_t *ret_count)
{
    char *end = NULL;
    errno = 0;
    long long count = strtoll(text, &end, 10);
    if (errno || end == text || *end || count < 1)
        return false;
    *ret_count = count;
    return true;
}

static bool parse_rate(const char *text, int64_t *ret_rate)
{
    char *end = NULL;
    errno = 0;
    double rate = strtod(text, &end);
    if (errno || end == text || !(rate > 0) || rate > 1e6)
        return false;
    if (strcmp(end, "/m") == 0)
        rate /= 60;
    else if (strcmp(end, "/h") == 0)
        rate /= 3600;
    else if (*end && strcmp(end, "/s") != 0)
        return false;
    *ret_rate = (int64_t)(rate * 1000 + 0.5);
    return *ret_rate > 0;
}

static const char *check_value(struct args_value *value)
{
    struct span text = span_of(value->text);
    switch (value->option->kind) {
    case OPTION_CHOICE:
        return is_choice(value->option->value, text) ? NULL : value->option->value;
    case OPTION_COUNT:
        return parse_count(value->text, &value->number) ? NULL : "a whole number from 1 on";
    case OPTION_DURATION:
    case OPTION_OPTIONAL_DURATION:
        return timefmt_parse_duration(text, &value->number) && value->number >= 0
                   ? NULL
                   : "a duration such as 500ms, 30s or 2m";
    case OPTION_RATE:
        return parse_rate(value->text, &value->number) ? NULL : "a rate such as 200/s or 90/m";
    case OPTION_FLAG:
    case OPTION_TEXT:
    case OPTION_LIST:
    case OPTION_END:
        break;
    }
    return NULL;
}

static enum err_code add_value(struct args *args, const struct option_spec *option,
                               const char *text, struct err *err)
{
    struct args_value value = { .option = option, .text = text };
    const char *allowed = text ? check_value(&value) : NULL;
    if (allowed)
        return err_set(err, ERR_USAGE, "--%s is '%s'; allowed is %s", option->name, text, allowed);
    args->values[args->value_count++] = value;
    return ERR_OK;
}

static enum err_code unknown_option(const struct command *command, struct span name,
                                    struct err *err)
{
    const char *names[SUGGESTIONS_MAX] = { "help" };
    size_t count = 1;
    for (const struct option_spec *option = command->options; option->kind != OPTION_END;
         option++) {
        assert(count < SUGGESTIONS_MAX);
        names[count++] = option->name;
    }
    const char *nearest = suggest_nearest(name, names, count);
    return err_field(err, ERR_USAGE, nearest ? nearest : "", "'errand %s' has no option --%.*s",
                     command->name, SPAN_ARG(name));
}

static enum err_code take_option(struct args *args, const struct option_spec *option,
                                 const char *attached, struct cursor *cursor, struct err *err)
{
    if (option->kind == OPTION_FLAG && attached)
        return err_set(err, ERR_USAGE, "--%s takes no value", option->name);
    if (!attached && !is_bare(option->kind)) {
        if (cursor->next >= cursor->count)
            return err_set(err, ERR_USAGE, "--%s needs a value: %s", option->name, option->value);
        attached = cursor->words[cursor->next++];
    }
    return add_value(args, option, attached, err);
}

static enum err_code take_long(struct args *args, const char *word, struct cursor *cursor,
                               struct err *err)
{
    const char *equals = strchr(word, '=');
    struct span name = { .data = word, .size = equals ? (size_t)(equals - word) : strlen(word) };
    const struct option_spec *option = find_option(args->command, name);
    if (!option)
        return unknown_option(args->command, name, err);
    return take_option(args, option, equals ? equals + 1 : NULL, cursor, err);
}

/* "-o json", "-ojson"; flags may stand together: "-fn5". */
static enum err_code take_letters(struct args *args, const char *letters, struct cursor *cursor,
                                  struct err *err)
{
    for (; *letters; letters++) {
        const struct option_spec *option = find_letter(args->command, *letters);
        if (!option)
            return err_set(err, ERR_USAGE, "'errand %s' has no option -%c", args->command->name,
                           *letters);
        if (!is_bare(option->kind))
            return take_option(args, option, letters[1] ? letters + 1 : NULL, cursor, err);
        enum err_code code = add_value(args, option, NULL, err);
        if (code != ERR_OK)
            return code;
    }
    return ERR_OK;
}

static bool asks_help(size_t count, char *const *words)
{
    for (size_t i = 0; i < count && strcmp(words[i], "--") != 0; i++) {
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0)
            return true;
    }
    return false;
}

static enum err_code check_items(const struct args *args, struct err *err)
{
    const struct command *command = args->command;
    if (args->item_count < command->argument_min)
        return err_set(err, ERR_USAGE, "'errand %s' needs %s", command->name, command->arguments);
    if (args->item_count > command->argument_max)
        return err_set(err, ERR_USAGE, "'%s' is too much for 'errand %s'",
                       args->items[command->argument_max], command->name);
    return ERR_OK;
}

static enum err_code parse_words(struct args *args, size_t count, char *const *words,
                                 struct err *err)
{
    struct cursor cursor = { .count = count, .words = words };
    bool options = true;
    while (cursor.next < count) {
        const char *word = words[cursor.next++];
        enum err_code code = ERR_OK;
        if (options && strcmp(word, "--") == 0)
            options = false;
        else if (options && strncmp(word, "--", 2) == 0)
            code = take_long(args, word + 2, &cursor, err);
        else if (options && word[0] == '-' && word[1])
            code = take_letters(args, word + 1, &cursor, err);
        else
            args->items[args->item_count++] = word;
        if (code != ERR_OK)
            return code;
    }
    return check_items(args, err);
}

/* Each character of a word of letters may be an option of its own. */
static size_t values_max(size_t count, char *const *words)
{
    size_t total = count;
    for (size_t i = 0; i < count; i++)
        total += strlen(words[i]);
    return total;
}

enum err_code args_parse(struct args *ret_args, const struct command *command, size_t count,
                         char *const *words, struct err *err)
{
    struct args args = { .command = command, .help = asks_help(count, words) };
    if (!args.help) {
        args.values = mem_zalloc(values_max(count, words), sizeof *args.values);
        args.items = mem_zalloc(count, sizeof *args.items);
        enum err_code code = parse_words(&args, count, words, err);
        if (code != ERR_OK) {
            args_clear(&args);
            return code;
        }
    }
    *ret_args = args;
    return ERR_OK;
}

void args_clear(struct args *args)
{
    free(args->values);
    free(args->items);
    *args = (struct args){ 0 };
}

static const struct args_value *last_value(const struct args *args, const char *name)
{
    assert(find_option(args->command, span_of(name)));
    for (size_t i = args->value_count; i > 0; i--) {
        if (strcmp(args->values[i - 1].option->name, name) == 0)
            return &args->values[i - 1];
    }
    return NULL;
}

bool args_has(const struct args *args, const char *name)
{
    return last_value(args, name) != NULL;
}

const char *args_text(const struct args *args, const char *name)
{
    const struct args_value *value = last_value(args, name);
    return value ? value->text : NULL;
}

int64_t args_number(const struct args *args, const char *name, int64_t fallback)
{
    const struct args_value *value = last_value(args, name);
    return value && value->text ? value->number : fallback;
}
