/* Whether the lines of a request were written as RFC 9112 has them: one space between the parts of
 * the request line, CR LF at the end of each line, no NUL. libmicrohttpd 0.9.75 also takes a bare
 * LF, several spaces and a NUL (which hides the rest of its line), and shows none of it in what it
 * parsed. But it parses in place: the names and values that it gives point into the header as it
 * was received, so each must stand where the one before it ends. Three shapes cannot be told
 * apart any more, since libmicrohttpd puts NULs over line ends and colons: NUL LF at the end of a
 * line, ":" LF as the empty line that ends the header, and before a request a line that begins with
 * NUL, which it skips. 1.0 refuses all of
 * this by itself (MHD_OPTION_STRICT_FOR_CLIENT) and lays its memory out in another way.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_server_internal.h"

enum { LINE_END = 2 }; /* CR LF */

/* A walk along the header in the order received. */
struct walk {
    const char *at; /* where the next line must begin */
    const char *end;
    bool strict;
};

static enum MHD_Result follow(void *cls, enum MHD_ValueKind kind, const char *name,
                              size_t name_size, const char *value, size_t value_size)
{
    (void)kind;
    struct walk *walk = cls;
    walk->strict = false;
    if (name != walk->at || !value)
        return MHD_NO;
    const char *begin = name + name_size + 1; /* beyond the colon */
    while (begin < walk->end && (*begin == ' ' || *begin == '\t'))
        begin++;
    if (value != begin)
        return MHD_NO;
    walk->at = value + value_size + LINE_END;
    walk->strict = true;
    return MHD_YES;
}

bool http_raw_is_strict(const struct http_request *req, const char *path, const char *version,
                        size_t header_size)
{
    if (MHD_VERSION >= 0x01000000)
        return true;
    struct walk walk = {
        .at = version + strlen(version) + LINE_END,
        .end = req->method + header_size,
        .strict =
            path == req->method + strlen(req->method) + 1 && version == path + req->target_size + 1,
    };
    if (walk.strict)
        (void)MHD_get_connection_values_n(req->mhd, MHD_HEADER_KIND, follow, &walk);
    return walk.strict && walk.at + LINE_END == walk.end;
}
