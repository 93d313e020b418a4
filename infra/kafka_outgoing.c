/* See kafka_outgoing.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_outgoing.h"

#include "infra/clock.h"
#include "schemas/mem.h"

#include <stdlib.h>

size_t kafka_outgoing_size(const struct kafka_send *send)
{
    size_t size = sizeof(struct kafka_outgoing) + send->key.size + send->value.size;
    for (size_t i = 0; i < send->header_count; i++)
        size += strlen(send->headers[i].name) + 1 + sizeof(size_t) + send->headers[i].value.size;
    return size;
}

static char *put(char *at, const void *data, size_t size)
{
    if (data && size)
        memcpy(at, data, size);
    return at + size;
}

struct kafka_outgoing *kafka_outgoing_new(const struct kafka_send *send, size_t size)
{
    struct kafka_outgoing *record = mem_resize(NULL, size, 1);
    *record = (struct kafka_outgoing){
        .sent_at_us = clock_monotonic_us(),
        .size = size,
        .key_size = send->key.size,
        .value_size = send->value.size,
        .header_count = send->header_count,
        .has_key = send->key.data != NULL,
        .has_value = send->value.data != NULL,
    };
    atomic_init(&record->refs, 1);
    char *at = put(record->bytes, send->key.data, send->key.size);
    at = put(at, send->value.data, send->value.size);
    for (size_t i = 0; i < send->header_count; i++) {
        const struct kafka_header *header = &send->headers[i];
        at = put(at, header->name, strlen(header->name) + 1);
        at = put(at, &header->value.size, sizeof header->value.size);
        at = put(at, header->value.data, header->value.size);
    }
    return record;
}

void kafka_outgoing_unref(struct kafka_outgoing *record)
{
    if (atomic_fetch_sub(&record->refs, 1) == 1)
        free(record);
}

rd_kafka_headers_t *kafka_outgoing_headers(const struct kafka_outgoing *record)
{
    if (record->header_count == 0)
        return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    const char *at = record->bytes + record->key_size + record->value_size;
    for (size_t i = 0; i < record->header_count; i++) {
        const char *name = at;
        size_t name_size = strlen(name);
        size_t size;
        at += name_size + 1;
        memcpy(&size, at, sizeof size);
        at += sizeof size;
        rd_kafka_header_add(headers, name, (ssize_t)name_size, at, (ssize_t)size);
        at += size;
    }
    return headers;
}

bool kafka_refuses_for_good(rd_kafka_resp_err_t e)
{
    switch (e) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return true;
    default:
        return false;
    }
}

/* --- of a client that was left --- */

struct kafka_held {
    size_t count;
    struct kafka_outgoing *records[];
};

struct kafka_held *kafka_held_new(size_t count_max)
{
    struct kafka_held *held;
    return mem_zalloc(1, sizeof *held + count_max * sizeof(struct kafka_outgoing *));
}

void kafka_held_take(struct kafka_held *held, const struct kafka_link *list)
{
    for (struct kafka_link *link = list->next; link != list; link = link->next) {
        struct kafka_outgoing *record = (struct kafka_outgoing *)link;
        if (!record->in_client)
            continue;
        record->in_client = false;
        record->resent = true;
        record->possibly_stored |= !record->refused;
        record->refused = false;
        held->records[held->count++] = record;
    }
}

void kafka_held_free(void *arg)
{
    struct kafka_held *held = arg;
    for (size_t i = 0; i < held->count; i++)
        kafka_outgoing_unref(held->records[i]);
    free(held);
}

int32_t kafka_partition_of(struct span key, int32_t partition_count)
{
    return rd_kafka_msg_partitioner_murmur2(NULL, key.data, key.size, partition_count, NULL, NULL);
}
