/* See verify_books_read.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_books_read.h"

#include "consumers/verify/verify_books_redis.h"
#include "consumers/verify/verify_scan.h"
#include "infra/clock.h"

#include <stdio.h>

#define CLUSTER_TIMEOUT_MS 20000

static void begin(void *arg, struct verify_part *parts, size_t count, bool partial)
{
    struct verify_books *books = arg;
    (void)partial;
    for (size_t i = 0; i < count; i++) {
        parts[i].tag = verify_books_range_add(books, parts[i].topic, parts[i].number,
                                              parts[i].kind == TOPIC_REPLIES);
        verify_books_range_at(books, parts[i].tag)->committed = parts[i].committed;
    }
}

static void record(void *arg, const struct verify_scanned *scanned)
{
    struct verify_books *books = arg;
    const struct envelope *envelope = scanned->envelope;
    const struct verify_books_place place = { scanned->part->tag, scanned->offset };
    if (scanned->part->kind == TOPIC_DEAD)
        return;
    if (scanned->reach != VERIFY_WITHIN)
        verify_books_outside(books, scanned->reach == VERIFY_BEYOND);
    else if (envelope->kind == ENVELOPE_COMMAND)
        verify_books_command(books, &place, &envelope->command, scanned->committed);
    else
        verify_books_event(books, &place, &envelope->event);
}

static void end(void *arg, const struct verify_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct verify_books_range *range = verify_books_range_at(arg, parts[i].tag);
        range->from = parts[i].from;
        range->to = parts[i].to;
        range->records = parts[i].records;
    }
}

static enum err_code read_log(const struct verify_books_use *use, struct verify_books *books,
                              struct verify_notes *notes, struct err *err)
{
    const struct verify_scan scan = { .admin = use->admin,
                                      .config = use->config,
                                      .notes = notes,
                                      .records_max = use->records_max,
                                      .until_ms = use->until_ms,
                                      .stop = use->stop,
                                      .arg = books,
                                      .begin = begin,
                                      .record = record,
                                      .end = end };
    return verify_scan_run(&scan, err);
}

enum err_code verify_books_read(const struct verify_books_use *use,
                                struct verify_books_certificate *ret_certificate, struct err *err)
{
    const struct verify_books_options options = { .bytes_max = use->bytes_max,
                                                  .from_ms = use->from_ms,
                                                  .to_ms = use->to_ms };
    struct verify_books_certificate made = { .began_ms = clock_wall_ms(), .view = use->view };
    enum err_code code =
        kafka_cluster_id_sync(use->admin, CLUSTER_TIMEOUT_MS, made.cluster_id, err);
    if (code)
        return code;
    (void)snprintf(made.namespace_, sizeof made.namespace_, "%s", use->config->namespace_);
    made.books = verify_books_new(&options);
    code = read_log(use, made.books, &made.notes, err);
    if (!code)
        code = verify_books_finish(made.books, err);
    if (!code && use->view)
        code = verify_books_view(made.books, use, made.cluster_id, err);
    if (!use->view)
        verify_note(&made.notes, "the records in Redis");
    made.ended_ms = clock_wall_ms();
    if (code)
        verify_books_certificate_clear(&made);
    else
        *ret_certificate = made;
    return code;
}

void verify_books_certificate_clear(struct verify_books_certificate *certificate)
{
    verify_books_free(certificate->books);
    certificate->books = NULL;
}
