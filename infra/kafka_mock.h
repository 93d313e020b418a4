/* The embedded broker: librdkafka's mock cluster. Memory only, 5 MiB a partition, no timestamp
 * look-up, no admin calls, no replication: for a first look and quick tests.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_MOCK_H
#define INFRA_KAFKA_MOCK_H

#include "schemas/err.h"

struct kafka_mock;
struct kafka_mock_topic {
    const char *name;
    int partitions;
};
/* One broker on a free loopback port, with these topics. */
enum err_code kafka_mock_start(const struct kafka_mock_topic *topics, size_t count,
                               struct kafka_mock **ret_mock, struct err *err) MUST_CHECK;
/* "127.0.0.1:PORT" */
const char *kafka_mock_address(const struct kafka_mock *mock);
/* For tests: from now on an answer takes `rtt_ms`, and the next request that brings records is
 * refused for want of a leader; those after it are not. */
void kafka_mock_refuse_one(struct kafka_mock *mock, int rtt_ms);
void kafka_mock_stop(struct kafka_mock *mock);

#endif
