/* See completion.h. A command of two words ("topics ls") is a member of a family ("topics"): the
 * family's word is completed first, then the member's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/completion.h"

#include "gateway/cli/output.h"

#define SCRIPT_BYTES_MAX ((size_t)256 * 1024)

/* --- families --- */

static size_t family_size(const struct command *command)
{
    return strcspn(command->name, " ");
}

static bool has_family(const struct command *command)
{
    return command->name[family_size(command)] == ' ';
}

static const char *member_of(const struct command *command)
{
    return command->name + family_size(command) + 1;
}

static bool same_family(const struct command *a, const struct command *b)
{
    return has_family(a) && has_family(b) && family_size(a) == family_size(b) &&
           memcmp(a->name, b->name, family_size(a)) == 0;
}

/* Whether no command before the i-th is of its family. */
static bool is_first(size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (!command_at(j)->hidden && same_family(command_at(j), command_at(i)))
            return false;
    }
    return true;
}

/* Calls back for each command in help, in its order. */
static void each_command(void (*fn)(const struct command *command, size_t i, struct buf *out),
                         struct buf *out)
{
    const struct command *command = NULL;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if (!command->hidden)
            fn(command, i, out);
    }
}

/* A text within single quotes, with what the place itself would take amiss behind a backslash. */
static void add_quoted(const char *text, const char *amiss, bool fish, struct buf *out)
{
    for (; *text; text++) {
        if (*text == '\'')
            buf_add_text(out, fish ? "\\'" : "'\\''");
        else if (strchr(amiss, *text))
            buf_printf(out, "\\%c", *text);
        else
            buf_add_char(out, *text);
    }
}

static bool takes_value(const struct option_spec *option)
{
    return option->kind != OPTION_FLAG && option->kind != OPTION_OPTIONAL_DURATION;
}

/* "table|json" as "table json". */
static void add_choices(const char *choices, struct buf *out)
{
    for (; *choices; choices++) {
        if (*choices == '|')
            buf_add_char(out, ' ');
        else
            buf_add_char(out, *choices);
    }
}

/* --- bash --- */

static void bash_name(const struct command *command, size_t i, struct buf *out)
{
    buf_printf(out, "%s'%s'", i ? " | " : "", command->name);
    if (has_family(command) && is_first(i))
        buf_printf(out, " | '%.*s'", (int)family_size(command), command->name);
}

static void bash_word(const struct command *command, size_t i, struct buf *out)
{
    if (is_first(i) || !has_family(command))
        buf_printf(out, "%s%.*s", i ? " " : "", (int)family_size(command), command->name);
}

static void bash_family(const struct command *command, size_t i, struct buf *out)
{
    if (!has_family(command) || !is_first(i))
        return;
    buf_printf(out, "        '%.*s') choices='", (int)family_size(command), command->name);
    const struct command *other = NULL;
    for (size_t j = i; (other = command_at(j)) != NULL; j++) {
        if (!other->hidden && same_family(command, other))
            buf_printf(out, "%s%s", j == i ? "" : " ", member_of(other));
    }
    buf_add_text(out, "' ;;\n");
}

static void bash_options(const struct command *command, size_t i, struct buf *out)
{
    (void)i;
    buf_printf(out, "        '%s')\n            case $prev in\n", command->name);
    const struct option_spec *option = command->options;
    for (; option->kind != OPTION_END; option++) {
        if (!takes_value(option))
            continue;
        buf_printf(out, "                --%s", option->name);
        if (option->letter)
            buf_printf(out, " | -%c", option->letter);
        buf_add_text(out, ") choices='");
        if (option->kind == OPTION_CHOICE)
            add_choices(option->value, out);
        buf_add_text(out, "' ;;\n");
    }
    buf_add_text(out, "                *) [[ $cur != -* ]] || choices='--help");
    for (option = command->options; option->kind != OPTION_END; option++) {
        buf_printf(out, " --%s", option->name);
        if (option->letter)
            buf_printf(out, " -%c", option->letter);
    }
    buf_add_text(out, "' ;;\n            esac ;;\n");
}

static void render_bash(struct buf *out)
{
    buf_add_text(out, "# bash completion of errand, made by: errand completion bash\n"
                      "_errand() {\n"
                      "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                      "    local command='' choices='' longer i\n"
                      "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                      "        longer=\"${command:+$command }${COMP_WORDS[i]}\"\n"
                      "        case $longer in\n            ");
    each_command(bash_name, out);
    buf_add_text(out, ") command=$longer ;;\n"
                      "            *) break ;;\n"
                      "        esac\n"
                      "    done\n"
                      "    case $command in\n"
                      "        '') choices='");
    each_command(bash_word, out);
    buf_add_text(out, "' ;;\n");
    each_command(bash_family, out);
    each_command(bash_options, out);
    buf_add_text(out, "    esac\n"
                      "    mapfile -t COMPREPLY < <(compgen -W \"$choices\" -- \"$cur\")\n"
                      "}\n"
                      "complete -o default -F _errand errand\n");
}

/* --- zsh --- */

static void zsh_described(const char *word, size_t size, const char *summary, struct buf *out)
{
    buf_printf(out, " '%.*s:", (int)size, word);
    add_quoted(summary, "", false, out);
    buf_add_char(out, '\'');
}

static void zsh_word(const struct command *command, size_t i, struct buf *out)
{
    if (!has_family(command))
        zsh_described(command->name, strlen(command->name), command->summary, out);
    else if (is_first(i))
        zsh_described(command->name, family_size(command), "", out);
}

static void zsh_family(const struct command *command, size_t i, struct buf *out)
{
    if (!has_family(command) || !is_first(i))
        return;
    buf_printf(out,
               "        %.*s)\n            if (( CURRENT == 3 )); then\n"
               "                words_of=(",
               (int)family_size(command), command->name);
    const struct command *other = NULL;
    for (size_t j = i; (other = command_at(j)) != NULL; j++) {
        if (!other->hidden && same_family(command, other))
            zsh_described(member_of(other), strlen(member_of(other)), other->summary, out);
    }
    buf_add_text(out, " )\n                _describe command words_of\n                return\n"
                      "            fi\n            command=\"$command $words[3]\" ;;\n");
}

static void zsh_option(const struct option_spec *option, const char *dashes, const char *name,
                       size_t size, struct buf *out)
{
    buf_printf(out, " '%s%s%.*s[", option->kind == OPTION_LIST ? "*" : "", dashes, (int)size, name);
    add_quoted(option->help, "[]:\\", false, out);
    buf_add_char(out, ']');
    if (takes_value(option)) {
        buf_add_char(out, ':');
        add_quoted(option->value, ":\\", false, out);
        buf_add_char(out, ':');
        if (option->kind == OPTION_CHOICE) {
            buf_add_char(out, '(');
            add_choices(option->value, out);
            buf_add_char(out, ')');
        } else if (strstr(option->value, "FILE") || strstr(option->value, "DIR")) {
            buf_add_text(out, "_files");
        }
    }
    buf_add_char(out, '\'');
}

static void zsh_options(const struct command *command, size_t i, struct buf *out)
{
    (void)i;
    buf_printf(out, "        '%s') _arguments '--help[this text]'", command->name);
    const struct option_spec *option = command->options;
    for (; option->kind != OPTION_END; option++) {
        zsh_option(option, "--", option->name, strlen(option->name), out);
        if (option->letter)
            zsh_option(option, "-", &option->letter, 1, out);
    }
    buf_add_text(out, " '*:argument:_files' ;;\n");
}

static void render_zsh(struct buf *out)
{
    buf_add_text(out,
                 "#compdef errand\n# zsh completion of errand, made by: errand completion zsh\n"
                 "_errand() {\n"
                 "    local -a words_of\n"
                 "    local command=$words[2]\n"
                 "    if (( CURRENT == 2 )); then\n"
                 "        words_of=(");
    each_command(zsh_word, out);
    buf_add_text(out, " )\n        _describe command words_of\n        return\n    fi\n"
                      "    case $command in\n");
    each_command(zsh_family, out);
    buf_add_text(out, "    esac\n    case $command in\n");
    each_command(zsh_options, out);
    buf_add_text(out,
                 "    esac\n}\n"
                 "if [[ $funcstack[1] == _errand ]]; then _errand \"$@\"; else compdef _errand "
                 "errand; fi\n");
}

/* --- fish --- */

/* The condition under which the command's options are offered. */
static void fish_seen(const struct command *command, struct buf *out)
{
    buf_printf(out, "complete -c errand -n '__fish_seen_subcommand_from %.*s",
               (int)family_size(command), command->name);
    if (has_family(command))
        buf_printf(out, "; and __fish_seen_subcommand_from %s", member_of(command));
    buf_add_char(out, '\'');
}

static void fish_word(const struct command *command, size_t i, struct buf *out)
{
    if (!has_family(command) || is_first(i)) {
        buf_printf(out, "complete -c errand -f -n __fish_use_subcommand -a %.*s -d '",
                   (int)family_size(command), command->name);
        if (!has_family(command))
            add_quoted(command->summary, "\\", true, out);
        buf_add_text(out, "'\n");
    }
    if (has_family(command)) {
        buf_printf(out,
                   "complete -c errand -f -n '__fish_seen_subcommand_from %.*s; and test (count "
                   "(commandline -opc)) -eq 2' -a %s -d '",
                   (int)family_size(command), command->name, member_of(command));
        add_quoted(command->summary, "\\", true, out);
        buf_add_text(out, "'\n");
    }
}

static void fish_options(const struct command *command, size_t i, struct buf *out)
{
    (void)i;
    for (const struct option_spec *option = command->options; option->kind != OPTION_END;
         option++) {
        fish_seen(command, out);
        buf_printf(out, " -l %s", option->name);
        if (option->letter)
            buf_printf(out, " -s %c", option->letter);
        if (takes_value(option))
            buf_add_text(out, " -r");
        if (option->kind == OPTION_CHOICE) {
            buf_add_text(out, " -f -a '");
            add_choices(option->value, out);
            buf_add_char(out, '\'');
        }
        buf_add_text(out, " -d '");
        add_quoted(option->help, "\\", true, out);
        buf_add_text(out, "'\n");
    }
}

static void render_fish(struct buf *out)
{
    buf_add_text(out, "# fish completion of errand, made by: errand completion fish\n");
    each_command(fish_word, out);
    each_command(fish_options, out);
}

/* --- the command --- */

bool completion_render(const char *shell, struct buf *out)
{
    static const struct {
        const char *shell;
        void (*render)(struct buf *out);
    } shells[] = { { "bash", render_bash }, { "zsh", render_zsh }, { "fish", render_fish } };
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shells[i].shell, shell) == 0) {
            shells[i].render(out);
            return true;
        }
    }
    return false;
}

int completion_run(const struct args *args)
{
    struct buf script = BUF_INIT(SCRIPT_BYTES_MAX);
    int code = CLI_USAGE;
    if (completion_render(args->items[0], &script)) {
        code = output_data(buf_span(&script));
    } else {
        output_error("there is no completion for '%s'", args->items[0]);
        output_why("it is made for bash, zsh and fish");
    }
    buf_free(&script);
    return code;
}
