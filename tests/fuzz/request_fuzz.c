/* The address and the headers of a request, as the server judges them: what is let through can be
 * read in one way only. The first line is the address, each other one a header. libmicrohttpd is
 * stood in for: its parser is not what is tried here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_server_internal.h"
#include "tests/fuzz/fuzz.h"

#include <strings.h>

#define HEADERS_MAX 8

struct line {
    struct span name, value;
};

struct MHD_Connection {
    struct line lines[2 * HEADERS_MAX];
    size_t count;
};

/* In place of libmicrohttpd's. */
int MHD_get_connection_values_n(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                MHD_KeyValueIteratorN iterator, void *cls)
{
    FUZZ_REQUIRE(kind == MHD_HEADER_KIND);
    for (size_t i = 0; i < connection->count; i++) {
        const struct line *line = &connection->lines[i];
        if (iterator(cls, kind, line->name.data, line->name.size, line->value.data,
                     line->value.size) == MHD_NO)
            return (int)i + 1;
    }
    return (int)connection->count;
}

static struct span take_until(struct span *rest, char end)
{
    const char *begin = rest->data;
    const char *found = rest->size ? memchr(begin, end, rest->size) : NULL;
    struct span taken = { begin, found ? (size_t)(found - begin) : rest->size };
    size_t used = taken.size + (found ? 1 : 0);
    *rest = (struct span){ begin + used, rest->size - used };
    return taken;
}

/* Every byte written as %XX means what it meant. */
static void require_same_again(const struct http_target *target)
{
    struct buf text = BUF_INIT(SIZE_MAX / 2);
    for (size_t i = 0; i < target->segment_count; i++) {
        buf_add_char(&text, '/');
        for (size_t k = 0; k < target->segments[i].size; k++)
            buf_printf(&text, "%%%02x", ((const unsigned char *)target->segments[i].data)[k]);
    }
    struct http_target again = { .raw = buf_span(&text), .decoded = malloc(text.size + 1) };
    struct err err = { 0 };
    FUZZ_REQUIRE(http_target_parse(&again, &err) == ERR_OK);
    FUZZ_REQUIRE(again.segment_count == target->segment_count && again.argument_count == 0);
    for (size_t i = 0; i < again.segment_count; i++)
        FUZZ_REQUIRE(span_eq(again.segments[i], target->segments[i]));
    free(again.decoded);
    buf_free(&text);
}

static void require_plain(struct span text)
{
    FUZZ_REQUIRE(!text.size || !memchr(text.data, '\0', text.size));
}

static void try_target(struct span raw)
{
    size_t arguments_max = http_target_arguments_max(raw);
    struct http_target target = { .raw = raw, .decoded = malloc(raw.size ? raw.size : 1) };
    target.arguments = calloc(arguments_max ? arguments_max : 1, sizeof *target.arguments);
    struct err err = { 0 };
    enum err_code code = http_target_parse(&target, &err);
    if (code) {
        fuzz_require_told(code, &err);
    } else {
        FUZZ_REQUIRE(target.argument_count <= arguments_max);
        for (size_t i = 0; i < target.argument_count; i++) {
            require_plain(target.arguments[i].name);
            require_plain(target.arguments[i].value);
        }
        for (size_t i = 0; i < target.segment_count && i < HTTP_SEGMENTS_MAX; i++) {
            require_plain(target.segments[i]);
            FUZZ_REQUIRE(!span_is(target.segments[i], ".") && !span_is(target.segments[i], ".."));
        }
        if (target.segment_count <= HTTP_SEGMENTS_MAX)
            require_same_again(&target);
    }
    free(target.arguments);
    free(target.decoded);
}

static size_t count_of(const struct MHD_Connection *connection, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < connection->count; i++) {
        struct span is = connection->lines[i].name;
        count += is.size == strlen(name) && strncasecmp(is.data, name, is.size) == 0;
    }
    return count;
}

/* What is let through has one Host, one length at most, and no framing but that. */
static void require_one_reading(const struct MHD_Connection *connection,
                                const struct http_framing *framing)
{
    size_t lengths = count_of(connection, "content-length");
    FUZZ_REQUIRE(connection->count <= HEADERS_MAX);
    FUZZ_REQUIRE(count_of(connection, "host") == 1 && lengths <= 1);
    FUZZ_REQUIRE(count_of(connection, "transfer-encoding") == 0);
    FUZZ_REQUIRE(framing->has_length == (lengths == 1));
    for (size_t i = 0; i < connection->count; i++) {
        const struct line *line = &connection->lines[i];
        const char *name = line->name.data;
        const char *value = line->value.data;
        FUZZ_REQUIRE(line->name.size > 0 && !memchr(name, ' ', line->name.size));
        for (size_t k = 0; k < line->value.size; k++)
            FUZZ_REQUIRE(value[k] != '\0' && value[k] != '\r' && value[k] != '\n');
        if (line->name.size == 14 && strncasecmp(name, "content-length", 14) == 0) {
            uint64_t length = 0;
            for (size_t k = 0; k < line->value.size; k++) {
                FUZZ_REQUIRE(value[k] >= '0' && value[k] <= '9');
                length = length * 10 + (uint64_t)(value[k] - '0');
            }
            FUZZ_REQUIRE(line->value.size > 0 && length == framing->length);
        }
    }
}

static void try_headers(struct span rest)
{
    struct MHD_Connection connection = { .count = 0 };
    while (rest.size && connection.count < 2 * (size_t)HEADERS_MAX) {
        struct line *line = &connection.lines[connection.count++];
        line->value = take_until(&rest, '\n');
        line->name = take_until(&line->value, ':');
    }
    struct http_framing framing = { 0 };
    struct err err = { 0 };
    enum err_code code =
        http_headers_check(&connection, MHD_HTTP_VERSION_1_1, HEADERS_MAX, &framing, &err);
    if (code)
        fuzz_require_told(code, &err);
    else
        require_one_reading(&connection, &framing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = fuzz_exact((struct span){ data, size });
    struct span rest = text;
    try_target(take_until(&rest, '\n'));
    try_headers(rest);
    fuzz_free(text);
    return 0;
}
