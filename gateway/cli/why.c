/* `errand why`: where a job is and why.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/api.h"
#include "gateway/cli/job_print.h"
#include "gateway/cli/output.h"
#include "gateway/cli/verbs.h"
#include "gateway/cli/when.h"
#include "schemas/id.h"
#include "schemas/json.h"

#include <stdio.h>

#define PATH_BYTES_MAX 128
#define LABEL_COLUMN   13

static void add_fact(void *arg, struct span name, const struct json *value)
{
    struct buf *out = arg;
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    if (json_text(value).data)
        buf_add_span(&text, json_text(value));
    else
        json_dump(value, &text);
    size_t begin = out->size;
    const char *letters = name.data;
    for (size_t i = 0; i < name.size; i++) {
        if (letters[i] == '_')
            buf_add_char(out, ' ');
        else
            buf_add_char(out, letters[i]);
    }
    do
        buf_add_char(out, ' ');
    while (out->size - begin < LABEL_COLUMN);
    table_add_safe(out, buf_span(&text));
    buf_add_char(out, '\n');
    buf_free(&text);
}

static int print(const struct json *answer)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    table_add_safe(&text, json_text(json_get(answer, "why")));
    buf_add_text(&text, "\n\n");
    job_print_render(json_get(answer, "job"), output_has_colour(), when_is_relative(), &text);
    json_each(json_get(answer, "facts"), add_fact, &text);
    int code = output_data(buf_span(&text));
    buf_free(&text);
    return code;
}

int why_run(const struct args *args)
{
    struct id id;
    char path[PATH_BYTES_MAX];
    if (!id_parse(span_of(args->items[0]), &id)) {
        output_error("'%s' is no job's id", args->items[0]);
        output_why("an id looks like 0193c0de-7000-7000-8000-000000000000");
        return CLI_NOT_FOUND;
    }
    (void)snprintf(path, sizeof path, "/v1/jobs/%s/why", args->items[0]);
    return api_show(args, &(struct api_shown){ .path = path,
                                               .schema = "errand.why/1",
                                               .complaint = "the job cannot be explained",
                                               .print = print });
}
