/* See config_format.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/config_format.h"

#include "schemas/timefmt.h"
#include "schemas/utf8.h"

#include <strings.h>

#define ID_SECRET_MIN 16
#define HOST_MAX      253

static struct span span_after(struct span text, size_t skip)
{
    return (struct span){ (const char *)text.data + skip, text.size - skip };
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z') || is_digit(c);
}

static bool has_control(struct span text)
{
    const char *p = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
            return true;
    }
    return false;
}

/* --- names --- */

/* [a-z][a-z0-9]*(S[a-z0-9]+)* where S is one of `separators`. */
static bool is_name(struct span text, const char *separators, size_t size_max)
{
    const char *p = text.data;
    if (text.size == 0 || text.size > size_max || !is_lower(p[0]))
        return false;
    bool separated = false; /* by the character before */
    for (size_t i = 1; i < text.size; i++) {
        bool separates = p[i] && strchr(separators, p[i]);
        if (!separates && !is_lower(p[i]) && !is_digit(p[i]))
            return false;
        if (separates && separated)
            return false;
        separated = separates;
    }
    return !separated;
}

const char *config_format_name(struct span name, struct span text)
{
    (void)name;
    return is_name(text, "_-", CONFIG_NAME_MAX)
               ? NULL
               : "must be a name of lower-case letters and digits, parted by single '-' or '_', up "
                 "to 64 characters";
}

const char *config_format_type_name(struct span name, struct span text)
{
    (void)name;
    return is_name(text, "._-", CONFIG_NAME_MAX)
               ? NULL
               : "must be a name of lower-case letters and digits, parted by single '.', '-' or "
                 "'_', up to 64 characters";
}

const char *config_format_namespace(struct span name, struct span text)
{
    (void)name;
    return is_name(text, "-", CONFIG_NAME_MAX) ? NULL
                                               : "must be a name of lower-case letters and digits, "
                                                 "parted by single '-', up to 64 characters";
}

const char *config_format_id_secret(struct span name, struct span text)
{
    (void)name;
    return text.size >= ID_SECRET_MIN
               ? NULL
               : "must hold at least 16 bytes; make one with: openssl rand -hex 32";
}

/* --- addresses --- */

static bool is_host(struct span text)
{
    const char *p = text.data;
    if (text.size == 0 || text.size > HOST_MAX)
        return false;
    bool bracketed = text.size > 2 && p[0] == '[' && p[text.size - 1] == ']';
    size_t from = bracketed ? 1 : 0;
    size_t to = bracketed ? text.size - 1 : text.size;
    for (size_t i = from; i < to; i++) {
        bool fits = bracketed ? is_alphanumeric(p[i]) || p[i] == ':' || p[i] == '.'
                              : is_alphanumeric(p[i]) || p[i] == '-' || p[i] == '.' || p[i] == '_';
        if (!fits)
            return false;
    }
    return true;
}

/* Parts at the last colon; the host keeps its brackets. */
static bool split_address(struct span text, struct span *ret_host, long *ret_port)
{
    const char *colon = text.size ? memrchr(text.data, ':', text.size) : NULL;
    if (!colon)
        return false;
    size_t host_size = (size_t)(colon - (const char *)text.data);
    struct span digits = span_after(text, host_size + 1);
    if (digits.size == 0 || digits.size > 5)
        return false;
    long port = 0;
    for (size_t i = 0; i < digits.size; i++) {
        if (!is_digit(colon[1 + i]))
            return false;
        port = port * 10 + (colon[1 + i] - '0');
    }
    *ret_host = (struct span){ text.data, host_size };
    *ret_port = port;
    return port <= 65535;
}

static bool is_address(struct span text, long port_min)
{
    struct span host;
    long port;
    return split_address(text, &host, &port) && is_host(host) && port >= port_min;
}

const char *config_format_listen(struct span name, struct span text)
{
    (void)name;
    return is_address(text, 0) ? NULL : "must be host:port, such as 127.0.0.1:8080 or [::1]:8080";
}

bool config_format_is_loopback(struct span listen)
{
    struct span host;
    long port;
    if (!split_address(listen, &host, &port))
        return false;
    if (span_is(host, "localhost") || span_is(host, "[::1]"))
        return true;
    /* 127.0.0.0/8 in numbers only: a name such as 127.example.org may be anything. */
    for (size_t i = 0; i < host.size; i++) {
        char c = ((const char *)host.data)[i];
        if (!is_digit(c) && c != '.')
            return false;
    }
    return span_starts_with(host, "127.");
}

const char *config_format_brokers(struct span name, struct span text)
{
    (void)name;
    const char *wrong = "must be host:port, several separated by commas without blanks";
    for (;;) {
        const char *comma = text.size ? memchr(text.data, ',', text.size) : NULL;
        struct span one = text;
        if (comma)
            one.size = (size_t)(comma - (const char *)text.data);
        if (!is_address(one, 1))
            return wrong;
        if (!comma)
            return NULL;
        text = span_after(text, one.size + 1);
    }
}

const char *config_format_redis(struct span name, struct span text)
{
    (void)name;
    if (span_starts_with(text, "unix:/") || is_address(text, 1))
        return NULL;
    return "must be host:port or unix:/path";
}

const char *config_format_file(struct span name, struct span text)
{
    (void)name;
    if (text.size == 0 || (span_starts_with(text, "/") && !has_control(text)))
        return NULL;
    return "must be an absolute path";
}

/* --- HTTP --- */

const char *config_format_base_url(struct span name, struct span text)
{
    (void)name;
    const char *wrong =
        "must be http://host[:port][/path], https://..., or simulator:/path, without query";
    const char *p = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)p[i] <= 0x20 || (unsigned char)p[i] >= 0x7f ||
            strchr("?#\"<>\\^`{|}", p[i]))
            return wrong;
    }
    if (span_starts_with(text, "simulator:/"))
        return NULL;
    size_t scheme = span_starts_with(text, "http://")    ? 7
                    : span_starts_with(text, "https://") ? 8
                                                         : 0;
    if (scheme == 0)
        return wrong;
    struct span host = span_after(text, scheme);
    const char *slash = host.size ? memchr(host.data, '/', host.size) : NULL;
    if (slash)
        host.size = (size_t)(slash - (const char *)host.data);
    if (host.size && memchr(host.data, '@', host.size))
        return "must not hold credentials; put an authorization header under headers";
    return is_host(host) || is_address(host, 1) ? NULL : wrong;
}

/* A '?' or '#' inside a placeholder's default is percent-encoded with it; outside it would begin
 * another part. */
const char *config_format_path(struct span name, struct span text)
{
    (void)name;
    const char *p = text.data;
    if (text.size == 0 || p[0] != '/')
        return "must begin with '/'";
    int depth = 0;
    for (size_t i = 0; i < text.size; i++) {
        depth += p[i] == '{' ? 1 : p[i] == '}' ? -1 : 0;
        if (depth == 0 && (p[i] == '?' || p[i] == '#' || (unsigned char)p[i] <= 0x20))
            return "must be a path alone; parameters belong under call.query";
    }
    return NULL;
}

const char *config_format_pointer(struct span name, struct span text)
{
    (void)name;
    const char *wrong =
        "must be a JSON pointer such as /data/0/price ('~' is written ~0, '/' in a name ~1)";
    const char *p = text.data;
    if (text.size && p[0] != '/')
        return wrong;
    for (size_t i = 0; i < text.size; i++) {
        if (p[i] == '~' && (i + 1 == text.size || (p[i + 1] != '0' && p[i + 1] != '1')))
            return wrong;
    }
    return NULL;
}

static bool is_status(struct span text)
{
    const char *p = text.data;
    if (text.size != 3 || p[0] < '1' || p[0] > '5')
        return false;
    return (is_digit(p[1]) && is_digit(p[2])) || (p[1] == 'x' && p[2] == 'x');
}

const char *config_format_status(struct span name, struct span text)
{
    (void)name;
    return is_status(text) ? NULL : "must be a status such as 200 or 2xx";
}

const char *config_format_retry(struct span name, struct span text)
{
    (void)name;
    if (is_status(text) || span_is(text, "timeout") || span_is(text, "unreachable"))
        return NULL;
    return "must be a status such as 503 or 5xx, or timeout, or unreachable";
}

/* --- pairs --- */

const char *config_format_query(struct span name, struct span text)
{
    (void)text;
    return name.size && name.size <= 256 && !has_control(name)
               ? NULL
               : "must have a name of 1 to 256 characters";
}

/* RFC 9110: a field name is a token. */
static bool is_token(struct span text)
{
    const char *p = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (!p[i] || (!is_alphanumeric(p[i]) && !strchr("!#$%&'*+-.^_`|~", p[i])))
            return false;
    }
    return text.size > 0;
}

static bool is_one_of(struct span name, const char *const *names)
{
    for (; *names; names++) {
        if (name.size == strlen(*names) && strncasecmp(name.data, *names, name.size) == 0)
            return true;
    }
    return false;
}

const char *config_format_rate(struct span name, struct span text)
{
    (void)name;
    int64_t count;
    int64_t period_ms;
    return timefmt_parse_rate(text, &count, &period_ms)
               ? NULL
               : "must be a rate such as 50/s, 600/m or 1000/h, or 0";
}

const char *config_format_header(struct span name, struct span text)
{
    /* The client's framing, and what carries a job's identity to the third party. */
    static const char *const reserved[] = { "content-length",
                                            "transfer-encoding",
                                            "connection",
                                            "host",
                                            "idempotency-key",
                                            "expect",
                                            "te",
                                            "upgrade",
                                            NULL };
    if (!is_token(name))
        return "must have an HTTP field name of letters, digits and '-'";
    if (is_one_of(name, reserved))
        return "is set by Errand itself; drop it";
    return has_control(text) ? "must not hold control characters" : NULL;
}

const char *config_format_property(struct span name, struct span text)
{
    /* The promises rest on these. */
    static const char *const reserved[] = { "acks",
                                            "auto.offset.reset",
                                            "bootstrap.servers",
                                            "enable.auto.commit",
                                            "enable.auto.offset.store",
                                            "enable.idempotence",
                                            "group.id",
                                            "isolation.level",
                                            "message.timeout.ms",
                                            "metadata.broker.list",
                                            "partition.assignment.strategy",
                                            "partitioner",
                                            "request.required.acks",
                                            "session.timeout.ms",
                                            "transactional.id",
                                            NULL };
    if (is_one_of(name, reserved))
        return "is set by Errand itself; drop it";
    if (name.size == 0 || has_control(name))
        return "must have a librdkafka property's name, such as security.protocol";
    return utf8_is_text(text) ? NULL : "must be text";
}

static bool ends_with(struct span text, const char *suffix)
{
    size_t size = strlen(suffix);
    return text.size >= size &&
           strncasecmp((const char *)text.data + text.size - size, suffix, size) == 0;
}

bool config_format_is_credential(struct span name)
{
    static const char *const names[] = { "authorization", "proxy-authorization", "cookie",
                                         "ssl.key.pem", NULL };
    return is_one_of(name, names) || ends_with(name, "password") || ends_with(name, "secret") ||
           ends_with(name, "token") || ends_with(name, "api-key") || ends_with(name, "apikey");
}
