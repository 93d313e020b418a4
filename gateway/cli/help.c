/* Help: the overview, a command, a topic.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/help.h"

#include "gateway/cli/output.h"
#include "schemas/mem.h"

#include <stdlib.h>

#define HELP_BYTES_MAX   ((size_t)64 * 1024)
#define SUMMARY_COLUMN   16
#define OPTION_COLUMN    28
#define OPTION_WORDS_MAX 80

struct topic {
    const char *name;
    const char *summary;
    void (*render)(struct buf *out);
};

static void pad(struct buf *out, size_t written, size_t column)
{
    buf_add_char(out, ' ');
    for (size_t i = written + 1; i < column; i++)
        buf_add_char(out, ' ');
}

static void render_exit_codes(struct buf *out)
{
    enum exit_code code = CLI_OK;
    const char *meaning = NULL;
    buf_add_text(out, "What the exit code of every command means:\n\n");
    for (size_t i = 0; (meaning = exit_code_at(i, &code)) != NULL; i++)
        buf_printf(out, "  %3d  %s\n", (int)code, meaning);
}

void help_environment(struct buf *out)
{
    buf_add_text(
        out,
        "The environment that every command reads:\n\n"
        "  ERRAND_DIR    the stack's folder, when --dir is not given (default ./.errand)\n"
        "  ERRAND_URL    the gateway's address, when --url is not given; then no stack is needed\n"
        "  NO_COLOR      set to anything: no colours\n"
        "  ERRAND_...    any key of the configuration: kafka.brokers is ERRAND_KAFKA_BROKERS\n");
}

static const struct topic topics[] = {
    { "exit-codes", "what the exit codes mean", render_exit_codes },
    { "environment", "the variables that are read", help_environment },
};
#define TOPIC_COUNT (sizeof topics / sizeof topics[0])

static void render_examples(const char *examples, struct buf *out)
{
    buf_add_text(out, "Examples:\n");
    while (*examples) {
        size_t length = strcspn(examples, "\n");
        buf_printf(out, "  %.*s\n", (int)length, examples);
        examples += length + (examples[length] == '\n');
    }
    buf_add_char(out, '\n');
}

static void render_summary(const char *name, const char *summary, struct buf *out)
{
    buf_printf(out, "  %s", name);
    pad(out, strlen(name), SUMMARY_COLUMN);
    buf_printf(out, "%s\n", summary);
}

void help_overview(struct buf *out)
{
    buf_add_text(
        out, "errand: jobs that are done later, and surely. HTTP in, Kafka between, HTTP out.\n\n");
    render_examples("errand up                                           start everything here\n"
                    "errand submit quote.fetch -d '{\"author\":\"any\"}' --wait\n"
                    "errand types                                        the jobs there are\n"
                    "errand down                                         stop it all",
                    out);
    buf_add_text(out, "Usage: errand COMMAND [arguments] [options]\n\nCommands:\n");
    const struct command *command = NULL;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if (!command->hidden)
            render_summary(command->name, command->summary, out);
    }
    buf_add_text(out, "\nMore with 'errand help COMMAND', and:\n");
    for (size_t i = 0; i < TOPIC_COUNT; i++) {
        buf_add_text(out, "  errand help ");
        render_summary(topics[i].name, topics[i].summary, out);
    }
}

static void render_option(const struct option_spec *option, struct buf *out)
{
    struct buf words = BUF_INIT(OPTION_WORDS_MAX);
    if (option->letter)
        buf_printf(&words, "-%c, ", option->letter);
    else
        buf_add_text(&words, "    ");
    buf_printf(&words, "--%s", option->name);
    if (option->kind == OPTION_OPTIONAL_DURATION)
        buf_printf(&words, "[=%s]", option->value);
    else if (option->kind != OPTION_FLAG)
        buf_printf(&words, " %s", option->value);
    buf_printf(out, "  %s", words.data);
    pad(out, words.size, OPTION_COLUMN);
    buf_printf(out, "%s\n", option->help);
    buf_free(&words);
}

void help_command(const struct command *command, struct buf *out)
{
    buf_printf(out, "errand %s: %s\n\n", command->name, command->summary);
    render_examples(command->examples, out);
    buf_printf(out, "Usage: errand %s%s%s%s\n", command->name, *command->arguments ? " " : "",
               command->arguments, command->options->kind == OPTION_END ? "" : " [options]");
    if (command->details)
        buf_printf(out, "\n%s\n", command->details);
    if (command->json)
        buf_printf(out, "\nWith -o json: %s (its schema is in docs/json).\n", command->json);
    buf_add_text(out, "\nOptions:\n");
    for (const struct option_spec *option = command->options; option->kind != OPTION_END; option++)
        render_option(option, out);
    render_option(&(struct option_spec){ "help", 'h', OPTION_FLAG, NULL, "this text" }, out);
}

static const struct topic *find_topic(const char *name)
{
    for (size_t i = 0; i < TOPIC_COUNT; i++) {
        if (strcmp(topics[i].name, name) == 0)
            return &topics[i];
    }
    return NULL;
}

/* "errand help topics" names no command of its own: every command that begins with the word is
 * meant. */
static bool render_family(const char *word, struct buf *out)
{
    size_t length = strlen(word);
    const struct command *command = NULL;
    bool found = false;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if (command->hidden || strncmp(command->name, word, length) != 0 ||
            command->name[length] != ' ')
            continue;
        if (found)
            buf_add_char(out, '\n');
        help_command(command, out);
        found = true;
    }
    return found;
}

static bool render_words(size_t count, char *const *words, struct buf *out)
{
    size_t used = 0;
    if (count == 0) {
        help_overview(out);
        return true;
    }
    const struct topic *topic = find_topic(words[0]);
    if (topic) {
        topic->render(out);
        return true;
    }
    const struct command *command = command_find(count, words, &used);
    if (!command)
        return render_family(words[0], out);
    help_command(command, out);
    return true;
}

int help_run(const struct args *args)
{
    struct buf text = BUF_INIT(HELP_BYTES_MAX);
    char **words = mem_zalloc(args->item_count + 1, sizeof *words);
    for (size_t i = 0; i < args->item_count; i++)
        words[i] = mem_dup_text(args->items[i]);
    int code = CLI_OK;
    if (render_words(args->item_count, words, &text)) {
        code = output_data(buf_span(&text));
    } else {
        const char *nearest = command_nearest(args->item_count, words);
        output_error("there is no help about '%s'", words[0]);
        output_try("errand help%s%s", nearest ? " " : "", nearest ? nearest : "");
        code = CLI_USAGE;
    }
    for (size_t i = 0; i < args->item_count; i++)
        free(words[i]);
    free(words);
    buf_free(&text);
    return code;
}
