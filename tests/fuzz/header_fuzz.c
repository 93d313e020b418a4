/* What stands in headers, query arguments and paths: keys, traces, preferences, dates, durations,
 * sizes, media types, ids. Whatever is taken means the same when it is written down again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_client_internal.h"
#include "infra/http_server_internal.h"
#include "schemas/etag.h"
#include "schemas/id.h"
#include "schemas/prefer.h"
#include "schemas/submission.h"
#include "schemas/timefmt.h"
#include "schemas/trace.h"
#include "tests/fuzz/fuzz.h"

#define NOW_MS    INT64_C(1764115200000)
#define YEAR_0_MS INT64_C(-62167219200000)

static void try_idempotency_key(struct span text)
{
    struct buf key = BUF_INIT(1024);
    struct buf quoted = BUF_INIT(1024);
    struct buf again = BUF_INIT(1024);
    struct err err = { 0 };
    enum err_code code = submission_idempotency_key(text, &key, &err);
    if (code) {
        fuzz_require_told(code, &err);
    } else {
        FUZZ_REQUIRE(key.size >= 1 && key.size <= 255);
        buf_add_char(&quoted, '"');
        for (size_t i = 0; i < key.size; i++) {
            FUZZ_REQUIRE(key.data[i] >= ' ' && key.data[i] <= '~');
            if (key.data[i] == '"' || key.data[i] == '\\')
                buf_add_char(&quoted, '\\');
            buf_add_char(&quoted, key.data[i]);
        }
        buf_add_char(&quoted, '"');
        FUZZ_REQUIRE(submission_idempotency_key(buf_span(&quoted), &again, &err) == ERR_OK);
        FUZZ_REQUIRE(span_eq(buf_span(&key), buf_span(&again)));
    }
    buf_free(&key);
    buf_free(&quoted);
    buf_free(&again);
}

static void try_trace(struct span text)
{
    struct trace trace;
    struct trace again;
    char out[TRACE_TEXT_SIZE];
    if (trace_parse(text, &trace)) {
        trace_format(&trace, out);
        FUZZ_REQUIRE(trace_parse(span_of(out), &again));
        FUZZ_REQUIRE(strcmp(trace.trace_id, again.trace_id) == 0);
        FUZZ_REQUIRE(strcmp(trace.span_id, again.span_id) == 0 && trace.flags == again.flags);
        FUZZ_REQUIRE(memcmp((const char *)text.data + 3, out + 3, strlen(out) - 3) == 0);
    }
    if (trace_state_valid(text)) {
        const char *c = text.data;
        FUZZ_REQUIRE(text.size <= 512);
        for (size_t i = 0; i < text.size; i++)
            FUZZ_REQUIRE((c[i] >= ' ' && c[i] <= '~') || c[i] == '\t');
    }
}

static void try_waits(struct span text)
{
    int64_t ms = -7;
    FUZZ_REQUIRE(prefer_wait_ms(text, &ms) ? ms >= 0 : ms == -7);
    ms = http_client_response_retry_after(text, NOW_MS);
    FUZZ_REQUIRE(ms >= -1 && ms < INT64_MAX / 1000);
}

/* Behind the tag that is asked for anything may stand; what matches another tag is not this one. */
static void try_tags(struct span text)
{
    struct buf list = BUF_INIT(SIZE_MAX);
    buf_add_text(&list, "\"6\", W/\"7\",");
    buf_add_span(&list, text);
    FUZZ_REQUIRE(etag_matches(buf_span(&list), "\"7\""));
    FUZZ_REQUIRE(span_is(text, "*") || !etag_matches(text, "7")); /* no tag is without quotes */
    buf_free(&list);
}

static void try_duration(struct span text)
{
    int64_t ms = -7;
    int64_t again = -7;
    struct buf out = BUF_INIT(256);
    if (timefmt_parse_duration(text, &ms)) {
        FUZZ_REQUIRE(ms >= 0);
        timefmt_duration(ms, &out);
        FUZZ_REQUIRE(timefmt_parse_duration(buf_span(&out), &again) && again == ms);
    } else {
        FUZZ_REQUIRE(ms == -7);
    }
    ms = -7;
    FUZZ_REQUIRE(timefmt_parse_size(text, &ms) ? ms >= 0 : ms == -7);
    buf_free(&out);
}

static void require_time(int64_t ms)
{
    int64_t again = 0;
    char out[TIMEFMT_RFC3339_SIZE];
    timefmt_rfc3339(ms, out);
    FUZZ_REQUIRE(strlen(out) == TIMEFMT_RFC3339_SIZE - 1);
    if (ms < YEAR_0_MS || ms > JOB_TIME_MS_MAX) /* an offset can lead out of the years */
        return;
    FUZZ_REQUIRE(timefmt_parse_rfc3339(span_of(out), &again) && again == ms);
}

static void try_time(struct span text)
{
    int64_t ms = 0;
    if (timefmt_parse_rfc3339(text, &ms))
        require_time(ms);
    if (timefmt_parse_http_date(text, &ms))
        require_time(ms);
}

static void try_accept(struct span text)
{
    static const char *const types[] = { "application/json", "text/plain", NULL };
    static const char unrelated[] = ", image/png;q=0.5";
    bool admits = http_accept_admits(text, types);
    struct buf longer = BUF_INIT(SIZE_MAX / 2);
    buf_add_span(&longer, text);
    bool says_nothing = true;
    for (size_t i = 0; i < longer.size; i++)
        says_nothing &= longer.data[i] == ' ' || longer.data[i] == '\t';
    buf_add(&longer, unrelated, sizeof unrelated - 1);
    if (says_nothing)
        FUZZ_REQUIRE(admits); /* anything goes */
    else
        FUZZ_REQUIRE(http_accept_admits(buf_span(&longer), types) == admits);
    buf_free(&longer);
}

static void require_forgery_is_seen(const struct id *id, struct fuzz_input *input)
{
    static const struct span secret = SPAN_LIT("0123456789abcdef0123456789abcdef");
    struct id_minter *minter = id_minter_new(&secret, 1);
    struct id mine;
    id_derive(minter, (struct span)SPAN_LIT("default"), (struct span)SPAN_LIT("q"),
              (struct span){ id->bytes, sizeof id->bytes }, &mine);
    FUZZ_REQUIRE(id_verify(minter, &mine) && id_time_ms(&mine) == -1);
    mine.bytes[fuzz_byte(input) % 16] ^= (uint8_t)(1U << (fuzz_byte(input) & 7));
    FUZZ_REQUIRE(!id_verify(minter, &mine));
    id_minter_free(minter);
}

static void try_id(struct span text, struct fuzz_input *input)
{
    struct id id;
    struct id again;
    char out[ID_TEXT_SIZE];
    char identity[IDENTITY_TEXT_SIZE];
    bool request_id = http_request_id_is_valid(text);
    FUZZ_REQUIRE(!request_id || (text.size >= 1 && text.size <= 64));
    if (!id_parse(text, &id))
        return;
    id_text(&id, out);
    FUZZ_REQUIRE(text.size == strlen(out) && strncasecmp(text.data, out, text.size) == 0);
    FUZZ_REQUIRE(id_parse(span_of(out), &again) && id_same(&id, &again));
    FUZZ_REQUIRE(memcmp(&id, &again, sizeof id) == 0);
    id_identity_text(&id, identity);
    FUZZ_REQUIRE(strlen(identity) == IDENTITY_TEXT_SIZE - 1);
    FUZZ_REQUIRE(id_time_ms(&id) >= -1);
    require_forgery_is_seen(&id, input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, data + size };
    struct span text = fuzz_exact((struct span){ data, size });
    try_idempotency_key(text);
    try_trace(text);
    try_waits(text);
    try_tags(text);
    try_duration(text);
    try_time(text);
    try_accept(text);
    try_id(text, &input);
    fuzz_free(text);
    return 0;
}
