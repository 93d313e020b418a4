/* See view.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/view.h"

void view_key(struct buf *out, const char *namespace_, enum view_kind kind, const struct id *id)
{
    char identity[IDENTITY_TEXT_SIZE];
    id_identity_text(id, identity);
    buf_add_text(out, namespace_);
    buf_add_char(out, ':');
    buf_add_char(out, (char)kind);
    buf_add_char(out, ':');
    buf_add_text(out, identity);
}

void view_hash_key(struct buf *out, const char *namespace_)
{
    buf_add_text(out, namespace_);
    buf_add_text(out, ":view");
}

static void partition_name(struct buf *out, const char *prefix, const char *topic,
                           int32_t partition)
{
    buf_add_text(out, prefix);
    buf_add_text(out, topic);
    buf_add_char(out, ':');
    buf_add_int(out, partition);
}

void view_epoch_key(struct buf *out, const char *namespace_, const char *topic, int32_t partition)
{
    buf_add_text(out, namespace_);
    partition_name(out, ":e:", topic, partition);
}

static void name_of(struct buf *out, const char *namespace_, const char *kind, const char *name)
{
    buf_add_text(out, namespace_);
    buf_add_text(out, kind);
    buf_add_text(out, name);
}

void view_incarnation_key(struct buf *out, const char *namespace_, const char *incarnation)
{
    name_of(out, namespace_, ":i:", incarnation);
}

void view_workers_key(struct buf *out, const char *namespace_)
{
    buf_add_text(out, namespace_);
    buf_add_text(out, ":workers");
}

void view_incarnation_channel(struct buf *out, const char *namespace_, const char *incarnation)
{
    name_of(out, namespace_, ":x:", incarnation);
}

void view_target_key(struct buf *out, const char *namespace_, const char *target)
{
    name_of(out, namespace_, ":t:", target);
}

void view_list_prefix(struct buf *out, const char *namespace_)
{
    buf_add_text(out, namespace_);
    buf_add_text(out, ":j:");
}

void view_list_name(struct buf *out, struct span name)
{
    if (name.size > VIEW_NAME_BYTES_MAX)
        name.size = VIEW_NAME_BYTES_MAX;
    buf_add_span(out, name);
}

void view_list_key(struct buf *out, const char *namespace_, char letter, struct span tenant,
                   struct span type)
{
    view_list_prefix(out, namespace_);
    buf_add_char(out, letter);
    buf_add_char(out, ':');
    view_list_name(out, tenant);
    buf_add_char(out, ':');
    view_list_name(out, type);
}

void view_list_sets_key(struct buf *out, const char *namespace_)
{
    view_list_prefix(out, namespace_);
    buf_add_text(out, "sets");
}

void view_list_sweep_key(struct buf *out, const char *namespace_)
{
    view_list_prefix(out, namespace_);
    buf_add_text(out, "sweep");
}

void view_dead_prefix(struct buf *out, const char *namespace_, const char *queue)
{
    name_of(out, namespace_, ":d:", queue);
}

void view_applied_field(struct buf *out, const char *topic, int32_t partition)
{
    partition_name(out, "a:", topic, partition);
}

void view_certified_field(struct buf *out, const char *topic, int32_t partition)
{
    partition_name(out, "p:", topic, partition);
}

void view_identity_join(struct buf *out, const char *cluster_id, const char *generation)
{
    buf_add_text(out, cluster_id);
    buf_add_char(out, '/');
    buf_add_text(out, generation);
}

void view_certificate(struct buf *out, const char *run_id, const char *identity)
{
    buf_add_text(out, run_id);
    buf_add_char(out, '/');
    buf_add_text(out, identity);
}
