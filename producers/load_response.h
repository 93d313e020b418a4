/* Answers of a gateway as they come from a socket: just enough of HTTP/1.1 (RFC 9112) to measure
 * with.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_LOAD_RESPONSE_H
#define PRODUCERS_LOAD_RESPONSE_H

#include "schemas/span.h"

enum load_parse {
    LOAD_PARSE_MORE, /* not all of it is here */
    LOAD_PARSE_DONE,
    LOAD_PARSE_BAD, /* not what a gateway sends: no HTTP/1.1, or no Content-Length */
};

struct load_response {
    int status;
    struct span body;
    struct span etag; /* as sent, with its quotes; data is NULL when there is none */
    size_t size;      /* bytes of the whole answer */
    bool close;       /* the server ends the connection after it */
};

enum load_parse load_response_parse(struct span bytes, struct load_response *ret_response);
/* The text of the first member of that name in a JSON answer of the gateway; data is NULL when
 * there is none. Without parsing: names and ids have no escapes, and a quote within a text is
 * always escaped. */
struct span load_response_member(struct span json, const char *name);

#endif
