/* See topic.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/topic.h"

#include <assert.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

static const struct topic_traits traits[TOPIC_KIND_COUNT] = {
    [TOPIC_COMMANDS] = { .word = "commands",
                         .suffix = TOPIC_SUFFIX_QUEUE,
                         .key = TOPIC_KEY_ORDERING,
                         .retention = TOPIC_RETENTION_COMMANDS },
    [TOPIC_REPLIES] = { .word = "replies",
                        .suffix = TOPIC_SUFFIX_QUEUE,
                        .key = TOPIC_KEY_JOB,
                        .retention = TOPIC_RETENTION_REPLIES },
    [TOPIC_DELAY] = { .word = "delay",
                      .suffix = TOPIC_SUFFIX_TIER,
                      .key = TOPIC_KEY_JOB,
                      .retention = TOPIC_RETENTION_DELAY,
                      .log_append_time = true,
                      .partitions = 4 },
    [TOPIC_DEAD] = { .word = "dead",
                     .suffix = TOPIC_SUFFIX_QUEUE,
                     .key = TOPIC_KEY_JOB,
                     .retention = TOPIC_RETENTION_DEAD,
                     .partitions = 1 },
    [TOPIC_CONTROL] = { .word = "control",
                        .suffix = TOPIC_SUFFIX_NONE,
                        .key = TOPIC_KEY_NAME,
                        .retention = TOPIC_RETENTION_COMPACT,
                        .partitions = 1 },
    [TOPIC_AUDIT] = { .word = "audit",
                      .suffix = TOPIC_SUFFIX_NONE,
                      .key = TOPIC_KEY_ACTION,
                      .retention = TOPIC_RETENTION_AUDIT,
                      .partitions = 1 },
};

/* A command should reach its worker so long before it is due. */
#define NOTICE_MS 1000

const struct topic_tier *topic_tier_for(const struct topic_tier *tiers, size_t count,
                                        int64_t left_ms)
{
    const struct topic_tier *longest = NULL;
    for (size_t i = 0; i < count && tiers[i].delay_ms + NOTICE_MS <= left_ms; i++)
        longest = &tiers[i];
    return longest;
}

const struct topic_traits *topic_traits_of(enum topic_kind kind)
{
    assert((unsigned)kind < TOPIC_KIND_COUNT);
    return &traits[kind];
}

void topic_name(struct buf *out, const char *namespace_, enum topic_kind kind, const char *suffix)
{
    bool suffixed = topic_traits_of(kind)->suffix != TOPIC_SUFFIX_NONE;
    assert(suffixed == (suffix && *suffix));
    buf_add_text(out, namespace_);
    buf_add_char(out, '.');
    buf_add_text(out, traits[kind].word);
    if (suffixed) {
        buf_add_char(out, '.');
        buf_add_text(out, suffix);
    }
}

char *topic_name_dup(const char *namespace_, enum topic_kind kind, const char *suffix)
{
    struct buf name = BUF_INIT(TOPIC_NAME_MAX);
    topic_name(&name, namespace_, kind, suffix);
    return buf_take(&name);
}

/* Takes `prefix` off the front of *text. */
static bool skip(struct span *text, struct span prefix)
{
    if (text->size < prefix.size || memcmp(text->data, prefix.data, prefix.size) != 0)
        return false;
    *text = (struct span){ (const char *)text->data + prefix.size, text->size - prefix.size };
    return true;
}

static bool suffix_fits(enum topic_suffix suffix, struct span rest, struct span *ret_suffix)
{
    if (suffix == TOPIC_SUFFIX_NONE) {
        *ret_suffix = rest;
        return rest.size == 0;
    }
    if (!skip(&rest, (struct span)SPAN_LIT(".")) || rest.size == 0)
        return false;
    *ret_suffix = rest;
    return true;
}

bool topic_parse(struct span name, const char *namespace_, enum topic_kind *ret_kind,
                 struct span *ret_suffix)
{
    if (!skip(&name, span_of(namespace_)) || !skip(&name, (struct span)SPAN_LIT(".")))
        return false;
    for (unsigned kind = 0; kind < TOPIC_KIND_COUNT; kind++) {
        struct span rest = name;
        struct span suffix;
        if (skip(&rest, span_of(traits[kind].word)) &&
            suffix_fits(traits[kind].suffix, rest, &suffix)) {
            *ret_kind = (enum topic_kind)kind;
            *ret_suffix = suffix;
            return true;
        }
    }
    return false;
}

void topic_group_worker(struct buf *out, const char *namespace_, const char *queue)
{
    buf_add_text(out, namespace_);
    buf_add_text(out, ".worker.");
    buf_add_text(out, queue);
}

void topic_group_recorder(struct buf *out, const char *namespace_)
{
    buf_add_text(out, namespace_);
    buf_add_text(out, ".recorder");
}

void topic_group_recorder_commands(struct buf *out, const char *namespace_)
{
    topic_group_recorder(out, namespace_);
    buf_add_text(out, ".commands");
}

void topic_group_delayer(struct buf *out, const char *namespace_)
{
    buf_add_text(out, namespace_);
    buf_add_text(out, ".delayer");
}
