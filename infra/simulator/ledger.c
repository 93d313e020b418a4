/* A ring of calls, and tallies of what it holds. See ledger.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/ledger.h"

#include "infra/simulator/tally.h"
#include "schemas/mem.h"
#include "schemas/timefmt.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

/* A call written as JSON is never longer: five texts, each byte six at most ("\u001f"), and the
 * rest. */
#define CALL_JSON_MAX (CALL_TEXTS * 6 * LEDGER_TEXT_MAX + 512)
#define CALL_TEXTS    5

struct call {
    struct ledger_call facts; /* its texts are in `bytes` */
    int64_t seq;
    int64_t finished_ms; /* 0: open */
    int status;
    bool executed;
    char bytes[];
};

struct ledger {
    struct call **ring; /* the call with sequence number n is at n % calls_max */
    size_t calls_max;
    int64_t first; /* sequence number of the oldest call held */
    int64_t next;  /* sequence number of the next call */
    int64_t dropped;
    struct tally *paths;         /* all calls, by path */
    struct tally *keys;          /* those with an idempotency key, by key */
    struct tally *keyless_paths; /* those without, by path */
};

static struct call **slot(const struct ledger *ledger, int64_t seq)
{
    return &ledger->ring[(size_t)seq % ledger->calls_max];
}

static void open_tallies(struct ledger *ledger)
{
    ledger->paths = tally_new();
    ledger->keys = tally_new();
    ledger->keyless_paths = tally_new();
}

static void free_tallies(struct ledger *ledger)
{
    tally_free(ledger->paths);
    tally_free(ledger->keys);
    tally_free(ledger->keyless_paths);
}

struct ledger *ledger_new(size_t calls_max)
{
    assert(calls_max > 0);
    struct ledger *ledger = MEM_NEW(*ledger);
    ledger->ring = mem_zalloc(calls_max, sizeof(struct call *));
    ledger->calls_max = calls_max;
    ledger->first = 1;
    ledger->next = 1;
    open_tallies(ledger);
    return ledger;
}

static void free_calls(struct ledger *ledger)
{
    for (int64_t seq = ledger->first; seq < ledger->next; seq++) {
        free(*slot(ledger, seq));
        *slot(ledger, seq) = NULL;
    }
}

void ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return;
    free_calls(ledger);
    free_tallies(ledger);
    free(ledger->ring);
    free(ledger);
}

void ledger_clear(struct ledger *ledger)
{
    free_calls(ledger);
    free_tallies(ledger);
    open_tallies(ledger);
    ledger->first = ledger->next;
    ledger->dropped = 0;
}

static void drop_oldest(struct ledger *ledger)
{
    struct call **oldest = slot(ledger, ledger->first);
    const struct ledger_call *facts = &(*oldest)->facts;
    tally_remove(ledger->paths, facts->path);
    if (facts->idempotency_key.size)
        tally_remove(ledger->keys, facts->idempotency_key);
    else
        tally_remove(ledger->keyless_paths, facts->path);
    free(*oldest);
    *oldest = NULL;
    ledger->first++;
    ledger->dropped++;
}

static struct span cut(struct span text)
{
    return (struct span){ text.data, text.size < LEDGER_TEXT_MAX ? text.size : LEDGER_TEXT_MAX };
}

/* Moves a text into the call's own bytes at `*end`. */
static void keep(struct span *text, char **end)
{
    if (text->size)
        memcpy(*end, text->data, text->size);
    text->data = *end;
    *end += text->size;
}

static struct call *copy_call(const struct ledger_call *from)
{
    struct ledger_call facts = *from;
    struct span *const texts[CALL_TEXTS] = { &facts.method, &facts.path, &facts.idempotency_key,
                                             &facts.traceparent, &facts.simulate };
    size_t size = 0;
    for (size_t i = 0; i < CALL_TEXTS; i++) {
        *texts[i] = cut(*texts[i]);
        size += texts[i]->size;
    }
    struct call *call = mem_zalloc(1, sizeof *call + size);
    char *end = call->bytes;
    for (size_t i = 0; i < CALL_TEXTS; i++)
        keep(texts[i], &end);
    call->facts = facts;
    return call;
}

int64_t ledger_add(struct ledger *ledger, const struct ledger_call *call)
{
    if ((size_t)(ledger->next - ledger->first) == ledger->calls_max)
        drop_oldest(ledger);
    struct call *kept = copy_call(call);
    kept->seq = ledger->next++;
    *slot(ledger, kept->seq) = kept;
    tally_add(ledger->paths, kept->facts.path);
    if (kept->facts.idempotency_key.size)
        tally_add(ledger->keys, kept->facts.idempotency_key);
    else
        tally_add(ledger->keyless_paths, kept->facts.path);
    return kept->seq;
}

void ledger_execute(struct ledger *ledger, int64_t seq)
{
    assert(seq < ledger->next);
    if (seq >= ledger->first)
        (*slot(ledger, seq))->executed = true;
}

void ledger_finish(struct ledger *ledger, int64_t seq, int status, int64_t finished_ms)
{
    assert(seq < ledger->next);
    if (seq < ledger->first)
        return;
    struct call *call = *slot(ledger, seq);
    call->status = status;
    call->finished_ms = finished_ms;
}

int64_t ledger_count(const struct ledger *ledger, struct span key, struct span path)
{
    return key.size ? tally_count(ledger->keys, cut(key))
                    : tally_count(ledger->keyless_paths, cut(path));
}

int64_t ledger_dropped(const struct ledger *ledger)
{
    return ledger->dropped;
}

/* --- reading --- */

static void write_text(const char *name, struct span text, struct buf *out)
{
    buf_printf(out, ",\"%s\":", name);
    if (text.size)
        buf_add_json_string(out, text);
    else
        buf_add_text(out, "null");
}

/* 0 stands for not known. */
static void write_number(const char *name, int64_t number, struct buf *out)
{
    buf_printf(out, ",\"%s\":", name);
    if (number)
        buf_add_int(out, number);
    else
        buf_add_text(out, "null");
}

static void write_call(const struct call *call, struct buf *out)
{
    const struct ledger_call *facts = &call->facts;
    char time[TIMEFMT_RFC3339_SIZE];
    timefmt_rfc3339(facts->started_ms, time);
    buf_printf(out, "{\"seq\":%" PRId64 ",\"time\":\"%s\"", call->seq, time);
    write_text("method", facts->method, out);
    write_text("path", facts->path, out);
    write_text("idempotency_key", facts->idempotency_key, out);
    write_text("traceparent", facts->traceparent, out);
    write_number("attempt", facts->attempt, out);
    write_text("simulate", facts->simulate, out);
    const char *state = call->finished_ms == 0 ? "open" : call->status == 0 ? "gone" : "answered";
    buf_printf(out, ",\"state\":\"%s\"", state);
    write_number("status", call->status, out);
    buf_add_text(out, call->executed ? ",\"executed\":true" : ",\"executed\":false");
    write_number("started_ms", facts->started_ms, out);
    write_number("finished_ms", call->finished_ms, out);
    buf_add_char(out, '}');
}

static bool fits(const struct call *call, const struct ledger_filter *filter)
{
    return (filter->key.size == 0 || span_eq(filter->key, call->facts.idempotency_key)) &&
           (filter->path.size == 0 || span_eq(filter->path, call->facts.path));
}

void ledger_list(const struct ledger *ledger, const struct ledger_filter *filter, struct buf *out)
{
    int64_t seq = filter->since < ledger->first ? ledger->first : filter->since + 1;
    size_t listed = 0;
    buf_add_text(out, "{\"calls\":[");
    for (; seq < ledger->next && listed < filter->limit && out->max - out->size > CALL_JSON_MAX;
         seq++) {
        const struct call *call = *slot(ledger, seq);
        if (!fits(call, filter))
            continue;
        if (listed++)
            buf_add_char(out, ',');
        write_call(call, out);
    }
    int64_t next = seq < ledger->next ? seq - 1 : ledger->next - 1;
    buf_printf(out, "],\"next\":%" PRId64 ",\"dropped\":%" PRId64 "}", next, ledger->dropped);
}

struct key_counts {
    int64_t max;
    int64_t repeated; /* keys called more than once */
};

static void count_key(void *arg, struct span text, int64_t count)
{
    struct key_counts *counts = arg;
    (void)text;
    if (count > counts->max)
        counts->max = count;
    counts->repeated += count > 1;
}

struct path_list {
    struct buf *out;
    size_t listed;
};

static void write_path(void *arg, struct span text, int64_t count)
{
    struct path_list *list = arg;
    if (list->listed == LEDGER_PATHS_MAX)
        return;
    if (list->listed++)
        buf_add_char(list->out, ',');
    buf_add_json_string(list->out, text);
    buf_printf(list->out, ":%" PRId64, count);
}

void ledger_summary(const struct ledger *ledger, struct buf *out)
{
    struct path_list list = { .out = out };
    struct key_counts keys = { 0 };
    tally_each(ledger->keys, count_key, &keys);
    buf_printf(out, "{\"calls\":%" PRId64 ",\"dropped\":%" PRId64, ledger->next - ledger->first,
               ledger->dropped);
    buf_printf(out,
               ",\"keys\":{\"distinct\":%zu,\"repeated\":%" PRId64 ",\"calls_max\":%" PRId64 "}",
               tally_distinct(ledger->keys), keys.repeated, keys.max);
    buf_add_text(out, ",\"paths\":{");
    tally_each(ledger->paths, write_path, &list);
    buf_printf(out, "},\"paths_left_out\":%zu}", tally_distinct(ledger->paths) - list.listed);
}
