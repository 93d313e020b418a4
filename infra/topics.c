/* See topics.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/topics.h"

#include "infra/clock.h"
#include "schemas/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define TIMEOUT_MS     30000
#define PAUSE_MS       100
#define BATCH_OVERHEAD 65536 /* Kafka's limit counts the batch that holds a record */
#define SETTINGS_MAX   8
#define INSYNC_REPLICATION                                                                         \
    3 /* from so many replicas on, two must have a record before it is acknowledged */

/* --- the specifications --- */

static void add_setting(struct kafka_topic_spec *spec, const char *name, const char *value)
{
    spec->settings.items[spec->settings.count++] =
        (struct config_pair){ .name = mem_dup_text(name), .value = mem_dup_text(value) };
}

static void add_number(struct kafka_topic_spec *spec, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    add_setting(spec, name, text);
}

static int64_t retention_ms(const struct config_kafka *kafka, enum topic_retention retention,
                            int64_t delay_ms)
{
    switch (retention) {
    case TOPIC_RETENTION_COMMANDS:
        return kafka->retention_commands_ms;
    case TOPIC_RETENTION_REPLIES:
        return kafka->retention_replies_ms;
    case TOPIC_RETENTION_DELAY:
        return kafka->retention_commands_ms + delay_ms;
    case TOPIC_RETENTION_DEAD:
        return kafka->retention_dead_ms;
    case TOPIC_RETENTION_AUDIT:
        return kafka->retention_audit_ms;
    case TOPIC_RETENTION_COMPACT:
        break;
    }
    return -1;
}

static void add_settings(struct kafka_topic_spec *spec, const struct config_kafka *kafka,
                         const struct topic_traits *traits, int64_t delay_ms)
{
    spec->settings.items = mem_zalloc(SETTINGS_MAX, sizeof *spec->settings.items);
    bool compact = traits->retention == TOPIC_RETENTION_COMPACT;
    add_setting(spec, "cleanup.policy", compact ? "compact" : "delete");
    if (!compact)
        add_number(spec, "retention.ms", retention_ms(kafka, traits->retention, delay_ms));
    add_setting(spec, "message.timestamp.type",
                traits->log_append_time ? "LogAppendTime" : "CreateTime");
    add_number(spec, "max.message.bytes", TOPIC_RECORD_BYTES_MAX + BATCH_OVERHEAD);
    add_number(spec, "min.insync.replicas", spec->replication >= INSYNC_REPLICATION ? 2 : 1);
    add_setting(spec, "unclean.leader.election.enable", "false");
}

struct builder {
    const struct config *config;
    struct kafka_topic_spec *specs;
    size_t count;
    struct err *err;
    enum err_code code;
};

static void add_topic(struct builder *builder, enum topic_kind kind, const char *suffix,
                      int64_t queue_partitions, int64_t delay_ms)
{
    const struct config *config = builder->config;
    const struct topic_traits *traits = topic_traits_of(kind);
    struct buf name = BUF_INIT(TOPIC_NAME_MAX - 1);
    topic_name(&name, config->namespace_, kind, suffix);
    if (name.overflow) {
        buf_free(&name);
        builder->code = err_field(builder->err, ERR_CONFIG, "namespace",
                                  "the topic name %s.%s.%s is longer than %d characters",
                                  config->namespace_, traits->word, suffix, TOPIC_NAME_MAX - 1);
        return;
    }
    struct kafka_topic_spec *spec = &builder->specs[builder->count++];
    spec->name = buf_take(&name);
    spec->partitions = traits->partitions ? traits->partitions : (int)queue_partitions;
    spec->replication = config->kafka.kind == BROKER_EMBEDDED ? 1 : config->kafka.replication;
    add_settings(spec, &config->kafka, traits, delay_ms);
}

enum err_code topics_of(const struct config *config, struct kafka_topic_spec **ret_specs,
                        size_t *ret_count, struct err *err)
{
    size_t count_max = TOPIC_KIND_COUNT * (config->queue_count + 1) + config->delayer.tier_count;
    struct builder builder = { .config = config,
                               .specs = mem_zalloc(count_max, sizeof(struct kafka_topic_spec)),
                               .err = err };
    for (unsigned i = 0; i < TOPIC_KIND_COUNT && !builder.code; i++) {
        enum topic_kind kind = (enum topic_kind)i;
        switch (topic_traits_of(kind)->suffix) {
        case TOPIC_SUFFIX_NONE:
            add_topic(&builder, kind, NULL, 1, 0);
            break;
        case TOPIC_SUFFIX_TIER:
            for (size_t k = 0; k < config->delayer.tier_count && !builder.code; k++)
                add_topic(&builder, kind, config->delayer.tiers[k].name, 1,
                          config->delayer.tiers[k].delay_ms);
            break;
        case TOPIC_SUFFIX_QUEUE:
            for (size_t k = 0; k < config->queue_count && !builder.code; k++)
                add_topic(&builder, kind, config->queues[k].name, config->queues[k].partitions, 0);
            break;
        }
    }
    if (builder.code) {
        topics_free(builder.specs, builder.count);
        return builder.code;
    }
    *ret_specs = builder.specs;
    *ret_count = builder.count;
    return ERR_OK;
}

void topics_free(struct kafka_topic_spec *specs, size_t count)
{
    for (size_t i = 0; specs && i < count; i++) {
        mem_free_const(specs[i].name); /* ours since topics_of */
        for (size_t k = 0; k < specs[i].settings.count; k++) {
            free(specs[i].settings.items[k].name);
            free(specs[i].settings.items[k].value);
        }
        free(specs[i].settings.items);
    }
    free(specs);
}

/* --- applying --- */

struct apply {
    struct kafka_admin *admin;
    const struct config *config;
    struct kafka_topic_spec *specs;
    size_t count;
    bool *created;
    bool fresh; /* the namespace has no generation yet */
    void (*report)(void *arg, const char *line);
    void *arg;
};

__attribute__((format(printf, 2, 3))) static void say(const struct apply *apply, const char *format,
                                                      ...)
{
    char line[TOPIC_NAME_MAX + 400];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (apply->report)
        apply->report(apply->arg, line);
}

/* The topics that a group reads: of these kinds, and of one queue or (NULL) of all. */
struct reads {
    unsigned kinds; /* a bit each: 1U << TOPIC_COMMANDS */
    const char *queue;
};

static bool is_read(const struct apply *apply, const struct reads *reads, size_t i)
{
    enum topic_kind kind;
    struct span suffix;
    return topic_parse(span_of(apply->specs[i].name), apply->config->namespace_, &kind, &suffix) &&
           (reads->kinds & 1U << kind) && (!reads->queue || span_is(suffix, reads->queue));
}

/* Every partition of a new topic that the group reads; free with free(). */
static struct kafka_offset *new_partitions(const struct apply *apply, const struct reads *reads,
                                           size_t *ret_count)
{
    size_t count = 0;
    for (size_t i = 0; i < apply->count; i++)
        count += (size_t)apply->specs[i].partitions;
    struct kafka_offset *offsets = mem_zalloc(count, sizeof *offsets);
    count = 0;
    for (size_t i = 0; i < apply->count; i++) {
        if (!(apply->created[i] || apply->fresh) || !is_read(apply, reads, i))
            continue;
        for (int32_t k = 0; k < apply->specs[i].partitions; k++)
            offsets[count++] =
                (struct kafka_offset){ .topic = apply->specs[i].name, .partition = k };
    }
    *ret_count = count;
    return offsets;
}

/* Offset 0 for those that the group has not committed yet. */
static enum err_code commit_missing(const struct apply *apply, const char *group,
                                    struct kafka_offset *offsets, size_t count, struct err *err)
{
    enum err_code code = kafka_committed_sync(apply->admin, group, offsets, count, TIMEOUT_MS, err);
    size_t missing = 0;
    for (size_t i = 0; i < count && !code; i++) {
        if (offsets[i].offset >= 0)
            continue;
        offsets[missing] = offsets[i];
        offsets[missing++].offset = 0;
    }
    if (!code && missing)
        code = kafka_offsets_commit_sync(apply->admin, group, offsets, missing, TIMEOUT_MS, err);
    return code;
}

static enum err_code mark_group(const struct apply *apply, const char *group,
                                const struct reads *reads, struct err *err)
{
    size_t count;
    struct kafka_offset *offsets = new_partitions(apply, reads, &count);
    struct err own = { 0 };
    enum err_code code = count ? commit_missing(apply, group, offsets, count, &own) : ERR_OK;
    free(offsets);
    /* A group at work cannot be written to from outside, and begins a new topic at its start by
     * itself. */
    if (code && !apply->fresh) {
        say(apply, "group %s was not given its offsets: %s", group, own.text);
        code = ERR_OK;
    }
    return code ? err_set(err, code, "group %s: %s", group, own.text) : ERR_OK;
}

static enum err_code mark_groups(const struct apply *apply, struct err *err)
{
    static const struct reads commands = { 1U << TOPIC_COMMANDS, NULL };
    static const struct reads recorder = { 1U << TOPIC_REPLIES | 1U << TOPIC_DEAD, NULL };
    static const struct reads delayer = { 1U << TOPIC_DELAY, NULL };
    const char *namespace_ = apply->config->namespace_;
    struct buf group = BUF_INIT(TOPIC_NAME_MAX);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < apply->config->queue_count && !code; i++) {
        const char *queue = apply->config->queues[i].name;
        buf_reset(&group);
        topic_group_worker(&group, namespace_, queue);
        code = mark_group(apply, group.data, &(struct reads){ commands.kinds, queue }, err);
    }
    buf_reset(&group);
    topic_group_recorder(&group, namespace_);
    if (!code)
        code = mark_group(apply, group.data, &recorder, err);
    buf_reset(&group);
    topic_group_recorder_commands(&group, namespace_);
    if (!code)
        code = mark_group(apply, group.data, &commands, err);
    buf_reset(&group);
    topic_group_delayer(&group, namespace_);
    if (!code)
        code = mark_group(apply, group.data, &delayer, err);
    buf_free(&group);
    return code;
}

/* --- the generation --- */

struct search {
    char generation[TOPIC_GENERATION_SIZE + 1];
};

static bool on_control(void *arg, struct span key, struct span value, int64_t offset)
{
    (void)offset;
    struct search *search = arg;
    /* The last one counts, as it does for compaction. */
    if (span_is(key, TOPIC_GENERATION_KEY) && value.size == TOPIC_GENERATION_SIZE)
        memcpy(search->generation, value.data, TOPIC_GENERATION_SIZE);
    return true;
}

enum err_code topics_generation_sync(struct kafka_admin *admin, const struct config *config,
                                     char ret_generation[TOPIC_GENERATION_SIZE + 1],
                                     struct err *err)
{
    struct search search = { 0 };
    struct buf control = BUF_INIT(TOPIC_NAME_MAX - 1);
    topic_name(&control, config->namespace_, TOPIC_CONTROL, NULL);
    enum err_code code = kafka_scan_sync(
        admin, &(struct kafka_scan){ .topic = control.data, .fn = on_control, .arg = &search },
        TIMEOUT_MS, err);
    if (!code && !search.generation[0])
        code = err_set(err, ERR_NOT_FOUND, "%s holds no generation: run `errand topics apply`",
                       control.data);
    buf_free(&control);
    if (!code)
        memcpy(ret_generation, search.generation, sizeof search.generation);
    return code;
}

static enum err_code write_generation(const struct apply *apply, struct err *err)
{
    unsigned char random[TOPIC_GENERATION_SIZE / 2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_set(err, ERR_IO, "getrandom: %s", strerrordesc_np(errno));
    struct buf generation = BUF_INIT(TOPIC_GENERATION_SIZE);
    struct buf control = BUF_INIT(TOPIC_NAME_MAX - 1);
    buf_add_hex(&generation, (struct span){ random, sizeof random });
    topic_name(&control, apply->config->namespace_, TOPIC_CONTROL, NULL);
    enum err_code code = kafka_write_sync(apply->admin, control.data, span_of(TOPIC_GENERATION_KEY),
                                          buf_span(&generation), TIMEOUT_MS, err);
    if (!code)
        say(apply, "the generation of %s is %s", apply->config->namespace_, generation.data);
    buf_free(&generation);
    buf_free(&control);
    return code;
}

/* What would be deleted before its time cannot be folded again. */
static enum err_code retain(const struct apply *apply, struct err *err)
{
    bool *raised = mem_zalloc(apply->count, sizeof *raised);
    enum err_code code =
        kafka_topics_retain_sync(apply->admin, apply->specs, apply->count, raised, TIMEOUT_MS, err);
    for (size_t i = 0; i < apply->count && !code; i++) {
        if (raised[i])
            say(apply, "%s kept its records for too short a time; now for as long as is configured",
                apply->specs[i].name);
    }
    free(raised);
    return code;
}

/* What follows the making. */
static enum err_code prepare(const struct apply *apply, struct err *err)
{
    enum err_code code = retain(apply, err);
    return code ? code : mark_groups(apply, err);
}

/* Of several brokers, one may not have heard yet of a topic that another one has just made, and
 * then says that it does not know it: it is asked again. */
static enum err_code prepare_patiently(const struct apply *apply, struct err *err)
{
    int64_t until_ms = clock_monotonic_ms() + TIMEOUT_MS;
    for (;;) {
        enum err_code code = prepare(apply, err);
        if (code != ERR_KAFKA || clock_monotonic_ms() >= until_ms)
            return code;
        nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000L }, NULL);
    }
}

static enum err_code apply_specs(struct apply *apply, struct err *err)
{
    enum err_code code = kafka_topics_create_sync(apply->admin, apply->specs, apply->count,
                                                  apply->created, TIMEOUT_MS, err);
    if (code)
        return code;
    for (size_t i = 0; i < apply->count; i++) {
        if (apply->created[i])
            say(apply, "made %s, %d partitions", apply->specs[i].name, apply->specs[i].partitions);
    }
    char generation[TOPIC_GENERATION_SIZE + 1];
    code = topics_generation_sync(apply->admin, apply->config, generation, err);
    apply->fresh = code == ERR_NOT_FOUND;
    if (code && !apply->fresh)
        return code;
    code = prepare_patiently(apply, err);
    /* Last: where it stands, all before it was done. */
    if (!code && apply->fresh)
        code = write_generation(apply, err);
    return code;
}

enum err_code topics_apply_sync(struct kafka_admin *admin, const struct config *config,
                                void (*report)(void *arg, const char *line), void *arg,
                                struct err *err)
{
    struct apply apply = { .admin = admin, .config = config, .report = report, .arg = arg };
    enum err_code code = topics_of(config, &apply.specs, &apply.count, err);
    if (code)
        return code;
    apply.created = mem_zalloc(apply.count, sizeof *apply.created);
    code = apply_specs(&apply, err);
    free(apply.created);
    topics_free(apply.specs, apply.count);
    return code;
}
