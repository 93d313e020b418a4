/* See verify_topics.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_topics.h"

struct judging {
    struct verify_judge *judge;
    const struct verify_topics *topics;
    bool partial;
};

static void begin(void *arg, struct verify_part *parts, size_t count, bool partial)
{
    struct judging *judging = arg;
    for (size_t i = 0; i < count; i++)
        parts[i].tag = verify_judge_topic(judging->judge, parts[i].topic);
    judging->partial = partial;
    if (partial)
        verify_judge_set_partial(judging->judge);
}

/* Only our own third party keeps a ledger. */
static bool is_call(const struct config *config, struct span type)
{
    const struct config_type *found = config_find_type(config, type);
    const struct config_target *target =
        found && found->handler == CONFIG_HANDLER_CALL
            ? config_find_target(config, span_of(found->call.target))
            : NULL;
    return target && config_is_simulator(target);
}

static void record(void *arg, const struct verify_scanned *scanned)
{
    struct judging *judging = arg;
    const struct verify_topics *topics = judging->topics;
    const struct envelope *envelope = scanned->envelope;
    const struct verify_place place = { .topic = scanned->part->tag,
                                        .partition = (uint16_t)scanned->part->number,
                                        .offset = scanned->offset };
    bool foreign = judging->partial && scanned->reach == VERIFY_BEFORE;
    if (scanned->part->kind == TOPIC_DEAD) {
        verify_judge_dead(judging->judge, envelope ? &envelope->command.facts.id : NULL);
    } else if (envelope->kind == ENVELOPE_COMMAND) {
        const struct verify_told_command told = {
            .place = place,
            .command = &envelope->command,
            .committed = scanned->committed,
            .calls = is_call(topics->config, envelope->command.facts.type),
            .foreign = foreign,
        };
        verify_judge_command(judging->judge, &told);
    } else if (verify_judge_event(judging->judge, &place, &envelope->event, foreign) &&
               topics->on_end) {
        topics->on_end(topics->arg, &place, &envelope->event);
    }
}

enum err_code verify_topics_read(struct verify_judge *judge, const struct verify_topics *topics,
                                 struct err *err)
{
    struct judging judging = { .judge = judge, .topics = topics };
    const struct verify_scan scan = { .admin = topics->admin,
                                      .config = topics->config,
                                      .since = topics->since,
                                      .notes = topics->notes,
                                      .arg = &judging,
                                      .begin = begin,
                                      .record = record };
    return verify_scan_run(&scan, err);
}
