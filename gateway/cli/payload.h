/* Payloads: read from the command line, a file or standard input; and read back from Kafka.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_PAYLOAD_H
#define GATEWAY_CLI_PAYLOAD_H

#include "gateway/cli/args.h"
#include "schemas/buf.h"

#define PAYLOAD_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define PAYLOAD_KEY_SIZE  33

struct json;

/* "JSON", "@FILE", "-" (standard input) or NULL ("{}"); into a buffer of PAYLOAD_BYTES_MAX.
 * False, having said why, when it cannot be read or is no JSON. */
bool payload_read(const char *data, struct buf *ret_payload);
/* The same without the check that it is JSON: for templates. */
bool payload_read_text(const char *data, struct buf *ret_payload);
/* 32 hexadecimal digits, for a submission without a key of its own. */
void payload_random_key(char ret_key[PAYLOAD_KEY_SIZE]);
/* Prints the payload of a job (as the gateway tells it) as it was submitted; an exit code. */
int payload_print(const struct args *args, const struct json *job);

#endif
