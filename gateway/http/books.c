/* GET /v1/books: the books, as `errand verify` makes them. They are read on the thread pool, with
 * clients of their own, one reading at a time: the loop only asks and answers. Topics with more
 * than gateway.books_records_max records are refused before any is read, and the reading ends with
 * gateway.books_timeout at the latest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_books_report.h"
#include "gateway/http/gateway.h"
#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/timefmt.h"

#include <stdlib.h>

#define BYTES_MAX       ((size_t)256 * 1024 * 1024) /* of the jobs, while they are counted */
#define BYTES_ANSWER    ((size_t)4 * 1024 * 1024)
#define TIME_IS_OVER    "The books were not read within gateway.books_timeout; try `errand verify`."
#define MORE_THAN_LIMIT "%.200s (gateway.books_records_max); `errand verify` has no such limit."

/* Outlives the gateway when the pool is still at it. */
struct books {
    struct gateway *gateway;  /* NULL once it is gone */
    struct http_request *req; /* NULL: nobody asks, or the client has gone */
    const struct config *config;
    struct verify_books_use use;
    bool reading; /* the pool is at it */
    atomic_bool stop;
    struct buf answer;
    struct err err; /* of the reading; its code is ERR_OK when it went well */
};

/* --- on the pool --- */

static enum err_code read_all(struct books *books)
{
    struct verify_books_certificate certificate;
    struct kafka_admin *admin = NULL;
    enum err_code code =
        kafka_admin_open(&books->config->kafka, "errand-books", &admin, &books->err);
    if (code)
        return code;
    books->use.admin = admin;
    code = verify_books_read(&books->use, &certificate, &books->err);
    if (!code) {
        code = verify_books_json(&certificate, &books->answer, &books->err);
        verify_books_certificate_clear(&certificate);
    }
    kafka_admin_close(admin);
    return code;
}

/* thread: pool */
static void work(void *arg)
{
    struct books *books = arg;
    books->err = (struct err){ 0 };
    books->err.code = read_all(books);
}

/* --- on the loop --- */

/* What a client is told of a reading that failed. */
static void explain(const struct books *books, struct err *ret_err)
{
    const struct err *err = &books->err;
    if (clock_monotonic_ms() > books->use.until_ms)
        err_set(ret_err, ERR_OVERLOADED, TIME_IS_OVER);
    else if (err->code == ERR_LIMIT)
        err_set(ret_err, ERR_LIMIT, MORE_THAN_LIMIT, err->text);
    else if (err->code == ERR_REDIS || err->code == ERR_REDIS_GONE)
        err_set(ret_err, ERR_VIEW_UNAVAILABLE, "%.300s", err->text);
    else if (err->code == ERR_CANCELLED)
        err_set(ret_err, ERR_DRAINING, "The gateway is shutting down.");
    else
        *ret_err = *err;
}

static void books_free(struct books *books)
{
    buf_free(&books->answer);
    free(books);
}

static void done(void *arg)
{
    struct books *books = arg;
    struct http_request *req = books->req;
    books->reading = false;
    books->req = NULL;
    if (req && books->err.code) {
        struct err err;
        explain(books, &err);
        gateway_problem(req, &err);
    } else if (req) {
        gateway_json(req, 200, &books->answer, NULL, 0);
    }
    buf_free(&books->answer);
    if (!books->gateway)
        books_free(books);
}

/* The reading is not for anybody else: it is called off. */
static void on_client_gone(struct http_request *req, void *context)
{
    struct books *books = context;
    (void)req;
    books->req = NULL;
    atomic_store(&books->stop, true);
}

/* A time, or a duration: that long ago. */
static enum err_code read_time(struct http_request *req, const char *name, int64_t fallback,
                               int64_t *ret_ms, struct err *err)
{
    struct span text = http_query(req, name);
    *ret_ms = fallback;
    if (text.data && !timefmt_parse_since(text, clock_wall_ms(), ret_ms))
        return err_field(err, ERR_INVALID_PARAMETER, name,
                         "%s is a time of RFC 3339, or how long ago (90m, 7d).", name);
    return ERR_OK;
}

static enum err_code prepare(struct gateway *gateway, struct http_request *req, struct err *err)
{
    const struct config_gateway *config = &gateway->config->gateway;
    struct verify_books_use use = { .config = gateway->config,
                                    .bytes_max = BYTES_MAX,
                                    .records_max = (uint64_t)config->books_records_max,
                                    .until_ms = clock_monotonic_ms() + config->books_timeout_ms,
                                    .view = true };
    enum err_code code = read_time(req, "from", INT64_MIN, &use.from_ms, err);
    if (!code)
        code = read_time(req, "to", INT64_MAX, &use.to_ms, err);
    if (!code && service_is_draining(gateway->service))
        code = err_set(err, ERR_DRAINING, "The gateway is shutting down.");
    if (!code && gateway->books && gateway->books->reading)
        code = err_set(err, ERR_OVERLOADED, "The books are being read for another request.");
    if (code)
        return code;
    if (!gateway->books)
        gateway->books = MEM_NEW(*gateway->books);
    gateway->books->gateway = gateway;
    gateway->books->config = gateway->config;
    gateway->books->use = use;
    gateway->books->use.stop = &gateway->books->stop;
    return ERR_OK;
}

void books_handler(struct http_request *req, void *service)
{
    struct gateway *gateway = service_state(service);
    struct err err = { 0 };
    if (prepare(gateway, req, &err) != ERR_OK) {
        gateway_problem(req, &err);
        return;
    }
    struct books *books = gateway->books;
    books->req = req;
    books->reading = true;
    books->answer = (struct buf)BUF_INIT(BYTES_ANSWER);
    atomic_store(&books->stop, false);
    http_set_context(req, books);
    http_on_close(req, on_client_gone);
    loop_work(gateway->loop, work, done, books);
}

void books_stop(struct gateway *gateway)
{
    if (gateway->books)
        atomic_store(&gateway->books->stop, true);
}

void books_close(struct gateway *gateway)
{
    struct books *books = gateway->books;
    if (!books)
        return;
    gateway->books = NULL;
    books->gateway = NULL;
    books->req = NULL;
    atomic_store(&books->stop, true);
    if (!books->reading)
        books_free(books);
}
