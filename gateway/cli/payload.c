/* Payloads, given and read back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/payload.h"

#include "gateway/cli/kafka_look.h"
#include "gateway/cli/output.h"
#include "gateway/cli/stack.h"
#include "infra/kafka_admin.h"
#include "schemas/envelope.h"
#include "schemas/json.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define DEPTH_MAX       64
#define TOKENS_MAX      1000000
#define READ_TIMEOUT_MS 10000
#define TOPIC_SIZE      250

static bool read_stream(FILE *stream, const char *name, struct buf *ret_payload)
{
    char chunk[16384];
    size_t got = 0;
    char reason[128];
    while ((got = fread(chunk, 1, sizeof chunk, stream)) > 0)
        buf_add(ret_payload, chunk, got);
    if (!ferror(stream) && !ret_payload->overflow)
        return true;
    output_error("the payload cannot be read from %s", name);
    output_why("%s", ferror(stream) ? strerror_r(errno, reason, sizeof reason) : "it is too large");
    return false;
}

static bool read_file(const char *path, struct buf *ret_payload)
{
    char reason[128];
    FILE *file = fopen(path, "re");
    if (!file) {
        output_error("the payload cannot be read from %s", path);
        output_why("%s", strerror_r(errno, reason, sizeof reason));
        return false;
    }
    bool read = read_stream(file, path, ret_payload);
    (void)fclose(file);
    return read;
}

bool payload_read_text(const char *data, struct buf *ret_payload)
{
    if (data && strcmp(data, "-") == 0)
        return read_stream(stdin, "standard input", ret_payload);
    if (data && data[0] == '@')
        return read_file(data + 1, ret_payload);
    buf_add_text(ret_payload, data ? data : "{}");
    return true;
}

bool payload_read(const char *data, struct buf *ret_payload)
{
    const struct json_limits limits = { .depth_max = DEPTH_MAX, .tokens_max = TOKENS_MAX };
    struct json *json = NULL;
    struct err err = { 0 };
    if (!payload_read_text(data, ret_payload))
        return false;
    if (json_parse(buf_span(ret_payload), &limits, &json, &err) != ERR_OK) {
        output_error("the payload is not JSON");
        output_why("%s", err.text);
        output_try("errand submit TYPE -d '{\"name\": \"value\"}'");
        return false;
    }
    json_free(json);
    return true;
}

void payload_random_key(char ret_key[PAYLOAD_KEY_SIZE])
{
    unsigned char bytes[(PAYLOAD_KEY_SIZE - 1) / 2] = { 0 };
    ssize_t got = getrandom(bytes, sizeof bytes, 0);
    assert(got == (ssize_t)sizeof bytes); /* never interrupted or short for so few */
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(ret_key + 2 * i, 3, "%02x", bytes[i]);
}

/* --- read back --- */

static int print_command(struct span record)
{
    struct envelope *envelope = NULL;
    struct err err = { 0 };
    if (envelope_decode(record, &envelope, &err) != ERR_OK || envelope->kind != ENVELOPE_COMMAND) {
        output_error("the record in Kafka is no command that this version understands");
        output_why("%s", err.text);
        envelope_free(envelope);
        return CLI_FAILED;
    }
    int code = output_data(envelope->command.payload);
    if (code == CLI_OK)
        code = output_data(span_of("\n"));
    envelope_free(envelope);
    return code;
}

static int read_and_print(const struct kafka_look *look, const char *topic, int32_t partition,
                          int64_t offset)
{
    struct buf value = BUF_INIT(ENVELOPE_BYTES_MAX);
    struct err err = { 0 };
    struct kafka_offset address = { .topic = topic, .partition = partition, .offset = offset };
    enum err_code read = kafka_read_sync(look->admin, &address, READ_TIMEOUT_MS, &value, &err);
    int code = CLI_OK;
    if (read == ERR_OK) {
        code = print_command(buf_span(&value));
    } else {
        output_error("the command cannot be read from %s", topic);
        output_why("%s", err.text);
        code = read == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_UNREACHABLE;
    }
    buf_free(&value);
    return code;
}

int payload_print(const struct args *args, const struct json *job)
{
    const struct json *command = json_get(job, "command");
    struct span name = json_text(json_get(command, "topic"));
    int64_t partition = 0;
    int64_t offset = 0;
    char topic[TOPIC_SIZE];
    if (!name.data || name.size >= sizeof topic ||
        !json_integer_of(json_get(command, "partition"), &partition) ||
        !json_integer_of(json_get(command, "offset"), &offset)) {
        output_error("where the command lies is not recorded yet");
        output_try("errand get ID --payload, in a second");
        return CLI_PENDING;
    }
    (void)snprintf(topic, sizeof topic, "%.*s", SPAN_ARG(name));
    struct kafka_look look;
    int code = kafka_look_open(args, &look);
    if (code == CLI_OK) {
        code = read_and_print(&look, topic, (int32_t)partition, offset);
        kafka_look_close(&look);
    }
    return code;
}
