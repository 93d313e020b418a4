/* Synthetic histories for the checker: a world of jobs of every kind, each whole and true (what
 * clients were told, the log, the ledger), kept as lists that a test may falsify before the judge
 * gets them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_VERIFY_WORLD_H
#define TESTS_VERIFY_WORLD_H

#include "consumers/verify/verify_judge.h"

#define WORLD_LINES_MAX   4096
#define WORLD_RECORDS_MAX 2048

enum world_kind {
    WORLD_RULE,      /* succeeds without a call */
    WORLD_CALL,      /* succeeds with one; read queued, then succeeded, twice */
    WORLD_LONG,      /* was told as running */
    WORLD_RETRY,     /* fails once, then succeeds */
    WORLD_FAILED,    /* with its dead letter */
    WORLD_EXPIRED,   /* the same */
    WORLD_SCHEDULED, /* waits in a delay topic */
    WORLD_HELD,      /* called twice in its first attempt, held in between */
    WORLD_ORDERED,   /* one of a key, after the one before */
    WORLD_POSTPONED, /* the same, tried again where it is */
    WORLD_CANCELLED,
    WORLD_SILENT,    /* no answer came to its submission; found by its request id */
    WORLD_REFUSED,   /* told "not accepted", and not in the log */
    WORLD_REPLAYED,  /* submitted twice with one key */
    WORLD_FORGOTTEN, /* 410 after its time */
    WORLD_CRASHED,   /* called again after a fault; a second end that nobody was told */
    WORLD_KIND_COUNT
};

struct world_line {
    struct history_line line;
    char request[32];
    int job;
    bool dropped;
};
struct world_command {
    struct verify_told_command told;
    struct job_command command;
    char request[32];
    int job;
    bool dropped;
};
struct world_event {
    struct verify_place place;
    struct job_event event;
    int job;
    bool dropped;
};
struct world_dead {
    struct id id;
    int job;
    bool dropped;
};
struct world_call {
    struct verify_call call;
    int job;
    bool dropped;
};

struct world {
    struct world_line lines[WORLD_LINES_MAX];
    size_t line_count;
    struct world_command commands[WORLD_RECORDS_MAX];
    size_t command_count;
    struct world_event events[WORLD_RECORDS_MAX];
    size_t event_count;
    struct world_dead dead[WORLD_RECORDS_MAX];
    size_t dead_count;
    struct world_call calls[WORLD_RECORDS_MAX];
    size_t call_count;
    enum world_kind kinds[WORLD_RECORDS_MAX];
    int job_count;
    int64_t now_ms;
    int64_t ordered_end_ms;
    bool partial;
};

struct world *world_new(void);
/* Adds a job of the kind, at the world's time; returns its number. */
int world_add(struct world *world, enum world_kind kind);
struct id world_id(int job);
/* A line of a read; to be changed by the caller. */
struct world_line *world_add_read(struct world *world, int job, int64_t at_ms, enum job_state state,
                                  int64_t version);
/* The last event, command or call of the job; NULL when it has none. */
struct world_event *world_last_event(struct world *world, int job);
struct world_command *world_last_command(struct world *world, int job);
struct world_call *world_last_call(struct world *world, int job);
/* Its last call once more, 3 ms later. */
void world_call_again(struct world *world, int job);
/* Sorts the history by time and gives all that was not dropped to a judge. Free the judge. */
struct verify_judge *world_judge(struct world *world);

#endif
