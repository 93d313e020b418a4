/* See job.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/job.h"

#define BIT(state) (1U << JOB_##state)
#define TERMINAL   (BIT(SUCCEEDED) | BIT(FAILED) | BIT(CANCELLED) | BIT(EXPIRED))
#define UNDER_WAY  (BIT(RUNNING) | BIT(RETRYING) | BIT(HELD) | TERMINAL)

static const struct {
    const char *text;
    char letter;
    unsigned moves; /* set of states that may follow */
} states[JOB_STATE_COUNT] = {
    [JOB_QUEUED] = { "queued", 'q', BIT(QUEUED) | UNDER_WAY },
    [JOB_SCHEDULED] = { "scheduled", 's', BIT(SCHEDULED) | BIT(QUEUED) | UNDER_WAY },
    [JOB_RUNNING] = { "running", 'r', UNDER_WAY },
    [JOB_RETRYING] = { "retrying", 't', UNDER_WAY },
    [JOB_HELD] = { "held", 'h', UNDER_WAY },
    [JOB_SUCCEEDED] = { "succeeded", 'S', 0 },
    [JOB_FAILED] = { "failed", 'F', 0 },
    [JOB_CANCELLED] = { "cancelled", 'C', 0 },
    [JOB_EXPIRED] = { "expired", 'X', 0 },
};

static const struct {
    const char *text;
    enum job_state state;
} events[JOB_EVENT_END] = {
    [0] = { "unspecified", JOB_QUEUED },
    [JOB_EVENT_STARTED] = { "started", JOB_RUNNING },
    [JOB_EVENT_PROGRESS] = { "progress", JOB_RUNNING },
    [JOB_EVENT_RETRYING] = { "retrying", JOB_RETRYING },
    [JOB_EVENT_HELD] = { "held", JOB_HELD },
    [JOB_EVENT_SUCCEEDED] = { "succeeded", JOB_SUCCEEDED },
    [JOB_EVENT_FAILED] = { "failed", JOB_FAILED },
    [JOB_EVENT_CANCELLED] = { "cancelled", JOB_CANCELLED },
    [JOB_EVENT_EXPIRED] = { "expired", JOB_EXPIRED },
};

const char *job_state_text(enum job_state state)
{
    return states[state].text;
}

bool job_state_parse(struct span text, enum job_state *ret_state)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        if (span_is(text, states[i].text)) {
            *ret_state = (enum job_state)i;
            return true;
        }
    }
    return false;
}

bool job_state_is_terminal(enum job_state state)
{
    return (1U << state) & TERMINAL;
}

bool job_state_may_move(enum job_state from, enum job_state to)
{
    return states[from].moves & (1U << to);
}

char job_state_letter(enum job_state state)
{
    return states[state].letter;
}

bool job_state_of_letter(char letter, enum job_state *ret_state)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        if (states[i].letter == letter) {
            *ret_state = (enum job_state)i;
            return true;
        }
    }
    return false;
}

const char *job_event_text(enum job_event_kind kind)
{
    return events[kind].text;
}

enum job_state job_event_state(enum job_event_kind kind)
{
    return events[kind].state;
}

const char *job_resolution_text(enum job_resolution_kind kind)
{
    return kind == JOB_REDRIVEN ? "redriven" : "purged";
}
