/* `errand workers`: who works now.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/api.h"
#include "gateway/cli/output.h"
#include "gateway/cli/verbs.h"
#include "gateway/cli/when.h"
#include "schemas/json.h"

#define CELL_BYTES_MAX 4096

static void add_queues(struct table *table, const struct json *queues)
{
    struct buf text = BUF_INIT(CELL_BYTES_MAX);
    for (size_t i = 0; i < json_count(queues); i++) {
        if (i)
            buf_add_char(&text, ',');
        buf_add_span(&text, json_text(json_at(queues, i)));
    }
    table_add(table, buf_span(&text));
    buf_free(&text);
}

static int print_table(const struct json *answer)
{
    const struct json *workers = json_get(answer, "workers");
    static const char *const headings[] = { "NAME",      "HOST",       "PID",  "VERSION",
                                            "IN FLIGHT", "PARTITIONS", "BEAT", "QUEUES" };
    static const char *const members[] = { "name",    "host",      "pid",
                                           "version", "in_flight", "partitions" };
    struct table *table = table_new(headings, 8);
    for (size_t i = 0; i < json_count(workers); i++) {
        const struct json *worker = json_at(workers, i);
        table_add_members(table, worker, 6, members);
        when_add(table, json_text(json_get(worker, "beat_at")));
        add_queues(table, json_get(worker, "queues"));
    }
    int code = output_table(table);
    table_free(table);
    return code;
}

int workers_run(const struct args *args)
{
    return api_show(args, &(struct api_shown){ .path = "/v1/workers",
                                               .schema = "errand.workers/1",
                                               .complaint = "the workers cannot be shown",
                                               .print = print_table });
}
