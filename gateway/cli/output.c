/* Saying things on stdout and stderr.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MESSAGE_SIZE ((size_t)4096)
#define LINE_CLEAR   "\r\033[K"
#define COLOUR_ERROR "\033[1;31m"
#define COLOUR_HINT  "\033[36m"

static bool has_colour(int fd)
{
    /* NOLINTBEGIN(concurrency-mt-unsafe): nothing here sets variables meanwhile */
    const char *no_colour = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    /* NOLINTEND(concurrency-mt-unsafe) */
    return isatty(fd) && !(no_colour && *no_colour) && !(terminal && strcmp(terminal, "dumb") == 0);
}

/* Messages carry texts of servers and files: made safe for the terminal as table cells are. */
__attribute__((format(printf, 3, 0))) static void say(const char *label, const char *colour,
                                                      const char *format, va_list arguments)
{
    char message[MESSAGE_SIZE];
    (void)vsnprintf(message, sizeof message, format, arguments);
    struct buf safe = BUF_INIT(3 * MESSAGE_SIZE);
    table_add_safe(&safe, span_of(message));
    bool coloured = *colour && has_colour(STDERR_FILENO);
    output_progress_end();
    (void)fprintf(stderr, "%s%s%s%s\n", coloured ? colour : "", label,
                  coloured ? TABLE_COLOUR_OFF : "", buf_span(&safe).size ? safe.data : "");
    buf_free(&safe);
}

void output_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("error: ", COLOUR_ERROR, format, arguments);
    va_end(arguments);
}

void output_why(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("  why: ", "", format, arguments);
    va_end(arguments);
}

void output_try(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("  try: ", COLOUR_HINT, format, arguments);
    va_end(arguments);
}

void output_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("", "", format, arguments);
    va_end(arguments);
}

void output_progress(const char *format, ...)
{
    if (!isatty(STDERR_FILENO))
        return;
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, LINE_CLEAR "%s", message);
    (void)fflush(stderr);
}

void output_progress_end(void)
{
    if (isatty(STDERR_FILENO))
        (void)fputs(LINE_CLEAR, stderr);
}

bool output_is_json(const struct args *args)
{
    const char *format = args_text(args, "output");
    return format && strcmp(format, "json") == 0;
}

bool output_has_colour(void)
{
    return has_colour(STDOUT_FILENO);
}

int output_data(struct span data)
{
    output_progress_end();
    bool written = fwrite(data.data, 1, data.size, stdout) == data.size && fflush(stdout) == 0;
    if (written)
        return CLI_OK;
    char reason[128];
    output_error("cannot write to standard output");
    output_why("%s", strerror_r(errno, reason, sizeof reason));
    return CLI_FAILED;
}

int output_table(const struct table *table)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    table_render(table, output_has_colour(), &text);
    int code = output_data(buf_span(&text));
    buf_free(&text);
    return code;
}

int output_json(const char *schema, struct span object)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    const char *bytes = object.data;
    if (object.size >= 2 && bytes[0] == '{') {
        buf_printf(&text, "{\"schema\":\"%s\"%s", schema, bytes[1] == '}' ? "" : ",");
        buf_add(&text, bytes + 1, object.size - 1);
    } else {
        buf_add_span(&text, object);
    }
    buf_add_char(&text, '\n');
    int code = output_data(buf_span(&text));
    buf_free(&text);
    return code;
}
