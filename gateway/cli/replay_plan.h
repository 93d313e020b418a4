/* What a replay is to do: which records of which topic, where they go, and what they are. It is
 * made by reading the records (a survey), shown by a dry run, and kept in a file while it is
 * carried out, so that a replay that was broken off does the same when it goes on:
 *
 *   FOLDER/replay/ID.json       into live
 *   FOLDER/drill/NAME/replay.json   into a drill
 *
 * thread: the caller's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_REPLAY_PLAN_H
#define GATEWAY_CLI_REPLAY_PLAN_H

#include "gateway/cli/kafka_look.h"
#include "gateway/cli/place.h"
#include "infra/config.h"
#include "producers/replay.h"
#include "schemas/dead_letter.h"

#define REPLAY_PLAN_SCHEMA "errand.replay.plan/1"
#define REPLAY_TYPES_MAX   256
#define REPLAY_LIVE        "live"
#define REPLAY_DRILL       "drill/"

struct replay_type {
    char *name;
    int64_t count;
};

struct replay_plan {
    char id[DEAD_BATCH_SIZE];
    char *into;       /* "live", or "drill/NAME" */
    char *namespace_; /* where the jobs go */
    char *topic;
    char *queue;
    bool letters;             /* the topic is one of dead letters */
    char *from, *to;          /* places and */
    char *type, *key, *where; /* filters as they were given, "" for none */
    int64_t limit;
    struct replay_range *ranges; /* what is chosen lies in them, at both ends of each */
    size_t range_count;
    struct replay_tally tally;
    int64_t refused; /* chosen, but no job can be made of them */
    char refusal[320];
    int64_t resolved; /* letters in the ranges that would be chosen, but are resolved */
    int64_t bytes, first_ms, last_ms;
    struct replay_type types[REPLAY_TYPES_MAX];
    size_t type_count;
    struct replay_place *places; /* none before it is carried out */
    size_t place_count;
};
void replay_plan_clear(struct replay_plan *plan);

/* Whether it resolves the letters that it makes jobs of: those of live, into live. */
bool replay_plan_resolves(const struct replay_plan *plan);
/* How many jobs it makes. */
int64_t replay_plan_jobs(const struct replay_plan *plan);

/* Finds the ranges, then reads them; `plan` has topic, filters, id and destination. `minter` mints
 * what is thrown away. `on_progress` is told how many were read; false stops it. */
struct replay_survey {
    const struct kafka_look *look;
    struct place from, to;
    struct id_minter *minter;
    bool (*on_progress)(void *arg, int64_t read);
    void *arg;
};
enum err_code replay_plan_survey(struct replay_plan *plan, const struct replay_survey *survey,
                                 struct err *err) MUST_CHECK;
/* The source that the plan's replay reads; `*ret_where` is to be freed by the caller and lives as
 * long. */
enum err_code replay_plan_source(const struct replay_plan *plan, struct kafka_admin *admin,
                                 struct replay_source *ret_source, struct where **ret_where,
                                 struct err *err) MUST_CHECK;
/* Notes where the command topic of its queue ends now in the namespace it goes to. */
enum err_code replay_plan_mark(struct replay_plan *plan, struct kafka_admin *admin,
                               struct err *err) MUST_CHECK;

/* The members of the plan as JSON, without the braces. */
void replay_plan_json(const struct replay_plan *plan, struct buf *out);
enum err_code replay_plan_save(const struct replay_plan *plan, const char *path,
                               struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND when there is no such file. */
enum err_code replay_plan_load(const char *path, struct replay_plan *ret_plan,
                               struct err *err) MUST_CHECK;

#endif
