/* Reading answers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "producers/load_response.h"
#include "schemas/digits.h"

#include <stdio.h>
#include <strings.h>

#define VERSION     "HTTP/1.1 "
#define LENGTH_MAX  (INT64_C(64) * 1024 * 1024)
#define PATTERN_MAX 64

static bool parse_status(struct span head, int *ret_status)
{
    const char *text = head.data;
    size_t skip = sizeof VERSION - 1;
    if (head.size < skip + 3 || memcmp(text, VERSION, skip) != 0)
        return false;
    int64_t status = 0;
    if (!digits_parse((struct span){ text + skip, 3 }, 3, &status))
        return false;
    *ret_status = (int)status;
    return status >= 100;
}

/* The value of a header line "Name: value" if it is the one named. */
static bool is_header(struct span line, const char *name, struct span *ret_value)
{
    const char *text = line.data;
    size_t length = strlen(name);
    if (line.size <= length || text[length] != ':' || strncasecmp(text, name, length) != 0)
        return false;
    size_t start = length + 1;
    while (start < line.size && text[start] == ' ')
        start++;
    *ret_value = (struct span){ .data = text + start, .size = line.size - start };
    return true;
}

static bool parse_length(struct span value, size_t *ret_length)
{
    int64_t length = 0;
    if (!digits_parse(value, DIGITS_MAX, &length) || length > LENGTH_MAX)
        return false;
    *ret_length = (size_t)length;
    return true;
}

/* Header lines up to the empty one; false when the body's length is not told. */
static bool parse_headers(struct span head, size_t *ret_length, struct load_response *response)
{
    const char *at = head.data;
    const char *end = at + head.size;
    bool told = false;
    while (at < end) {
        const char *newline = memmem(at, (size_t)(end - at), "\r\n", 2);
        struct span line = { .data = at, .size = (size_t)((newline ? newline : end) - at) };
        struct span value;
        if (is_header(line, "Content-Length", &value))
            told = parse_length(value, ret_length);
        else if (is_header(line, "Connection", &value) && value.size == 5)
            response->close = strncasecmp(value.data, "close", 5) == 0;
        else if (is_header(line, "ETag", &value))
            response->etag = value;
        at += line.size + 2;
    }
    return told;
}

enum load_parse load_response_parse(struct span bytes, struct load_response *ret_response)
{
    struct load_response response = { 0 };
    const char *text = bytes.data;
    const char *blank = bytes.size ? memmem(text, bytes.size, "\r\n\r\n", 4) : NULL;
    if (!blank)
        return LOAD_PARSE_MORE;
    struct span head = { .data = text, .size = (size_t)(blank - text) };
    size_t length = 0;
    if (!parse_status(head, &response.status))
        return LOAD_PARSE_BAD;
    bool bodiless = response.status < 200 || response.status == 204 || response.status == 304;
    if (!parse_headers(head, &length, &response) && !bodiless)
        return LOAD_PARSE_BAD;
    response.size = head.size + 4 + (bodiless ? 0 : length);
    if (bytes.size < response.size)
        return LOAD_PARSE_MORE;
    response.body = (struct span){ .data = blank + 4, .size = response.size - head.size - 4 };
    *ret_response = response;
    return LOAD_PARSE_DONE;
}

struct span load_response_member(struct span json, const char *name)
{
    char pattern[PATTERN_MAX];
    int length = snprintf(pattern, sizeof pattern, "\"%s\":\"", name);
    const char *end = (const char *)json.data + json.size;
    const char *found = json.size ? memmem(json.data, json.size, pattern, (size_t)length) : NULL;
    const char *start = found ? found + length : NULL;
    const char *quote = start ? memchr(start, '"', (size_t)(end - start)) : NULL;
    if (!quote)
        return (struct span){ 0 };
    return (struct span){ .data = start, .size = (size_t)(quote - start) };
}
