/* What a request may not say. libmicrohttpd 0.9.75 lets much through that another reader in front
 * of us may understand in another way, which is how requests are smuggled; so the framing headers
 * are checked here once more, strictly.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_server_internal.h"
#include "schemas/digits.h"

#include <strings.h>

struct check {
    struct http_framing framing;
    int64_t headers_left;
    bool chunked;
    int hosts;
    int lengths;
    int encodings;
    struct err *err;
    enum err_code code;
};

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* token, RFC 9110 5.6.2 */
static bool is_token(struct span name)
{
    const char *text = name.data;
    for (size_t i = 0; i < name.size; i++) {
        if (!is_letter_or_digit(text[i]) &&
            (text[i] == '\0' || !strchr("!#$%&'*+-.^_`|~", text[i])))
            return false;
    }
    return name.size > 0;
}

/* No control character but the tab, RFC 9110 5.5. */
static bool is_clean(struct span value)
{
    const unsigned char *text = value.data;
    for (size_t i = 0; i < value.size; i++) {
        if ((text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
            return false;
    }
    return true;
}

static bool name_is(struct span name, const char *wanted)
{
    return name.size == strlen(wanted) && strncasecmp(name.data, wanted, name.size) == 0;
}

/* libmicrohttpd 0.9.75 appends a continuation line (obs-fold) to the name of the header before it
 * and goes on, so that "Content-Length:\r\n 3" is an unknown header, "Content-Length3", to it and a
 * body to others. */
static bool is_folded_framing(struct span name)
{
    static const char *const framing[] = { "Content-Length", "Transfer-Encoding" };
    for (size_t i = 0; i < sizeof framing / sizeof *framing; i++) {
        size_t size = strlen(framing[i]);
        if (name.size > size && strncasecmp(name.data, framing[i], size) == 0)
            return true;
    }
    return false;
}

static bool parse_length(struct span value, uint64_t *ret_length)
{
    int64_t length = 0;
    if (!digits_parse(value, DIGITS_MAX, &length))
        return false;
    *ret_length = (uint64_t)length;
    return true;
}

/* What separates a host from other parts of a URL has no place in one (RFC 9112 3.2). */
static bool is_host(struct span value)
{
    const char *text = value.data;
    for (size_t i = 0; i < value.size; i++) {
        if (strchr(" \t/?#@\\", text[i]))
            return false;
    }
    return true;
}

static enum err_code check_framing(struct check *check, struct span name, struct span value)
{
    if (name_is(name, "Host")) {
        if (++check->hosts > 1 || !is_host(value))
            return err_field(check->err, ERR_BAD_REQUEST, "Host",
                             "There must be one Host header, with a host.");
    } else if (name_is(name, "Content-Length")) {
        check->framing.has_length = true;
        if (++check->lengths > 1 || !parse_length(value, &check->framing.length))
            return err_field(check->err, ERR_BAD_REQUEST, "Content-Length",
                             "Content-Length must come once and be a number.");
    } else if (name_is(name, "Transfer-Encoding")) {
        check->chunked = name_is(value, "chunked");
        if (++check->encodings > 1)
            return err_field(check->err, ERR_BAD_REQUEST, "Transfer-Encoding",
                             "There are two Transfer-Encoding headers.");
    }
    return ERR_OK;
}

static void note(struct http_framing *framing, struct span name, struct span value)
{
    if (name_is(name, "Expect"))
        framing->expects_continue = name_is(value, "100-continue");
    else if (name_is(name, "Upgrade"))
        framing->upgrades = true;
    else if (name_is(name, "Content-Encoding"))
        framing->encoded = !name_is(value, "identity");
    else if (name_is(name, "Accept"))
        /* Several are one list. To put it together is not worth it: no client does that. */
        framing->accept = framing->accept.data ? (struct span)SPAN_LIT("") : value;
}

static enum err_code check_one(struct check *check, struct span name, struct span value)
{
    if (!is_token(name) || !is_clean(value) || is_folded_framing(name))
        return err_set(check->err, ERR_BAD_REQUEST,
                       "A header has a character that is not allowed.");
    if (check->headers_left-- == 0)
        return err_set(check->err, ERR_HEADERS_TOO_LARGE, "There are too many headers.");
    note(&check->framing, name, value);
    return check_framing(check, name, value);
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                 size_t name_size, const char *value, size_t value_size)
{
    (void)kind;
    struct check *check = cls;
    check->code = check_one(check, (struct span){ .data = name, .size = name_size },
                            (struct span){ .data = value, .size = value ? value_size : 0 });
    return check->code ? MHD_NO : MHD_YES;
}

static enum err_code check_encoding(const struct check *check, bool is_1_1)
{
    if (check->encodings == 0)
        return ERR_OK;
    if (check->framing.has_length || !is_1_1)
        return err_field(check->err, ERR_BAD_REQUEST, "Transfer-Encoding",
                         "Transfer-Encoding goes neither with Content-Length nor with HTTP/1.0.");
    if (!check->chunked)
        return err_field(check->err, ERR_NOT_IMPLEMENTED, "Transfer-Encoding",
                         "Bodies are taken as they are, with a Content-Length.");
    return err_field(check->err, ERR_LENGTH_REQUIRED, "Content-Length",
                     "Chunked bodies are not taken; send the body with its Content-Length.");
}

enum err_code http_headers_check(struct MHD_Connection *connection, const char *version,
                                 int64_t header_count_max, struct http_framing *ret_framing,
                                 struct err *err)
{
    struct check check = { .err = err, .headers_left = header_count_max };
    (void)MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_header, &check);
    if (check.code)
        return check.code;
    bool is_1_1 = strcmp(version, MHD_HTTP_VERSION_1_1) == 0;
    if (!is_1_1 && strcmp(version, MHD_HTTP_VERSION_1_0) != 0)
        return err_set(err, ERR_HTTP_VERSION, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
    if (is_1_1 && check.hosts == 0)
        return err_field(err, ERR_BAD_REQUEST, "Host", "A Host header is required.");
    *ret_framing = check.framing;
    return check_encoding(&check, is_1_1);
}

bool http_request_id_is_valid(struct span id)
{
    const char *text = id.data;
    if (id.size == 0 || id.size > HTTP_REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.size; i++) {
        if (!is_letter_or_digit(text[i]) && text[i] != '.' && text[i] != '_' && text[i] != '-')
            return false;
    }
    return true;
}
