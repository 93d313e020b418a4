/* See manual.h. SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/manual.h"

#include "gateway/cli/exit_code.h"
#include "gateway/cli/help.h"
#include "gateway/cli/output.h"
#include "infra/version.h"
#include "schemas/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE_BYTES_MAX ((size_t)256 * 1024)
#define PATH_BYTES_MAX 4096

static void add_letter(struct buf *out, char letter, bool upper)
{
    static const char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (upper && letter >= 'a' && letter <= 'z')
        buf_add_char(out, capitals[letter - 'a']);
    else
        buf_add_char(out, letter);
}

/* A text as roff takes it: a backslash, a dash that is to be copied, a line that would begin a
 * request. */
static void add_text(struct buf *out, const char *text, bool upper)
{
    bool line_begins = out->size == 0 || out->data[out->size - 1] == '\n';
    for (; *text; text++) {
        if (line_begins && (*text == '.' || *text == '\''))
            buf_add_text(out, "\\&");
        if (*text == '\\')
            buf_add_text(out, "\\e");
        else if (*text == '-')
            buf_add_text(out, "\\-");
        else
            add_letter(out, *text, upper);
        line_begins = *text == '\n';
    }
}

/* "topics ls" as the name of its page, "topics-ls". */
static void add_page_name(struct buf *out, const struct command *command, bool upper)
{
    char *name = mem_dup_text(command->name);
    for (char *c = name; *c; c++) {
        if (*c == ' ')
            *c = '-';
    }
    add_text(out, "errand-", upper);
    add_text(out, name, upper);
    free(name);
}

static void add_end(struct buf *out)
{
    if (out->size && out->data[out->size - 1] != '\n')
        buf_add_char(out, '\n');
}

static void add_section(struct buf *out, const char *heading)
{
    add_end(out);
    buf_printf(out, ".SH %s\n", heading);
}

static void add_literal(struct buf *out, const char *text)
{
    buf_add_text(out, ".nf\n");
    add_text(out, text, false);
    add_end(out);
    buf_add_text(out, ".fi\n");
}

static void add_heading(struct buf *out, const struct command *command)
{
    buf_add_text(out, ".TH ");
    if (command)
        add_page_name(out, command, true);
    else
        buf_add_text(out, "ERRAND");
    buf_printf(out, " 1 \"\" \"errand %s\" \"Errand\"\n.SH NAME\n", version_text());
}

static void add_option(struct buf *out, const struct option_spec *option)
{
    buf_add_text(out, ".TP\n");
    if (option->letter)
        buf_printf(out, "\\fB\\-%c\\fR, ", option->letter);
    buf_add_text(out, "\\fB\\-\\-");
    add_text(out, option->name, false);
    buf_add_text(out, "\\fR");
    if (option->kind == OPTION_OPTIONAL_DURATION)
        buf_printf(out, "[=\\fI%s\\fR]", option->value);
    else if (option->kind != OPTION_FLAG)
        buf_printf(out, " \\fI%s\\fR", option->value);
    buf_add_char(out, '\n');
    add_text(out, option->help, false);
    buf_add_char(out, '\n');
}

static void add_exit_codes(struct buf *out)
{
    enum exit_code code = CLI_OK;
    const char *meaning = NULL;
    add_section(out, "EXIT STATUS");
    for (size_t i = 0; (meaning = exit_code_at(i, &code)) != NULL; i++) {
        buf_printf(out, ".TP\n%d\n", (int)code);
        add_text(out, meaning, false);
        buf_add_char(out, '\n');
    }
}

/* All about one command. */
static void manual_command(const struct command *command, struct buf *out)
{
    add_heading(out, command);
    add_page_name(out, command, false);
    buf_add_text(out, " \\- ");
    add_text(out, command->summary, false);
    add_section(out, "EXAMPLES");
    add_literal(out, command->examples);
    add_section(out, "SYNOPSIS");
    buf_add_text(out, "\\fBerrand ");
    add_text(out, command->name, false);
    buf_add_text(out, "\\fR ");
    add_text(out, command->arguments, false);
    buf_add_text(out, command->options->kind == OPTION_END ? "" : " [options]");
    if (command->details) {
        add_section(out, "DESCRIPTION");
        add_text(out, command->details, false);
    }
    if (command->json) {
        add_section(out, "OUTPUT");
        buf_add_text(out, "With \\-o json: ");
        add_text(out, command->json, false);
        buf_add_text(out, ", whose schema is in docs/json.");
    }
    add_section(out, "OPTIONS");
    for (const struct option_spec *option = command->options; option->kind != OPTION_END; option++)
        add_option(out, option);
    add_option(out, &(struct option_spec){ "help", 'h', OPTION_FLAG, NULL, "the short help" });
    add_exit_codes(out);
    add_section(out, "SEE ALSO");
    buf_add_text(out, "\\fBerrand\\fR(1)\n");
}

/* What there is, with exit codes and environment. */
static void manual_overview(struct buf *out)
{
    const struct command *command = NULL;
    add_heading(out, NULL);
    buf_add_text(out, "errand \\- jobs that are done later, and surely\n");
    add_section(out, "EXAMPLES");
    add_literal(out, "errand up\nerrand submit quote.fetch -d '{\"author\":\"any\"}' --wait\n"
                     "errand list --state failed --since 1h\nerrand down");
    add_section(out, "SYNOPSIS");
    buf_add_text(out, "\\fBerrand\\fR COMMAND [arguments] [options]");
    add_section(out, "COMMANDS");
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if (command->hidden)
            continue;
        buf_add_text(out, ".TP\n\\fB");
        add_page_name(out, command, false);
        buf_add_text(out, "\\fR(1)\n");
        add_text(out, command->summary, false);
        buf_add_char(out, '\n');
    }
    add_section(out, "ENVIRONMENT");
    struct buf environment = BUF_INIT(PAGE_BYTES_MAX);
    help_environment(&environment);
    add_literal(out, environment.data);
    buf_free(&environment);
    add_exit_codes(out);
}

/* --- the command --- */

static bool write_page(const char *folder, const struct command *command)
{
    struct buf page = BUF_INIT(PAGE_BYTES_MAX);
    struct buf path = BUF_INIT(PATH_BYTES_MAX);
    buf_printf(&path, "%s/errand", folder);
    if (command) {
        manual_command(command, &page);
        buf_add_char(&path, '-');
        for (const char *c = command->name; *c; c++) {
            if (*c == ' ')
                buf_add_char(&path, '-');
            else
                buf_add_char(&path, *c);
        }
    } else {
        manual_overview(&page);
    }
    buf_add_text(&path, ".1");
    FILE *file = path.overflow ? NULL : fopen(path.data, "we");
    bool written = file && fwrite(page.data, 1, page.size, file) == page.size;
    int error = errno;
    if (file && fclose(file) != 0 && written) {
        written = false;
        error = errno;
    }
    if (!written) {
        char reason[128];
        output_error("%s cannot be written", path.data);
        output_why("%s", strerror_r(error, reason, sizeof reason));
    }
    buf_free(&page);
    buf_free(&path);
    return written;
}

static int write_all(const char *folder)
{
    const struct command *command = NULL;
    bool written = write_page(folder, NULL);
    for (size_t i = 0; written && (command = command_at(i)) != NULL; i++)
        written = command->hidden || write_page(folder, command);
    return written ? CLI_OK : CLI_FAILED;
}

static int print_page(const struct args *args)
{
    struct buf page = BUF_INIT(PAGE_BYTES_MAX);
    char *words[2] = { NULL, NULL };
    size_t used = 0;
    for (size_t i = 0; i < args->item_count; i++)
        words[i] = mem_dup_text(args->items[i]);
    const struct command *command =
        args->item_count ? command_find(args->item_count, words, &used) : NULL;
    int code = CLI_OK;
    if (args->item_count == 0) {
        manual_overview(&page);
    } else if (command) {
        manual_command(command, &page);
    } else {
        const char *nearest = command_nearest(args->item_count, words);
        output_error("there is no command '%s'", args->items[0]);
        output_try("errand manual%s%s", nearest ? " " : "", nearest ? nearest : "");
        code = CLI_USAGE;
    }
    if (code == CLI_OK)
        code = output_data(buf_span(&page));
    free(words[0]);
    free(words[1]);
    buf_free(&page);
    return code;
}

int manual_run(const struct args *args)
{
    const char *folder = args_text(args, "into");
    return folder ? write_all(folder) : print_page(args);
}
