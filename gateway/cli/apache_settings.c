/* What Apache Kafka reads: one server.properties a node, and the id that its nodes share.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/apache.h"
#include "gateway/cli/port.h"
#include "infra/embed.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROPERTIES_NAME  "deploy/kafka/server.properties"
#define LOGGING_NAME     "deploy/kafka/log4j2.properties"
#define CLUSTER_ID_NAME  "kafka/cluster-id"
#define PROPERTIES_BYTES ((size_t)64 * 1024)
#define NAME_SIZE_MAX    64
#define CLUSTER_ID_BYTES 16
/* How long a node waits for the controller's word before it stands for election: the first one for
 * longer than the 500 ms that such a word may take, each other one so much longer that the one
 * before it has asked for its vote, and been refused by who still waits. */
#define PATIENCE_MS      700
#define PATIENCE_STEP_MS 150
#define VOTERS_SIZE      ((size_t)APACHE_NODES_MAX * (STACK_ADDRESS_SIZE + 4))

struct voters {
    char addresses[APACHE_NODES_MAX][STACK_ADDRESS_SIZE];
    char text[VOTERS_SIZE]; /* "1@127.0.0.1:4711,2@..." */
};

char *apache_path(const char *folder, struct apache_node node, const char *name)
{
    char text[STACK_PATH_SIZE];
    if (node.count == 1)
        (void)snprintf(text, sizeof text, "kafka%s%s", *name ? "/" : "", name);
    else
        (void)snprintf(text, sizeof text, "kafka/%d%s%s", node.number, *name ? "/" : "", name);
    return stack_path(folder, text);
}

/* --- the template --- */

static const char *value_of(struct span name, const char *const *values)
{
    for (; *values; values += 2) {
        if (span_is(name, values[0]))
            return values[1];
    }
    return NULL;
}

static size_t name_length(const char *at, const char *end)
{
    size_t length = 0;
    while (at + length < end && length < NAME_SIZE_MAX &&
           ((at[length] >= 'A' && at[length] <= 'Z') || at[length] == '_'))
        length++;
    return at + length < end && at[length] == '@' ? length : 0;
}

enum err_code apache_fill(struct span template, const char *const *values, struct buf *out,
                          struct err *err)
{
    const char *at = template.data;
    const char *end = at + template.size;
    bool comment = false;
    while (at < end) {
        if (at == template.data || at[-1] == '\n')
            comment = *at == '#';
        size_t length = *at == '@' && !comment ? name_length(at + 1, end) : 0;
        if (length == 0) {
            buf_add_char(out, *at++);
            continue;
        }
        struct span name = { .data = at + 1, .size = length };
        const char *value = value_of(name, values);
        if (!value)
            return err_set(err, ERR_CONFIG, "nothing is known to put for @%.*s@", SPAN_ARG(name));
        buf_add_text(out, value);
        at += length + 2;
    }
    return out->overflow ? err_set(err, ERR_LIMIT, "it is larger than %zu bytes", out->max)
                         : ERR_OK;
}

/* --- server.properties --- */

static const char *port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon ? colon + 1 : "";
}

/* Where the nodes find each other: new ports each time, since nobody else asks for them. */
static enum err_code choose_voters(int count, struct port_holds *holds, struct voters *ret_voters,
                                   struct err *err)
{
    enum err_code code = ERR_OK;
    size_t size = 0;
    for (int i = 0; i < count && !code; i++) {
        code = port_choose(holds, "", ret_voters->addresses[i], err);
        if (!code)
            size += (size_t)snprintf(ret_voters->text + size, sizeof ret_voters->text - size,
                                     "%s%d@%s", i ? "," : "", i + 1, ret_voters->addresses[i]);
    }
    return code;
}

static enum err_code write_properties(const char *folder, struct apache_node node,
                                      const char *address, const struct voters *voters,
                                      struct err *err)
{
    char number[12];
    char count[12];
    char patience[12];
    struct span template;
    if (!embed_find(PROPERTIES_NAME, &template))
        return err_set(err, ERR_IO, "this program does not carry " PROPERTIES_NAME);
    (void)snprintf(number, sizeof number, "%d", node.number);
    (void)snprintf(count, sizeof count, "%d", node.count);
    (void)snprintf(patience, sizeof patience, "%d",
                   PATIENCE_MS + (node.number - 1) * PATIENCE_STEP_MS);
    char *data = apache_path(folder, node, "");
    char *properties = apache_path(folder, node, "server.properties");
    const char *const values[] = {
        "PORT",
        port_of(address),
        "CONTROLLER_PORT",
        port_of(voters->addresses[node.number - 1]),
        "VOTERS",
        voters->text,
        "DIR",
        data,
        "NODE",
        number,
        "NODES",
        count,
        "PATIENCE",
        patience,
        "INSYNC",
        node.count >= 3 ? "2" : "1",
        NULL,
    };
    struct buf text = BUF_INIT(PROPERTIES_BYTES);
    enum err_code code = ERR_OK;
    if (mkdir(data, 0700) != 0 && errno != EEXIST)
        code = err_set(err, ERR_IO, "cannot make the folder %s", data);
    if (code == ERR_OK)
        code = apache_fill(template, values, &text, err);
    if (code == ERR_OK)
        code = stack_write_file(properties, buf_span(&text), err);
    buf_free(&text);
    free(data);
    free(properties);
    return code;
}

static enum err_code write_logging(const char *folder, struct err *err)
{
    struct span logging;
    if (!embed_find(LOGGING_NAME, &logging))
        return err_set(err, ERR_IO, "this program does not carry " LOGGING_NAME);
    char *path = stack_path(folder, "kafka/log4j2.properties");
    enum err_code code = stack_write_file(path, logging, err);
    free(path);
    return code;
}

enum err_code apache_configure(const char *folder, const char *const *addresses, int count,
                               struct port_holds *holds, struct err *err)
{
    struct voters voters = { 0 };
    assert(count >= 1 && count <= APACHE_NODES_MAX);
    enum err_code code = choose_voters(count, holds, &voters, err);
    for (int i = 0; i < count && !code; i++) {
        struct apache_node node = { .number = i + 1, .count = count };
        code = write_properties(folder, node, addresses[i], &voters, err);
    }
    return code ? code : write_logging(folder, err);
}

/* --- the data folders --- */

bool apache_is_formatted(const char *folder, struct apache_node node)
{
    char *path = apache_path(folder, node, "data/meta.properties");
    bool formatted = access(path, F_OK) == 0;
    free(path);
    return formatted;
}

/* A UUID as Kafka writes it: base64 for URLs (RFC 4648 section 5), without padding. */
static void make_cluster_id(char ret_id[APACHE_CLUSTER_ID_SIZE])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char bytes[CLUSTER_ID_BYTES + 2] = { 0 };
    ssize_t got = getrandom(bytes, CLUSTER_ID_BYTES, 0);
    assert(got == CLUSTER_ID_BYTES); /* never interrupted or short for so few */
    bytes[0] &= 0x7f;                /* an id that began with '-' would be taken for an option */
    size_t size = 0;
    for (size_t i = 0; i < CLUSTER_ID_BYTES; i += 3) {
        unsigned group = (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8 | bytes[i + 2];
        for (int shift = 18; shift >= 0 && size < 22; shift -= 6)
            ret_id[size++] = digits[group >> shift & 63];
    }
    ret_id[size] = '\0';
}

enum err_code apache_cluster_id(const char *folder, char ret_id[APACHE_CLUSTER_ID_SIZE],
                                struct err *err)
{
    char *path = stack_path(folder, CLUSTER_ID_NAME);
    struct buf text = BUF_INIT(APACHE_CLUSTER_ID_SIZE - 1);
    enum err_code code;
    if (access(path, F_OK) == 0) {
        code = stack_read_file(path, APACHE_CLUSTER_ID_SIZE - 1, &text, err);
        if (code == ERR_OK)
            (void)snprintf(ret_id, APACHE_CLUSTER_ID_SIZE, "%.*s", (int)text.size, text.data);
    } else {
        make_cluster_id(ret_id);
        code = stack_write_file(path, span_of(ret_id), err);
    }
    buf_free(&text);
    free(path);
    return code;
}
