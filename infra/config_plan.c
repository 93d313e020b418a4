/* See config_plan.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/config_plan.h"

#include "infra/config_value.h"
#include "schemas/mem.h"
#include "schemas/process_name.h"
#include "schemas/timefmt.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define PATH_SIZE 128
#define KEYS_MAX  16
#define TEXT_MAX  4096

static const char *const act_names[] = { "kill",        "stop",        "restart",
                                         "third-party", "flush-redis", NULL };
static const char *const client_names[] = { "plain", "careful", NULL };
static const char *const level_names[] = { "accept_p99", "end_p99", "recover_p99", "silence" };
static const char *const process_names[] = { "worker",  "recorder", "delayer",
                                             "gateway", "broker",   "redis" };
static const char *const end_names[] = { "succeeded", "failed", "cancelled", "expired", NULL };
static const struct {
    const char *how;
    const char *words; /* the simulator's */
} third_parties[] = {
    { "slow", "slow=2000" },
    { "down", "reset" },
    { "flaky", "fail=1" },
    { "hang", "hang" },
};

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

const char *drill_act_text(enum drill_act act)
{
    return act_names[act];
}

const char *drill_level_text(enum drill_level level)
{
    return level_names[level];
}

const char *drill_third_party_words(const char *how)
{
    for (size_t i = 0; i < COUNT_OF(third_parties); i++) {
        if (strcmp(third_parties[i].how, how) == 0)
            return third_parties[i].words;
    }
    return NULL;
}

/* --- plans --- */

void drill_plan_init(struct drill_plan *plan, const char *name)
{
    *plan = (struct drill_plan){
        .name = mem_dup_text(name),
        .description = mem_dup_text(""),
        .duration_ms = DRILL_DURATION_MS,
        .rate = DRILL_RATE_DEFAULT,
        .faults_min = 1,
        .refused_percent = DRILL_PERCENT_UNSET,
    };
}

void drill_plan_clear(struct drill_plan *plan)
{
    for (size_t i = 0; i < plan->job_count; i++) {
        free(plan->jobs[i].type);
        free(plan->jobs[i].payload);
        free(plan->jobs[i].key);
    }
    for (size_t i = 0; i < plan->fault_count; i++)
        free(plan->faults[i].what);
    free(plan->jobs);
    free(plan->faults);
    free(plan->name);
    free(plan->description);
    *plan = (struct drill_plan){ 0 };
}

void drill_plan_add_fault(struct drill_plan *plan, const struct drill_fault *fault)
{
    plan->faults = mem_resize(plan->faults, plan->fault_count + 1, sizeof *plan->faults);
    struct drill_fault *added = &plan->faults[plan->fault_count++];
    *added = *fault;
    added->what = mem_dup_text(fault->what ? fault->what : "");
}

void drill_plan_add_jobs(struct drill_plan *plan, const char *type, const char *payload,
                         const char *key, int64_t share, enum job_state ends)
{
    plan->jobs = mem_resize(plan->jobs, plan->job_count + 1, sizeof *plan->jobs);
    plan->jobs[plan->job_count++] = (struct drill_jobs){
        .type = mem_dup_text(type),
        .payload = mem_dup_text(payload),
        .key = key ? mem_dup_text(key) : NULL,
        .share = share,
        .ends = ends,
    };
}

static bool is_process(struct span what)
{
    for (size_t i = 0; i < COUNT_OF(process_names); i++) {
        if (process_name_is_of(what, process_names[i]))
            return true;
    }
    return false;
}

bool drill_what_is_known(enum drill_act act, struct span what, const char **ret_allowed)
{
    const char *allowed = "worker, recorder, delayer, gateway, broker or redis, or one of them by "
                          "its name, such as worker-2";
    bool known = is_process(what);
    if (act == DRILL_THIRD_PARTY) {
        allowed = "slow, down, flaky or hang";
        known = false;
        for (size_t i = 0; i < COUNT_OF(third_parties); i++)
            known = known || span_is(what, third_parties[i].how);
    } else if (act == DRILL_FLUSH_REDIS) {
        allowed = "nothing, or redis";
        known = what.size == 0 || span_is(what, "redis");
    }
    if (ret_allowed)
        *ret_allowed = allowed;
    return known;
}

/* --- reading --- */

struct drill_reader;
typedef void (*part_fn)(struct drill_reader *reader, const struct config_node *node,
                        const char *path);

/* A key of a mapping: a value as the configuration has them, or something of its own. */
struct drill_key {
    struct config_key value;
    part_fn part; /* reads it; NULL: it is a value */
};

struct drill_reader {
    struct config_loader *loader;
    struct drill_plan *plan;
};

static const struct drill_key *find_key(const struct drill_key *keys, size_t count,
                                        struct span name)
{
    for (size_t i = 0; i < count; i++) {
        if (span_is(name, keys[i].value.path))
            return &keys[i];
    }
    return NULL;
}

static void unknown_key(struct drill_reader *reader, const struct drill_key *keys, size_t count,
                        const struct config_node *node, const char *path)
{
    const char *names[KEYS_MAX];
    char hint[CONFIG_HINT_SIZE];
    struct buf list = BUF_INIT(512);
    for (size_t i = 0; i < count; i++) {
        names[i] = keys[i].value.path;
        buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
    }
    config_loader_hint(node->name, names, count, hint);
    config_loader_problem(reader->loader, node->origin, path,
                          "is no key of a drill file here (there are %s)%s", list.data, hint);
    buf_free(&list);
}

/* Reads a mapping into `base` by its keys. */
static void read_mapping(struct drill_reader *reader, const struct drill_key *keys, size_t count,
                         void *base, const char *prefix, const struct config_node *node)
{
    if (node->kind != CONFIG_NODE_MAPPING) {
        config_loader_problem(reader->loader, node->origin, prefix,
                              "must be a mapping of keys to values");
        return;
    }
    for (const struct config_node *child = node->children; child; child = child->next) {
        char path[PATH_SIZE];
        (void)snprintf(path, sizeof path, "%s%s%.*s", prefix, *prefix ? "." : "",
                       (int)(child->name.size < 64 ? child->name.size : 64),
                       (const char *)child->name.data);
        const struct drill_key *key = find_key(keys, count, child->name);
        if (!key)
            unknown_key(reader, keys, count, child, path);
        else if (key->part)
            key->part(reader, child, path);
        else
            config_value_set(reader->loader, &key->value, base, path, child);
    }
}

/* Calls `item` for each entry of a list; false, and said so, when it is none or too long. */
static void read_list(struct drill_reader *reader, const struct config_node *node, const char *path,
                      size_t max, part_fn item)
{
    size_t i = 0;
    char place[PATH_SIZE];
    if (node->kind != CONFIG_NODE_SEQUENCE || node->child_count == 0 || node->child_count > max) {
        config_loader_problem(reader->loader, node->origin, path,
                              "must be a list of 1 to %zu entries", max);
        return;
    }
    for (const struct config_node *child = node->children; child; child = child->next) {
        (void)snprintf(place, sizeof place, "%.80s[%zu]", path, i++);
        item(reader, child, place);
    }
}

/* NOLINTBEGIN(bugprone-macro-parentheses): names of members take no parentheses. */
#define KEY(name, kind_, structure, member_)                                                       \
    .value.path = name, .value.kind = kind_, .value.offset = offsetof(struct structure, member_),  \
    .value.size = sizeof(((struct structure *)NULL)->member_)
#define RANGE(min_, max_)    .value.min = min_, .value.max = max_
#define ONE_OF(names)        .value.choices = names
#define PART(name, function) .value.path = name, .part = function
/* NOLINTEND(bugprone-macro-parentheses) */

static void read_fault(struct drill_reader *reader, const struct config_node *node,
                       const char *path)
{
    static const struct drill_key keys[] = {
        { KEY("at", CONFIG_DURATION, drill_fault, at_ms), RANGE(0, DRILL_DURATION_MAX) },
        { KEY("every", CONFIG_DURATION, drill_fault, every_ms), RANGE(100, DRILL_DURATION_MAX) },
        { KEY("do", CONFIG_ENUM, drill_fault, act), ONE_OF(act_names) },
        { KEY("what", CONFIG_TEXT, drill_fault, what), RANGE(0, TEXT_MAX) },
        { KEY("hold", CONFIG_DURATION, drill_fault, hold_ms), RANGE(100, DRILL_DURATION_MAX) },
        { KEY("count", CONFIG_INTEGER, drill_fault, count), RANGE(1, DRILL_AT_ONCE_MAX) },
    };
    struct drill_fault fault = { .act = DRILL_ACT_COUNT, .hold_ms = DRILL_HOLD_MS, .count = 1 };
    const char *allowed = NULL;
    size_t before = reader->loader->problem_count;
    read_mapping(reader, keys, COUNT_OF(keys), &fault, path, node);
    if (reader->loader->problem_count > before) {
        /* said */
    } else if (fault.act == DRILL_ACT_COUNT) {
        config_loader_problem(reader->loader, node->origin, path,
                              "do is missing: kill, stop, restart, third-party or flush-redis");
    } else if (!drill_what_is_known(fault.act, span_of(fault.what), &allowed)) {
        config_loader_problem(reader->loader, node->origin, path, "what is '%.40s'; allowed is %s",
                              fault.what ? fault.what : "", allowed);
    } else {
        drill_plan_add_fault(reader->plan, &fault);
    }
    free(fault.what);
}

static void read_faults(struct drill_reader *reader, const struct config_node *node,
                        const char *path)
{
    read_list(reader, node, path, DRILL_FAULTS_MAX, read_fault);
}

static void read_job(struct drill_reader *reader, const struct config_node *node, const char *path)
{
    static const struct drill_key keys[] = {
        { KEY("type", CONFIG_TEXT, drill_jobs, type), RANGE(1, TEXT_MAX) },
        { KEY("payload", CONFIG_JSON, drill_jobs, payload), RANGE(0, (int64_t)DRILL_FILE_MAX) },
        { KEY("key", CONFIG_TEXT, drill_jobs, key), RANGE(1, TEXT_MAX) },
        { KEY("share", CONFIG_INTEGER, drill_jobs, share), RANGE(1, 1000) },
        { KEY("ends", CONFIG_ENUM, drill_jobs, ends), ONE_OF(end_names) },
    };
    struct drill_jobs jobs = { .share = 1, .payload = mem_dup_text("{}") };
    size_t before = reader->loader->problem_count;
    jobs.ends = 0; /* the index in end_names, for now */
    read_mapping(reader, keys, COUNT_OF(keys), &jobs, path, node);
    if (reader->loader->problem_count == before && !jobs.type) {
        config_loader_problem(reader->loader, node->origin, path,
                              "type is missing: `errand types` shows them");
    } else if (reader->loader->problem_count == before) {
        (void)job_state_parse(span_of(end_names[jobs.ends]), &jobs.ends);
        drill_plan_add_jobs(reader->plan, jobs.type, jobs.payload, jobs.key, jobs.share, jobs.ends);
    }
    free(jobs.type);
    free(jobs.payload);
    free(jobs.key);
}

static void read_jobs(struct drill_reader *reader, const struct config_node *node, const char *path)
{
    read_list(reader, node, path, DRILL_JOBS_MAX, read_job);
}

static void read_rate(struct drill_reader *reader, const struct config_node *node, const char *path)
{
    char quoted[CONFIG_QUOTED_SIZE];
    int64_t count = 0;
    int64_t period_ms = 1000;
    int64_t rate = 0;
    if (node->kind == CONFIG_NODE_SCALAR && timefmt_parse_rate(node->text, &count, &period_ms))
        rate = count * 1000000 / period_ms;
    if (rate >= 1 && rate <= DRILL_RATE_MAX * INT64_C(1000))
        reader->plan->rate = rate;
    else
        config_loader_problem(
            reader->loader, node->origin, path, "%s must be a rate such as 50/s, at most %d/s",
            node->kind == CONFIG_NODE_SCALAR ? config_loader_quote(node->text, quoted) : "it",
            DRILL_RATE_MAX);
}

static void read_load(struct drill_reader *reader, const struct config_node *node, const char *path)
{
    static const struct drill_key keys[] = {
        { PART("rate", read_rate) },
        { KEY("duration", CONFIG_DURATION, drill_plan, duration_ms),
          RANGE(DRILL_DURATION_MIN, DRILL_DURATION_MAX) },
        { KEY("client", CONFIG_ENUM, drill_plan, client), ONE_OF(client_names) },
        { PART("jobs", read_jobs) },
    };
    read_mapping(reader, keys, COUNT_OF(keys), reader->plan, path, node);
}

static void read_expect(struct drill_reader *reader, const struct config_node *node,
                        const char *path)
{
    static const struct drill_key keys[] = {
        { KEY("faults", CONFIG_INTEGER, drill_plan, faults_min), RANGE(0, 10000) },
        { KEY("refused_percent", CONFIG_INTEGER, drill_plan, refused_percent), RANGE(0, 100) },
    };
    read_mapping(reader, keys, COUNT_OF(keys), reader->plan, path, node);
}

static void read_levels(struct drill_reader *reader, const struct config_node *node,
                        const char *path)
{
    struct drill_key keys[DRILL_LEVEL_COUNT];
    for (size_t i = 0; i < DRILL_LEVEL_COUNT; i++)
        keys[i] = (struct drill_key){ KEY(level_names[i], CONFIG_DURATION, drill_plan, levels[i]),
                                      RANGE(1, DRILL_DURATION_MAX) };
    read_mapping(reader, keys, DRILL_LEVEL_COUNT, reader->plan, path, node);
}

static void read_document(struct drill_reader *reader, const struct config_node *root)
{
    static const struct drill_key keys[] = {
        { KEY("name", CONFIG_TEXT, drill_plan, name), RANGE(1, TEXT_MAX) },
        { KEY("description", CONFIG_TEXT, drill_plan, description), RANGE(0, TEXT_MAX) },
        { KEY("seed", CONFIG_INTEGER, drill_plan, seed), RANGE(1, INT32_MAX) },
        { PART("load", read_load) },
        { PART("faults", read_faults) },
        { PART("expect", read_expect) },
        { PART("levels", read_levels) },
    };
    struct drill_plan *plan = reader->plan;
    read_mapping(reader, keys, COUNT_OF(keys), plan, "", root);
    if (reader->loader->problem_count == 0 && plan->fault_count == 0)
        config_loader_problem(reader->loader, root->origin, "faults",
                              "is missing: a drill without a fault shows nothing");
    for (size_t i = 0; i < plan->fault_count; i++) {
        if (plan->faults[i].at_ms >= plan->duration_ms)
            config_loader_problem(reader->loader, root->origin, "faults",
                                  "entry %zu begins after the load has ended (load.duration)", i);
    }
}

enum err_code drill_plan_parse(const char *file, struct span text, struct drill_plan *ret_plan,
                               char **ret_report, struct err *err)
{
    static const char *const no_environment[] = { NULL };
    struct config_loader loader;
    struct drill_plan plan;
    struct drill_reader reader = { .loader = &loader, .plan = &plan };
    config_loader_init(&loader, file, no_environment);
    drill_plan_init(&plan, file);
    struct config_tree *tree = config_yaml_parse(&loader, text);
    const struct config_node *root = tree ? config_yaml_root(tree) : NULL;
    if (root)
        read_document(&reader, root);
    else if (loader.problem_count == 0)
        config_loader_problem(&loader, (struct config_origin){ 0 }, NULL, "is empty");
    enum err_code code = ERR_OK;
    if (loader.problem_count) {
        *err = loader.first;
        code = ERR_CONFIG;
        *ret_report = buf_take(&loader.report);
        drill_plan_clear(&plan);
    } else {
        *ret_plan = plan;
    }
    config_yaml_free(tree);
    config_free(loader.config);
    config_loader_clear(&loader);
    return code;
}
