/* See verify_books.h: the view, held against the log. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_books_internal.h"

#include "schemas/envelope.h"

#include <inttypes.h>
#include <stdio.h>

uint32_t verify_books_job_count(const struct verify_books *books)
{
    return verify_jobs_count(books->jobs);
}

bool verify_books_is_viewed(const struct verify_books *books, uint32_t number, struct id *ret_id)
{
    const struct verify_job *job = verify_jobs_at(books->jobs, number);
    if (job->next_life || !verify_books_is_in_window(books, job) ||
        !(job->flags & (VERIFY_ACCEPTED | VERIFY_EVENT)))
        return false;
    verify_jobs_identity(job, ret_id);
    return true;
}

static void add_viewed(struct verify_books_sums *sums, struct span record)
{
    enum job_state state;
    if (record.size == 0) {
        sums->view.none++;
        return;
    }
    struct verify_books_sums one = { 0 };
    if (job_state_of_letter(*(const char *)record.data, &state))
        verify_books_add_end(&one, state);
    sums->view.succeeded += one.succeeded;
    sums->view.failed += one.failed;
    sums->view.cancelled += one.cancelled;
    sums->view.expired += one.expired;
    sums->view.live += !(one.succeeded + one.failed + one.cancelled + one.expired);
}

/* Whether a record that is not the expected one is of events that came after the log was read. */
static bool has_moved(const struct verify_books *books, const struct verify_job *job,
                      struct span bytes)
{
    struct envelope_record *record = NULL;
    bool moved = false;
    if ((job->flags & VERIFY_ENDED) || envelope_decode_record(bytes, &record, NULL) != ERR_OK)
        return false;
    for (uint16_t i = 0; i < books->range_count; i++) {
        const struct verify_books_range *range = &books->ranges[i];
        bool may = job->flags & VERIFY_EVENT ? i == job->end_topic : range->replies;
        moved = moved || (may && record->record.version >= range->to);
    }
    envelope_record_free(record);
    return moved;
}

static void differ(struct verify_books *books, struct verify_job *job, const char *text)
{
    bool event = job->flags & VERIFY_EVENT;
    const struct verify_books_place place = {
        .range = event ? job->end_topic : job->origin_topic,
        .offset = event ? job->end_offset : job->origin_offset,
    };
    verify_books_find_of(books, job, VERIFY_BOOKS_DIFFERS, &place, text);
}

static void compare_bytes(struct verify_books *books, struct verify_job *job, struct span bytes,
                          int64_t expires_ms)
{
    char text[160];
    if (verify_books_digest(bytes) != job->read_digest) {
        (void)snprintf(text, sizeof text, "the record's %zu bytes are not those of a fresh fold",
                       bytes.size);
        differ(books, job, text);
    } else if (expires_ms != job->forget_ms) {
        (void)snprintf(text, sizeof text, "the record expires at %" PRId64 ", not at %" PRId64,
                       expires_ms, job->forget_ms);
        differ(books, job, text);
    }
}

static void compare_absent(struct verify_books *books, struct verify_job *job, int64_t now_ms)
{
    char text[120];
    bool event = job->flags & VERIFY_EVENT;
    const struct verify_books_place place = {
        .range = event ? job->end_topic : job->origin_topic,
        .offset = event ? job->end_offset : job->origin_offset,
    };
    if (now_ms >= job->forget_ms) {
        books->counts.forgotten++;
        return;
    }
    (void)snprintf(text, sizeof text, "there is no record, %" PRId64 " ms before its time is over",
                   job->forget_ms - now_ms);
    verify_books_find_of(books, job, VERIFY_BOOKS_ABSENT, &place, text);
}

void verify_books_compare(struct verify_books *books, uint32_t number,
                          const struct verify_books_found *found)
{
    struct verify_job *job = verify_jobs_at(books->jobs, number);
    bool event = job->flags & VERIFY_EVENT;
    books->counts.compared++;
    add_viewed(&books->types[job->type].sums, found->record.size ? found->record : found->command);
    if (found->record.size && has_moved(books, job, found->record))
        books->counts.moved++;
    else if (found->record.size && event)
        compare_bytes(books, job, found->record, found->record_expires_ms);
    else if (found->record.size)
        differ(books, job, "the view has a record of events, and the log has no event");
    else if (found->command.size && !event)
        compare_bytes(books, job, found->command, found->command_expires_ms);
    else
        compare_absent(books, job, found->now_ms);
}

bool verify_books_knows(struct verify_books *books, const struct id *id)
{
    books->counts.keys++;
    return verify_jobs_find(books->jobs, id, NULL) != NULL;
}

void verify_books_stray(struct verify_books *books, const struct id *id, const char *why)
{
    verify_books_find(books, VERIFY_BOOKS_STRAY, id, NULL, "%s", why);
}

void verify_books_behind(struct verify_books *books, uint16_t range, int64_t applied)
{
    const struct verify_books_place place = { range, applied < 0 ? 0 : applied };
    verify_books_find(books, VERIFY_BOOKS_BEHIND, NULL, &place,
                      "the view has not applied what was read, up to offset %" PRId64,
                      books->ranges[range].to);
}

void verify_books_uncertified(struct verify_books *books)
{
    verify_books_find(books, VERIFY_BOOKS_BEHIND, NULL, NULL, "the view is not certified");
}
