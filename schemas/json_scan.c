/* See json_scan.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/json_scan.h"

struct scanner {
    const char *at, *end;
};

static void skip_space(struct scanner *scanner)
{
    while (scanner->at < scanner->end && strchr(" \t\r\n", *scanner->at) && *scanner->at)
        scanner->at++;
}

/* Past the string that begins here; its inside, without quotes, in *ret_inside. */
static bool skip_string(struct scanner *scanner, struct span *ret_inside)
{
    if (scanner->at == scanner->end || *scanner->at != '"')
        return false;
    const char *start = ++scanner->at;
    while (scanner->at < scanner->end && *scanner->at != '"')
        scanner->at += *scanner->at == '\\' ? 2 : 1;
    if (scanner->at >= scanner->end)
        return false;
    *ret_inside = (struct span){ start, (size_t)(scanner->at - start) };
    scanner->at++;
    return true;
}

static bool skip_nested(struct scanner *scanner)
{
    size_t depth = 0;
    while (scanner->at < scanner->end) {
        char c = *scanner->at;
        struct span unused;
        if (c == '"') {
            if (!skip_string(scanner, &unused))
                return false;
            continue;
        }
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        scanner->at++;
        if (depth == 0)
            return true;
    }
    return false;
}

static bool skip_value(struct scanner *scanner)
{
    struct span unused;
    if (scanner->at == scanner->end)
        return false;
    if (*scanner->at == '"')
        return skip_string(scanner, &unused);
    if (*scanner->at == '{' || *scanner->at == '[')
        return skip_nested(scanner);
    const char *start = scanner->at;
    while (scanner->at < scanner->end && !strchr(",}] \t\r\n", *scanner->at))
        scanner->at++;
    return scanner->at > start;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One character of a name, its escape undone; -1 for anything that is not ASCII. */
static int next_char(const char **at, const char *end)
{
    static const char escapes[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (**at != '\\')
        return *(*at)++;
    if (end - *at < 2)
        return -1;
    char kind = (*at)[1];
    const char *escape = kind ? strchr(escapes, kind) : NULL;
    if (escape) {
        *at += 2;
        return meanings[escape - escapes];
    }
    if (kind != 'u' || end - *at < 6)
        return -1;
    int code = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit((*at)[i]);
        if (digit < 0)
            return -1;
        code = code << 4 | digit;
    }
    *at += 6;
    return code < 128 ? code : -1;
}

static bool is_name(struct span inside, const char *name)
{
    const char *at = inside.data;
    const char *end = at + inside.size;
    for (; *name; name++) {
        if (at >= end || next_char(&at, end) != *name)
            return false;
    }
    return at == end;
}

bool json_scan_member(struct span text, const char *name, struct span *ret_value)
{
    struct scanner scanner = { text.data, text.size ? (const char *)text.data + text.size : text.data };
    skip_space(&scanner);
    if (scanner.at == scanner.end || *scanner.at != '{')
        return false;
    scanner.at++;
    for (;;) {
        struct span inside;
        skip_space(&scanner);
        if (!skip_string(&scanner, &inside))
            return false;
        skip_space(&scanner);
        if (scanner.at == scanner.end || *scanner.at++ != ':')
            return false;
        skip_space(&scanner);
        const char *start = scanner.at;
        if (!skip_value(&scanner))
            return false;
        if (is_name(inside, name)) {
            *ret_value = (struct span){ start, (size_t)(scanner.at - start) };
            return true;
        }
        skip_space(&scanner);
        if (scanner.at == scanner.end || *scanner.at++ != ',')
            return false;
    }
}
