/* `errand verify`: the books, from Kafka and the view. docs/VERIFY.md says how they are kept.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_books_report.h"
#include "gateway/cli/kafka_look.h"
#include "gateway/cli/output.h"
#include "gateway/cli/verbs.h"
#include "infra/clock.h"
#include "schemas/timefmt.h"

#include <inttypes.h>

/* A time, or a duration: that long ago. */
static int read_time(const struct args *args, const char *name, int64_t now_ms, int64_t fallback,
                     int64_t *ret_ms)
{
    const char *text = args_text(args, name);
    *ret_ms = fallback;
    if (!text || timefmt_parse_since(span_of(text), now_ms, ret_ms))
        return CLI_OK;
    output_error("--%s %s is no time", name, text);
    output_why("a time is RFC 3339 (2026-11-24T01:02:03Z), or how long ago (90m, 7d)");
    return CLI_USAGE;
}

static int print(const struct args *args, const struct verify_books_certificate *certificate)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    struct err err = { 0 };
    int code = CLI_OK;
    if (!output_is_json(args)) {
        verify_books_text(certificate, &text);
    } else if (verify_books_json(certificate, &text, &err) == ERR_OK) {
        buf_add_char(&text, '\n');
    } else {
        output_error("there is no certificate");
        output_why("%s", err.text);
        code = CLI_FAILED;
    }
    if (code == CLI_OK)
        code = output_data(buf_span(&text));
    buf_free(&text);
    if (code == CLI_OK && !verify_books_balance(certificate->books))
        code = CLI_FAILED;
    return code;
}

static int complain(const struct err *err)
{
    output_error("the books cannot be made");
    output_why("%s", err->text);
    return err->code == ERR_LIMIT ? CLI_FAILED : CLI_UNREACHABLE;
}

int verify_run(const struct args *args)
{
    int64_t now_ms = clock_wall_ms();
    struct kafka_look look;
    struct verify_books_certificate certificate;
    struct err err = { 0 };
    struct verify_books_use use = { .bytes_max = VERIFY_BOOKS_BYTES_MAX,
                                    .view = !args_has(args, "no-view") };
    int code = read_time(args, "from", now_ms, INT64_MIN, &use.from_ms);
    if (code == CLI_OK)
        code = read_time(args, "to", now_ms, INT64_MAX, &use.to_ms);
    if (code == CLI_OK)
        code = kafka_look_open(args, &look);
    if (code != CLI_OK)
        return code;
    use.admin = look.admin;
    use.config = look.config;
    if (verify_books_read(&use, &certificate, &err) == ERR_OK) {
        code = print(args, &certificate);
        verify_books_certificate_clear(&certificate);
    } else {
        code = complain(&err);
    }
    kafka_look_close(&look);
    return code;
}
