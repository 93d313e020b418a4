/* What a step of a redrive or a purge is asked for, and what it holds while it is under way.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_HTTP_DEAD_STEP_H
#define GATEWAY_HTTP_DEAD_STEP_H

#include "gateway/http/gateway.h"
#include "producers/redrive.h"

struct json;

struct redriving {
    struct gateway *gateway;
    struct http_request *req; /* NULL: the client has gone */
    bool detached;            /* the gateway has gone, too */
    bool purge, execute;
    /* as asked */
    struct json *body;
    struct dead_filter filter;
    struct dead_place letter; /* this one alone; nowhere: what the filter takes */
    struct dead_place after;  /* the cursor; nowhere: from the start */
    int64_t limit, number_max, failed_percent_max, ahead;
    char batch[DEAD_BATCH_SIZE];
    int64_t began_ms; /* the batch: letters that died later are left alone */
    char who[DEAD_WHO_BYTES_MAX + 1], why[DEAD_WHY_BYTES_MAX + 1];
    struct buf edit;
    const struct json *edit_json; /* in `body` */
    char request_id[72];
    /* under way */
    struct dead_batch sums;
    struct dead_place *letters;
    struct redrive_item *items; /* of each letter */
    size_t count;
    struct kafka_fetch *fetches; /* of those that are to be done */
    char **topics;               /* of each fetch */
    size_t fetch_count, claimed;
    bool more; /* there may be more behind this page, which ended here: */
    struct dead_place next;
    struct redrive_options options;
};

/* Reads the request's body into the step. */
enum err_code dead_step_parse(struct redriving *step, struct err *err) MUST_CHECK;
/* Appends what was asked for, as JSON, for the audit. */
void dead_step_what(const struct redriving *step, struct buf *out);
/* The job of a letter, as its line tells. */
bool dead_step_id(const struct dead_item *item, struct id *ret_id);
/* Whether this batch has resolved the letter, in a step whose answer did not come, and with which
 * new job; none of a purge. */
bool dead_step_did(const struct redriving *step, const struct dead_item *item, struct id *ret_job);
void dead_step_free(struct redriving *step);

#endif
