/* An embedded broker in this process with the topics one, two and four (so many partitions), a
 * producer, two readers that note what they see, and a loop that runs until a condition holds.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KAFKA_RIG_H
#define TESTS_KAFKA_RIG_H

#include "infra/kafka_consumer.h"
#include "infra/kafka_mock.h"
#include "infra/kafka_producer.h"

#define RECORDS_MAX   4096
#define CONSUMERS_MAX 2

/* One consumer under test and what it saw. */
struct kafka_reader {
    struct kafka_rig *rig;
    struct kafka_consumer *consumer;
    struct kafka_partition *partitions[16];
    size_t partition_count;
    struct kafka_start start; /* of the last assignment */
    int64_t offsets[RECORDS_MAX];
    int values[RECORDS_MAX];
    size_t count;
    int64_t begin_at; /* instead of what the consumer proposes; 0: that */
    size_t slow_at;   /* slows the consumer when so many were read; 0: never */
    size_t pause_at;  /* pauses the partition when so many were read; 0: never */
    size_t commit_at; /* commits the next offset when so many were read; 0: never */
    size_t committed, revoked, batches;
    int64_t committed_offset;
    bool hold;
    char header[32];
};

struct kafka_rig {
    struct kafka_mock *mock;
    struct loop *loop;
    struct metrics *metrics;
    struct config_kafka config;
    struct kafka_producer *producer;
    struct kafka_reader readers[CONSUMERS_MAX];
    size_t acknowledged, failed;
    size_t value_bytes; /* a value is filled up with blanks to so many; 0: it is the number alone */
    enum err_code last_failure;
    enum err_code warmed;
    bool warm_done;
    /* What run_until waits for. */
    bool (*condition)(struct kafka_rig *rig);
    size_t wanted;
    int64_t until_ms;
    bool reached;
};

int kafka_rig_set_up(void **state);
int kafka_rig_tear_down(void **state);

/* Runs the loop until condition(rig) holds, or for limit_ms: whether it held. `wanted` is left in
 * the rig for it. */
bool kafka_rig_run_for(struct kafka_rig *rig, bool (*condition)(struct kafka_rig *rig),
                       size_t wanted, int64_t limit_ms);
/* The same, failing the test when it does not hold within half a minute. */
void kafka_rig_run_until(struct kafka_rig *rig, bool (*condition)(struct kafka_rig *rig),
                         size_t wanted);
/* Conditions: `wanted` records were answered for, or were read by the readers together. */
bool kafka_rig_answered(struct kafka_rig *rig);
bool kafka_rig_read(struct kafka_rig *rig);

void kafka_rig_open_producer(struct kafka_rig *rig, int64_t timeout_ms, size_t queue_bytes_max);
/* Counts answers; `arg` is the rig. */
void kafka_rig_on_delivery(void *arg, enum err_code code, int32_t partition, int64_t offset);
/* A record with the number as its text. */
enum err_code kafka_rig_produce(struct kafka_rig *rig, const char *topic, int value);
void kafka_rig_produce_range(struct kafka_rig *rig, const char *topic, int from, int to);

/* Reader `index`; without a group it is assigned by kafka_rig_read_manually. */
void kafka_rig_open_reader(struct kafka_rig *rig, size_t index, const char *group,
                           const char *topic);
void kafka_rig_read_manually(struct kafka_rig *rig, const char *topic, int64_t offset);
/* From its record `at` on, the reader saw the numbers [from, to). */
void kafka_rig_expect_values(const struct kafka_reader *reader, size_t at, int from, int to);

#endif
