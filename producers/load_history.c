/* See load_history.h. SPDX-License-Identifier: Apache-2.0 */
#include "producers/load_history.h"

#include "infra/clock.h"
#include "schemas/digits.h"
#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define REMEMBERED_MAX 4096
#define NAME_BYTES_MAX 64

struct load_history {
    const struct load_options *options;
    int64_t wall_ms, monotonic_ms; /* of the same moment */
    struct buf name, key;
    char remembered[REMEMBERED_MAX][ID_TEXT_SIZE];
    size_t count; /* ever */
};

struct load_history *load_history_new(const struct load_options *options)
{
    if (!options->on_history)
        return NULL;
    struct load_history *history = MEM_NEW(*history);
    history->options = options;
    history->wall_ms = clock_wall_ms();
    history->monotonic_ms = clock_monotonic_ms();
    history->name = (struct buf)BUF_INIT(NAME_BYTES_MAX);
    history->key = (struct buf)BUF_INIT(NAME_BYTES_MAX);
    return history;
}

void load_history_free(struct load_history *history)
{
    if (!history)
        return;
    buf_free(&history->name);
    buf_free(&history->key);
    free(history);
}

int64_t load_history_now_ms(const struct load_history *history)
{
    return history ? history->wall_ms + clock_monotonic_ms() - history->monotonic_ms : 0;
}

static void tell(const struct load_history *history, const struct history_line *line)
{
    history->options->on_history(history->options->arg, line);
}

static struct span name_of(struct load_history *history, const struct load_body *body, int64_t n)
{
    buf_reset(&history->name);
    load_body_name(body, n, &history->name);
    return buf_span(&history->name);
}

int64_t load_history_submit(struct load_history *history, const struct load_body *body, int64_t n)
{
    if (!history)
        return 0;
    buf_reset(&history->key);
    load_body_key(body, n, &history->key);
    const struct history_line line = {
        .kind = HISTORY_SUBMIT,
        .request = name_of(history, body, n),
        .key = buf_span(&history->key),
        .begin_ms = load_history_now_ms(history),
        .version = -1,
    };
    tell(history, &line);
    return line.begin_ms;
}

/* "42" with its quotes, which a read's version is told as; -1: none. */
static int64_t version_of(struct span etag)
{
    const char *text = etag.data;
    int64_t version = 0;
    if (etag.size < 3 || text[0] != '"' || text[etag.size - 1] != '"')
        return -1;
    return digits_parse((struct span){ text + 1, etag.size - 2 }, DIGITS_MAX, &version) ? version
                                                                                        : -1;
}

void load_history_submitted(struct load_history *history, const struct load_body *body, int64_t n,
                            int64_t begin_ms, const struct load_response *response)
{
    if (!history)
        return;
    struct history_line line = {
        .kind = HISTORY_SUBMITTED,
        .request = name_of(history, body, n),
        .status = response->status,
        .begin_ms = begin_ms,
        .end_ms = load_history_now_ms(history),
        .version = -1,
    };
    line.has_id = id_parse(load_response_member(response->body, "id"), &line.id);
    if (response->status >= 400)
        line.code = load_response_member(response->body, "code");
    tell(history, &line);
}

void load_history_unanswered(struct load_history *history, const struct load_body *body, int64_t n,
                             int64_t begin_ms)
{
    if (!history)
        return;
    const struct history_line line = {
        .kind = HISTORY_SUBMITTED,
        .request = name_of(history, body, n),
        .begin_ms = begin_ms,
        .end_ms = load_history_now_ms(history),
        .version = -1,
    };
    tell(history, &line);
}

void load_history_read(struct load_history *history, const char *id, int64_t begin_ms,
                       const struct load_response *response)
{
    if (!history)
        return;
    struct history_line line = {
        .kind = HISTORY_READ,
        .status = response->status,
        .begin_ms = begin_ms,
        .end_ms = load_history_now_ms(history),
        .version = version_of(response->etag),
    };
    line.has_id = id_parse(span_of(id), &line.id);
    if (!line.has_id)
        return; /* of no gateway of ours */
    if (response->status == 200)
        line.has_state =
            job_state_parse(load_response_member(response->body, "state"), &line.state);
    else
        line.code = load_response_member(response->body, "code");
    if (line.has_state && job_state_is_terminal(line.state))
        line.digest = history_digest(response->body);
    tell(history, &line);
}

bool load_history_swap(struct load_history *history, char *id, size_t size)
{
    if (!history)
        return false;
    size_t known = history->count < REMEMBERED_MAX ? history->count : REMEMBERED_MAX;
    size_t place = history->count % REMEMBERED_MAX;
    char mine[ID_TEXT_SIZE];
    (void)snprintf(mine, sizeof mine, "%.36s", id);
    /* Any other: a multiplier that is odd and large visits them all in no order. */
    if (known)
        (void)snprintf(id, size, "%s", history->remembered[history->count * 2654435761U % known]);
    (void)snprintf(history->remembered[place], ID_TEXT_SIZE, "%s", mine);
    history->count++;
    return known > 0;
}
