/* A job: its facts, its states and their legal moves, and the plain forms of what travels (command,
 * event) and of what the view keeps (record). Plain data: spans borrow from whoever made the
 * struct.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_JOB_H
#define SCHEMAS_JOB_H

#include "schemas/err.h"
#include "schemas/id.h"

#include <stdint.h>

enum job_state {
    JOB_QUEUED,
    JOB_SCHEDULED,
    JOB_RUNNING,
    JOB_RETRYING,
    JOB_HELD,
    JOB_SUCCEEDED,
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_EXPIRED,
    JOB_STATE_COUNT
};

/* "queued", ... */
const char *job_state_text(enum job_state state);
bool job_state_parse(struct span text, enum job_state *ret_state);
bool job_state_is_terminal(enum job_state state);
/* The one table of legal moves. A terminal state has none; a live state may be told again. */
bool job_state_may_move(enum job_state from, enum job_state to);
/* One letter for the view's Lua scripts: upper case is terminal. */
char job_state_letter(enum job_state state);
/* The reverse; false, and *ret_state as it was, when it is no state's. */
bool job_state_of_letter(char letter, enum job_state *ret_state);

#define JOB_LABELS_MAX  64
#define JOB_TIME_MS_MAX INT64_C(253402300799999) /* the last moment of the year 9999 */

struct job_label {
    struct span name;
    struct span value;
    const void *unknown; /* fields of a newer version, carried on; the codec's; here and below */
};

/* Where a redriven job comes from; see Redrive in envelope.proto. */
struct job_redrive {
    uint32_t number; /* 0: it was submitted, not redriven */
    struct id of;
    struct span batch, edit;
    const void *unknown;
};

/* See Facts in envelope.proto. */
struct job_facts {
    struct id id;
    struct id effect_id;
    struct span tenant, type, queue, key;
    const struct job_label *labels;
    size_t label_count;
    int64_t created_at_ms, run_at_ms, not_after_ms, forget_at_ms, deadline_ms;
    struct span fingerprint; /* JOB_FINGERPRINT_SIZE bytes */
    struct span traceparent, tracestate, request_id;
    int32_t origin_partition;
    int64_t origin_offset; /* -1: this very record is the first command */
    struct job_redrive redrive;
    const void *unknown;
};
#define JOB_FINGERPRINT_SIZE 16
/* What a cancelled job says when not all can be taken back. */
#define JOB_CANCELLED_BEGUN                                                                        \
    "an attempt had begun when the job was cancelled; the third party may have acted"

struct job_command {
    struct job_facts facts;
    uint32_t turn, attempt;
    uint32_t holds; /* in a row, since the last attempt began */
    bool again;     /* it may lie on its topic twice: a predecessor may have put it there */
    int64_t due_at_ms;
    struct span payload;
    const void *unknown;
};

/* In the order of a turn; the values are the wire's. */
enum job_event_kind {
    JOB_EVENT_STARTED = 1,
    JOB_EVENT_PROGRESS,
    JOB_EVENT_RETRYING,
    JOB_EVENT_HELD,
    JOB_EVENT_SUCCEEDED,
    JOB_EVENT_FAILED,
    JOB_EVENT_CANCELLED,
    JOB_EVENT_EXPIRED,
    JOB_EVENT_END
};
/* "started", ...: also the last part of the record's CloudEvents type. */
const char *job_event_text(enum job_event_kind kind);
enum job_state job_event_state(enum job_event_kind kind);

enum job_result_kind { JOB_RESULT_JSON, JOB_RESULT_TEXT };

struct job_failure {
    struct span code; /* empty: no failure */
    struct span class_;
    struct span detail;
    uint32_t attempt;
    uint32_t status;
    const void *unknown;
};

struct job_event {
    struct job_facts facts;
    enum job_event_kind kind;
    uint32_t turn, attempt;
    bool handed_on; /* the next turn is in the log */
    int64_t at_ms, started_at_ms, next_at_ms;
    struct span result; /* data NULL: none */
    struct job_failure failure;
    struct span worker;
    enum job_result_kind result_kind;
    int32_t command_partition;
    int64_t command_offset; /* -1 unknown */
    const void *unknown;
};

/* What became of a dead letter; the values are the wire's. */
enum job_resolution_kind { JOB_REDRIVEN = 1, JOB_PURGED };
/* "redriven", "purged" */
const char *job_resolution_text(enum job_resolution_kind kind);

struct job_resolution {
    int64_t letter_offset;
    enum job_resolution_kind kind;
    bool has_id; /* the letter tells whose it is */
    struct id id;
    struct id job; /* of JOB_REDRIVEN */
    struct span batch, who, why, edit;
    int64_t at_ms;
};

struct job_record {
    struct job_facts facts;
    enum job_state state;
    uint32_t turn, attempt, phase;
    int64_t version; /* offset of the last event folded; -1: none, only its command has been seen */
    int64_t started_at_ms, finished_at_ms, next_at_ms;
    struct span result;
    enum job_result_kind result_kind;
    struct job_failure failure;
    int32_t command_partition;
    int64_t command_offset;
    const void *unknown;
};

#endif
