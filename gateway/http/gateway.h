/* The HTTP gateway: takes jobs in and tells what became of them. It decides nothing about the work:
 * a submission is checked, given an id, put on its command topic, and answered with 202 once Kafka
 * has acknowledged it; reads come from the view. One struct gateway a thread; nothing is shared
 * between two.
 * THREADS: one loop.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_HTTP_GATEWAY_H
#define GATEWAY_HTTP_GATEWAY_H

#include "consumers/dead_index.h"
#include "consumers/gate.h"
#include "consumers/view.h"
#include "gateway/http/admission.h"
#include "gateway/http/lag_watch.h"
#include "infra/kafka_watch.h"
#include "infra/service.h"
#include "producers/publish.h"
#include "producers/sticky.h"
#include "schemas/envelope.h"
#include "schemas/id.h"

struct waits;
struct early;
struct redriving;
struct books;

struct gateway {
    struct service *service;
    const struct config *config;
    struct loop *loop;
    struct log *log;
    struct kafka_producer *producer;
    struct publish publish;
    char *source;
    struct redis *redis;
    struct redis_subscriber *subscriber;
    struct kafka_admin *admin;
    struct view_identity *identity;
    struct view_options view_use; /* of the view, and of whoever reads its lists */
    struct view *view;
    struct gate *gate; /* for wishes to cancel */
    struct id_minter *minter;
    struct sticky *sticky; /* of config->queues */
    struct waits *waits;
    struct admission *admission;
    struct early *early;
    struct lag_watch *lag;
    struct dead_index dead_index;
    struct redriving *redriving; /* the step of a redrive or purge that is under way; NULL none */
    struct books *books;         /* NULL until they are asked for */
    struct kafka_watch *kafka_watch;
    struct loop_timer *drain_timer;
    int64_t refuse_at_ms; /* monotonic: a drain that lasts takes no more submissions; 0: none */
    struct service_condition *kafka_ready, *redis_ready, *identity_ready;
    struct metric *accepted, *refused, *unknown;
};

/* Clients' questions that only Kafka can answer, under way at once. Each has a thread to wait on,
 * so that a Kafka that is slow keeps nobody else's from being asked: the gateway's own looks go on.
 */
#define GATEWAY_KAFKA_QUESTIONS_MAX 16

/* A job as JSON: a text's worst byte becomes \u0001. */
#define GATEWAY_JOB_BYTES_MAX ((size_t)6 * ENVELOPE_RECORD_BYTES_MAX + (size_t)64 * 1024)

/* The one tenant until there are more. */
#define GATEWAY_TENANT "default"

/* --- routes.c: the handlers, each given the service as its arg --- */
extern const struct http_route gateway_routes[];
extern const size_t gateway_route_count;
/* What Retry-After says with a refusal that passes (503, 409), in seconds; 0: nothing. */
int gateway_retry_after_s(enum err_code code);
/* Answers with a problem; a code that passes (503, 409) gets a Retry-After. */
void gateway_problem(struct http_request *req, const struct err *err);
/* Answers with a JSON body. `headers` beside the usual ones. */
void gateway_json(struct http_request *req, int status, const struct buf *body,
                  const struct http_header_line *headers, size_t header_count);

/* --- early.c: who comes before the gateway is ready --- */
struct early *early_new(struct service *service);
/* Lets those that wait go first. Accepts NULL. */
void early_free(struct early *early);
/* Handles the request now or, while the gateway starts, when it is ready, at the latest five
 * seconds after its start. */
void early_handle(struct early *early, struct http_request *req, http_handler_fn handler);
/* The start is over, or shall be: handles all that wait. */
void early_end(struct early *early);

/* --- submit.c --- */
void submit_handler(struct http_request *req, void *service);
/* Answers that the job may or may not have been accepted (P-3). */
void submit_unknown(struct http_request *req, const struct id *id);

/* --- read.c --- */
void read_job_handler(struct http_request *req, void *service);
void read_result_handler(struct http_request *req, void *service);
void read_why_handler(struct http_request *req, void *service);
/* Parses ?wait= and Prefer: wait= (RFC 7240), seconds, clamped to gateway.wait_max; 0 when there is
 * neither. `ret_preferred` tells that the header was used. */
enum err_code read_wait_ms(const struct gateway *gateway, struct http_request *req,
                           int64_t *ret_wait_ms, bool *ret_preferred, struct err *err) MUST_CHECK;
/* Goes on to answer `req` with the job `id`, at once or when it is terminal, at the latest after
 * wait_ms. `pending_status` answers a job that is not terminal by then (200 for a read, 202 for a
 * submission). */
enum read_what {
    READ_JOB,
    READ_RESULT,
    READ_WHY,
    READ_CANCELLED /* a job that is being cancelled: one that ended otherwise is `job_ended` */
};
struct read_options {
    enum read_what what;
    int64_t wait_ms;
    int pending_status;
    bool preferred;
    bool replayed; /* of a submission whose job was there already */
};
void read_start(struct gateway *gateway, struct http_request *req, const struct id *id,
                const struct read_options *options);

/* An absent job that was accepted (or claimed) a moment ago is queued: the recorder has not come to
 * it. */
bool read_is_young(const struct gateway *gateway, const struct id *id,
                   const struct view_answer *found);
/* Why a job is absent from a view that has caught up: it never was, or it has been forgotten. */
void read_absent(const struct gateway *gateway, const struct id *id, struct err *ret_err);
/* Answers every waiting request with what is known now (the end of the process). */
void read_end_all(struct gateway *gateway);

/* --- list.c --- */
void list_handler(struct http_request *req, void *service);

/* --- cancel.c --- */
void cancel_handler(struct http_request *req, void *service);

/* --- workers.c --- */
void workers_handler(struct http_request *req, void *service);

/* --- dead.c --- */
/* GET /v1/dead: counts, groups, a page of letters. */
void dead_list_handler(struct http_request *req, void *service);
/* GET /v1/dead/{job} and /v1/dead/{queue}/{offset}: one letter, with the payload. */
void dead_job_handler(struct http_request *req, void *service);
void dead_letter_handler(struct http_request *req, void *service);
/* "queue/offset" */
bool dead_place_parse(const struct config *config, struct span text, struct dead_place *ret_place);
/* Whether what the index says may be told. */
enum err_code dead_check(enum err_code code, bool certified, struct err *err) MUST_CHECK;

/* --- dead_redrive.c --- */
/* POST /v1/dead:redrive and /v1/dead:purge: one step. */
void dead_redrive_handler(struct http_request *req, void *service);
void dead_purge_handler(struct http_request *req, void *service);
/* The gateway ends: a step that is being read ends by itself. */
void dead_redrive_stop(struct gateway *gateway);

/* --- books.c --- */
void books_handler(struct http_request *req, void *service);
/* Calls off a reading under way: it is answered soon (the end of the process). */
void books_stop(struct gateway *gateway);
/* After it nobody is answered any more. */
void books_close(struct gateway *gateway);

/* --- types.c --- */
void types_handler(struct http_request *req, void *service);

/* --- lag.c --- */
void lag_handler(struct http_request *req, void *service);
void autoscale_handler(struct http_request *req, void *service);

/* --- waits.c: who waits for which job --- */
struct wait;
/* `woken` is called once the subscription is confirmed (message empty: read now), at each wake-up,
 * after a lost connection and every few seconds (message empty: read again); `message` is a record
 * or empty. */
typedef void (*wait_fn)(void *arg, struct span message);
struct waits *waits_new(struct gateway *gateway);
void waits_free(struct waits *waits);
/* NULL when gateway.waiting_max is reached. */
struct wait *waits_add(struct waits *waits, const struct id *id, wait_fn woken, void *arg);
void waits_remove(struct wait *wait);
/* The subscriber's callbacks; their arg is the gateway. */
void waits_message(void *arg, struct span name, struct span message);
void waits_lost(void *arg);
/* Wakes everybody (for the end of the process). */
void waits_wake_all(struct waits *waits);

#endif
