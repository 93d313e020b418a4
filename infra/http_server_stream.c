/* Answers that are made while they are sent, and connections that end without one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_server_internal.h"

#include <sys/socket.h>

enum { BLOCK_BYTES = 16 * 1024 };

/* MHD_ContentReaderCallback. A connection that waits for more is suspended: libmicrohttpd would
 * ask again and again. */
static ssize_t read_more(void *cls, uint64_t offset, char *to, size_t size)
{
    struct http_request *req = cls;
    if (req->state == HTTP_STATE_GONE)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    ssize_t got = req->stream.read(req->stream.arg, offset, to, size);
    if (got == HTTP_STREAM_LATER) {
        http_server_park(req);
        return 0;
    }
    if (got == HTTP_STREAM_END)
        return MHD_CONTENT_READER_END_OF_STREAM;
    return got == HTTP_STREAM_BREAK ? MHD_CONTENT_READER_END_WITH_ERROR : got;
}

struct MHD_Response *http_stream_response(struct http_request *req,
                                          const struct http_stream *stream)
{
    req->stream = *stream;
    uint64_t size = stream->size < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)stream->size;
    return MHD_create_response_from_callback(size, BLOCK_BYTES, read_more, req, NULL);
}

void http_stream_end(const struct http_stream *stream)
{
    if (stream->end)
        stream->end(stream->arg);
}

void http_stream_go_on(struct http_request *req)
{
    if (req->state == HTTP_STATE_PARKED)
        http_server_unpark(req, HTTP_STATE_SENDING);
}

void http_reset(struct http_request *req)
{
    if (req->state == HTTP_STATE_GONE) {
        req->on_close = NULL;
        return;
    }
    /* Dissolving the association resets it at once. SO_LINGER would not do: libmicrohttpd shuts
     * down before it closes, and the client would see an orderly end. */
    const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
    (void)connect(req->connection->fd, &nobody, sizeof nobody);
    if (req->state == HTTP_STATE_PARKED)
        http_server_unpark(req, HTTP_STATE_GONE);
    else
        req->state = HTTP_STATE_GONE;
}
