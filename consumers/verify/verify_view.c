/* See verify_view.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_view.h"

#include "consumers/verify/verify_redis.h"
#include "infra/clock.h"
#include "schemas/envelope.h"
#include "schemas/fold.h"
#include "schemas/mem.h"
#include "schemas/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH_MAX     256
#define BATCH_BYTES   ((size_t)4 * 1024 * 1024)
#define KEY_BYTES_MAX 320

struct expected {
    struct id id;
    struct verify_place place;
    int64_t forget_ms;
    size_t from, size; /* in bytes */
};

struct verify_view {
    const struct config *config;
    struct verify_judge *judge;
    struct verify_redis *redis;
    struct expected batch[BATCH_MAX];
    size_t count;
    struct buf bytes;
    uint64_t compared;
    struct err failed; /* the first failure; its code is ERR_OK while there is none */
};

enum err_code verify_view_open(const struct config *config, struct verify_judge *judge,
                               struct verify_view **ret_view, struct err *err)
{
    struct verify_redis *redis = NULL;
    enum err_code code = verify_redis_open(&config->redis, &redis, err);
    if (code)
        return code;
    struct verify_view *view = MEM_NEW(*view);
    view->config = config;
    view->judge = judge;
    view->redis = redis;
    view->bytes = (struct buf)BUF_INIT(BATCH_BYTES + ENVELOPE_RECORD_BYTES_MAX);
    *ret_view = view;
    return ERR_OK;
}

void verify_view_close(struct verify_view *view)
{
    if (!view)
        return;
    verify_redis_close(view->redis);
    buf_free(&view->bytes);
    free(view);
}

/* --- comparing --- */

static void compare(struct verify_view *view, const struct expected *expected, struct span found,
                    int64_t expires_ms)
{
    struct span bytes = { view->bytes.data + expected->from, expected->size };
    char text[160] = "";
    view->compared++;
    if (found.size == 0) {
        if (clock_wall_ms() < expected->forget_ms)
            (void)snprintf(text, sizeof text, "there is no record, %" PRId64 " ms before its time",
                           expected->forget_ms - clock_wall_ms());
    } else if (!span_eq(found, bytes)) {
        (void)snprintf(text, sizeof text, "the record's %zu bytes are not the %zu of the fold",
                       found.size, bytes.size);
    } else if (expires_ms != expected->forget_ms) {
        (void)snprintf(text, sizeof text, "the record expires at %" PRId64 ", not at %" PRId64,
                       expires_ms, expected->forget_ms);
    }
    if (*text)
        verify_judge_view(view->judge, &expected->id, &expected->place, text);
}

static void on_found(void *arg, const struct redis_reply *reply)
{
    struct verify_view *view = arg;
    if (redis_reply_count(reply) != 2 * view->count) {
        err_set(&view->failed, ERR_REDIS, "the view cannot be read: not as many as asked for");
        return;
    }
    for (size_t i = 0; i < view->count; i++)
        compare(view, &view->batch[i], redis_reply_text(redis_reply_at(reply, 2 * i)),
                redis_reply_integer(redis_reply_at(reply, 2 * i + 1)));
}

static void flush(struct verify_view *view)
{
    struct redis_args args = REDIS_ARGS_INIT((size_t)BATCH_MAX * KEY_BYTES_MAX);
    if (view->count == 0 || view->failed.code)
        return;
    for (size_t i = 0; i < view->count; i++) {
        redis_args_begin(&args);
        view_key(&args.store, view->config->namespace_, VIEW_RECORD, &view->batch[i].id);
        redis_args_end(&args);
    }
    (void)!verify_redis_look(view->redis, &args, on_found, view, &view->failed);
    view->count = 0;
    buf_reset(&view->bytes);
}

void verify_view_take(void *arg, const struct verify_place *place, const struct job_event *event)
{
    struct verify_view *view = arg;
    struct job_record record;
    size_t from = view->bytes.size;
    if (view->failed.code || !fold_event(NULL, event, place->offset, &record))
        return;
    if (envelope_encode_record(&record, &view->bytes, &view->failed) != ERR_OK)
        return;
    view->batch[view->count++] = (struct expected){
        .id = event->facts.id,
        .place = *place,
        .forget_ms = event->facts.forget_at_ms,
        .from = from,
        .size = view->bytes.size - from,
    };
    if (view->count == BATCH_MAX || view->bytes.size > BATCH_BYTES)
        flush(view);
}

enum err_code verify_view_finish(struct verify_view *view, uint64_t *ret_compared, struct err *err)
{
    flush(view);
    if (view->failed.code) {
        if (err)
            *err = view->failed;
        return view->failed.code;
    }
    *ret_compared = view->compared;
    return ERR_OK;
}
