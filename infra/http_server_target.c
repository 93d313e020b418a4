/* The request target: path segments and query arguments, percent-decoded once (RFC 3986, RFC
 * 9112 3.2.1; the query as application/x-www-form-urlencoded).
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_server_internal.h"

#include "schemas/digits.h"

/* Where decoded text goes. */
struct decoder {
    char *out;
    struct err *err;
};

/* `plus_is_space` is the query's rule. */
static enum err_code decode(struct decoder *decoder, struct span text, bool plus_is_space,
                            struct span *ret_decoded)
{
    const char *in = text.data;
    char *out = decoder->out;
    for (size_t i = 0; i < text.size; i++) {
        char c = in[i];
        if (c == '+' && plus_is_space) {
            c = ' ';
        } else if (c == '%') {
            bool whole = i + 2 < text.size;
            int high = whole ? digits_hex(in[i + 1]) : -1;
            int low = whole ? digits_hex(in[i + 2]) : -1;
            if (high < 0 || low < 0)
                return err_set(decoder->err, ERR_BAD_REQUEST,
                               "The address has a '%%' that is not followed by two hex digits.");
            c = (char)(high * 16 + low);
            if (c == '\0')
                return err_set(decoder->err, ERR_BAD_REQUEST, "The address may not contain %%00.");
            i += 2;
        }
        *out++ = c;
    }
    *ret_decoded = (struct span){ .data = decoder->out, .size = out - decoder->out };
    decoder->out = out;
    return ERR_OK;
}

/* Cuts `rest` at the first `separator`: returns what is before it, leaves what is after. False at
 * the end. */
static bool next_part(struct span *rest, char separator, struct span *ret_part)
{
    if (!rest->data)
        return false;
    const char *begin = rest->data;
    const char *end = memchr(begin, separator, rest->size);
    if (!end) {
        *ret_part = *rest;
        *rest = (struct span){ 0 };
        return true;
    }
    *ret_part = (struct span){ .data = begin, .size = end - begin };
    *rest = (struct span){ .data = end + 1, .size = rest->size - ret_part->size - 1 };
    return true;
}

static enum err_code parse_path(struct http_target *target, struct decoder *decoder)
{
    struct span rest = { .data = (const char *)target->path.data + 1,
                         .size = target->path.size - 1 };
    struct span part;
    target->segment_count = 0;
    while (next_part(&rest, '/', &part)) {
        if (target->segment_count == HTTP_SEGMENTS_MAX) {
            target->segment_count = HTTP_SEGMENTS_MAX + 1;
            return ERR_OK;
        }
        struct span *segment = &target->segments[target->segment_count++];
        enum err_code code = decode(decoder, part, false, segment);
        if (code)
            return code;
        if (span_is(*segment, ".") || span_is(*segment, ".."))
            return err_set(decoder->err, ERR_BAD_REQUEST,
                           "The address may not contain '.' or '..' as a segment.");
    }
    return ERR_OK;
}

static enum err_code parse_query(struct http_target *target, struct span query,
                                 struct decoder *decoder)
{
    struct span part;
    target->argument_count = 0;
    while (next_part(&query, '&', &part)) {
        if (part.size == 0)
            continue;
        if (target->argument_count == HTTP_ARGUMENTS_MAX)
            return err_set(decoder->err, ERR_BAD_REQUEST, "The query has more than %d arguments.",
                           HTTP_ARGUMENTS_MAX);
        struct http_argument *argument = &target->arguments[target->argument_count++];
        struct span value = part;
        struct span name = { 0 };
        (void)next_part(&value, '=', &name);
        if (!value.data)
            value = (struct span)SPAN_LIT("");
        enum err_code code = decode(decoder, name, true, &argument->name);
        if (!code)
            code = decode(decoder, value, true, &argument->value);
        if (code)
            return code;
    }
    return ERR_OK;
}

static struct span query_of(struct span raw)
{
    const char *mark = raw.size ? memchr(raw.data, '?', raw.size) : NULL;
    if (!mark)
        return (struct span){ 0 };
    const char *end = (const char *)raw.data + raw.size;
    return (struct span){ .data = mark + 1, .size = end - (mark + 1) };
}

size_t http_target_arguments_max(struct span raw)
{
    struct span query = query_of(raw);
    struct span part;
    size_t count = 0;
    while (count < HTTP_ARGUMENTS_MAX && next_part(&query, '&', &part))
        count++;
    return count;
}

enum err_code http_target_parse(struct http_target *target, struct err *err)
{
    const unsigned char *raw = target->raw.data;
    struct span query = query_of(target->raw);
    target->path = target->raw;
    if (query.data)
        target->path.size = target->raw.size - query.size - 1;
    if (target->path.size == 0 || raw[0] != '/')
        return err_set(err, ERR_BAD_REQUEST, "The address must be a path that begins with '/'.");
    for (size_t i = 0; i < target->raw.size; i++) {
        if (raw[i] <= ' ' || raw[i] >= 0x7f || raw[i] == '#')
            return err_set(err, ERR_BAD_REQUEST,
                           "The address has a character that must be percent-encoded.");
    }
    struct decoder decoder = { .out = target->decoded, .err = err };
    enum err_code code = parse_path(target, &decoder);
    return code ? code : parse_query(target, query, &decoder);
}
