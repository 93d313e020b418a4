/* See json_scan.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/json_scan.h"

#include <stdint.h>

/* What is left of the text. At its end every look-ahead is a NUL, which JSON has no use for. */
struct scanner {
    const char *at, *end;
};

static char peek(const struct scanner *scanner)
{
    static const char nothing = '\0';
    return *(scanner->at < scanner->end ? scanner->at : &nothing);
}

static bool take(struct scanner *scanner, char c)
{
    if (scanner->at == scanner->end || *scanner->at != c)
        return false;
    scanner->at++;
    return true;
}

static void skip_space(struct scanner *scanner)
{
    while (peek(scanner) == ' ' || peek(scanner) == '\t' || peek(scanner) == '\n' ||
           peek(scanner) == '\r')
        scanner->at++;
}

/* Past a string; *ret_inside is what stands between its quotes. */
static bool skip_string(struct scanner *scanner, struct scanner *ret_inside)
{
    if (!take(scanner, '"'))
        return false;
    const char *start = scanner->at;
    while (scanner->at < scanner->end && *scanner->at != '"') {
        bool is_pair = *scanner->at == '\\' && scanner->end - scanner->at > 1;
        scanner->at += is_pair ? 2 : 1;
    }
    *ret_inside = (struct scanner){ start, scanner->at };
    return take(scanner, '"');
}

/* Past an array or object: to where every bracket has been closed. */
static bool skip_container(struct scanner *scanner)
{
    size_t depth = 0;
    struct scanner ignored;
    while (scanner->at < scanner->end) {
        char c = peek(scanner);
        if (c == '"') {
            if (!skip_string(scanner, &ignored))
                return false;
            continue;
        }
        scanner->at++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return true;
    }
    return false;
}

static bool skip_value(struct scanner *scanner)
{
    struct scanner ignored;
    char c = peek(scanner);
    if (c == '"')
        return skip_string(scanner, &ignored);
    if (c == '{' || c == '[')
        return skip_container(scanner);
    static const char ends[] = ",}] \t\r\n";
    const char *start = scanner->at;
    while (scanner->at < scanner->end && !memchr(ends, *scanner->at, sizeof ends - 1))
        scanner->at++;
    return scanner->at > start;
}

/* --- names --- */

#define NO_CHARACTER UINT32_MAX

static uint32_t hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (uint32_t)(c - 'a' + 10);
    if (c >= 'A' && c <= 'F')
        return (uint32_t)(c - 'A' + 10);
    return NO_CHARACTER;
}

/* The four digits behind \u. */
static uint32_t take_hex4(struct scanner *scanner)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t digit = hex_digit(peek(scanner));
        if (digit == NO_CHARACTER)
            return NO_CHARACTER;
        value = value << 4 | digit;
        scanner->at++;
    }
    return value;
}

/* A character above U+FFFF is written as two escapes, a high and a low surrogate (RFC 8259). */
static uint32_t take_unicode_escape(struct scanner *scanner)
{
    uint32_t high = take_hex4(scanner);
    if (high < 0xd800 || high > 0xdbff)
        return high;
    if (!take(scanner, '\\') || !take(scanner, 'u'))
        return NO_CHARACTER;
    uint32_t low = take_hex4(scanner);
    return low == NO_CHARACTER ? low : 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
}

static size_t encode_utf8(uint32_t c, unsigned char out[4])
{
    if (c < 0x80) {
        out[0] = (unsigned char)c;
        return 1;
    }
    size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (size_t i = size - 1; i > 0; i--, c >>= 6)
        out[i] = (unsigned char)(0x80 | (c & 0x3f));
    out[0] = (unsigned char)(marks[size] | c);
    return size;
}

/* The bytes of a name's next character, its escape undone; 0 when that is none. */
static size_t take_character(struct scanner *name, unsigned char out[4])
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    char c = peek(name);
    name->at++;
    if (c != '\\') {
        out[0] = (unsigned char)c;
        return 1;
    }
    if (take(name, 'u')) {
        uint32_t character = take_unicode_escape(name);
        return character == NO_CHARACTER ? 0 : encode_utf8(character, out);
    }
    const char *letter = memchr(letters, peek(name), sizeof letters - 1);
    if (!letter)
        return 0;
    name->at++;
    out[0] = (unsigned char)meanings[letter - letters];
    return 1;
}

static bool is_name(struct scanner name, const char *wanted)
{
    size_t left = strlen(wanted);
    while (name.at < name.end) {
        unsigned char bytes[4];
        size_t size = take_character(&name, bytes);
        if (size == 0 || size > left || memcmp(bytes, wanted, size) != 0)
            return false;
        wanted += size;
        left -= size;
    }
    return left == 0;
}

bool json_scan_member(struct span object, const char *name, struct span *ret_value)
{
    const char *text = object.size ? object.data : "";
    struct scanner scanner = { text, text + object.size };
    skip_space(&scanner);
    if (!take(&scanner, '{'))
        return false;
    do {
        struct scanner member;
        skip_space(&scanner);
        if (!skip_string(&scanner, &member))
            return false;
        skip_space(&scanner);
        if (!take(&scanner, ':'))
            return false;
        skip_space(&scanner);
        const char *value = scanner.at;
        if (!skip_value(&scanner))
            return false;
        if (is_name(member, name)) {
            *ret_value = (struct span){ value, (size_t)(scanner.at - value) };
            return true;
        }
        skip_space(&scanner);
    } while (take(&scanner, ','));
    return false;
}
