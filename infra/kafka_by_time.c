/* See kafka_by_time.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_by_time.h"

#include "infra/kafka_tail.h"
#include "schemas/mutant.h"

#define TIMEOUT_MS 30000

struct stamp {
    int64_t offset, timestamp_ms; /* offset -1: there is no record */
};

static bool on_record(void *arg, const struct kafka_tail_record *record)
{
    struct stamp *stamp = arg;
    if (!record)
        return true;
    *stamp = (struct stamp){ record->offset, record->timestamp_ms };
    return false;
}

/* The first record at or after `offset`. */
static enum err_code read_stamp(struct kafka_admin *admin, const struct kafka_range *log,
                                int64_t offset, struct stamp *ret_stamp, struct err *err)
{
    const struct kafka_offset from = { log->topic, log->partition, offset };
    struct stamp stamp = { -1, -1 };
    const struct kafka_tail tail = {
        .from = &from, .ends = &log->end, .count = 1, .fn = on_record, .arg = &stamp
    };
    enum err_code code = kafka_tail_sync(admin, &tail, TIMEOUT_MS, err);
    if (!code)
        *ret_stamp = stamp;
    return code;
}

/* Halves [start, end): what is before `low` is too old, what is at or behind `high` is not. */
static enum err_code search(struct kafka_admin *admin, int64_t time_ms,
                            const struct kafka_range *log, int64_t *ret_offset, struct err *err)
{
    int64_t low = log->start;
    int64_t high = log->end;
    struct stamp last;
    enum err_code failed = read_stamp(admin, log, log->end - 1, &last, err);
    if (failed)
        return failed;
    if (last.offset >= 0 && last.timestamp_ms < time_ms)
        low = high; /* the broker was right */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        struct stamp stamp;
        enum err_code code = read_stamp(admin, log, middle, &stamp, err);
        if (code)
            return code;
        if (stamp.offset < 0 || stamp.timestamp_ms >= time_ms)
            high = middle;
        else
            low = stamp.offset + 1;
    }
    *ret_offset = low < log->end ? low : -1;
    return ERR_OK;
}

enum err_code kafka_by_time_sync(struct kafka_admin *admin, int64_t time_ms,
                                 const struct kafka_range *logs, struct kafka_offset *offsets,
                                 size_t count, struct err *err)
{
    struct err ignored;
    if (kafka_offsets_at_sync(admin, time_ms, offsets, count, TIMEOUT_MS, &ignored) != ERR_OK) {
        for (size_t i = 0; i < count; i++)
            offsets[i].offset = -1;
    }
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count && !code; i++) {
        if (offsets[i].offset < 0 && logs[i].start < logs[i].end && !MUTANT(replay_time_unsearched))
            code = search(admin, time_ms, &logs[i], &offsets[i].offset, err);
    }
    return code;
}
