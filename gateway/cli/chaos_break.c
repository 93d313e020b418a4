/* Breaking what the plan says, when it says so, and mending it. See chaos_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_redis.h"
#include "gateway/cli/api.h"
#include "gateway/cli/chaos_internal.h"
#include "infra/clock.h"
#include "infra/config.h"
#include "schemas/mem.h"
#include "schemas/process_name.h"

#include <signal.h>
#include <stdlib.h>

#define FLUSH_BYTES_MAX 64
#define NOBODY_MENDS    "the child that mends for a run that was killed is gone"
#define FAULTS_MADE_MAX 10000 /* as many as the checker takes */

struct victim {
    char name[STACK_NAME_SIZE];
    struct stack_pid id; /* as it was before */
};

/* One line of the plan, and what is broken by it now. */
struct spell {
    const struct drill_fault *fault;
    int64_t next_ms; /* after the load began; -1: never again */
    bool on;
    size_t made;      /* index of what was made */
    int64_t until_ms; /* of what lasts */
    struct victim victims[DRILL_AT_ONCE_MAX];
    size_t victim_count;
};

struct chaos_break {
    struct chaos_stack *stack;
    const struct drill_plan *plan;
    struct seeded *chance;
    struct spell *spells;
    struct chaos_fault *made;
    size_t made_count;
    struct chaos_mend *mend;
    char *rule_before; /* the simulator's words for all paths, before we came */
    bool rule_ours;
    char failure[256];
};

struct chaos_break *chaos_break_new(struct chaos_stack *stack, const struct drill_plan *plan,
                                    struct seeded *chance, const char *folder)
{
    struct chaos_break *breaking = MEM_NEW(*breaking);
    breaking->mend = chaos_mend_open(folder);
    if (!breaking->mend) {
        free(breaking);
        return NULL;
    }
    breaking->stack = stack;
    breaking->plan = plan;
    breaking->chance = chance;
    breaking->spells = mem_zalloc(plan->fault_count, sizeof *breaking->spells);
    for (size_t i = 0; i < plan->fault_count; i++) {
        breaking->spells[i].fault = &plan->faults[i];
        breaking->spells[i].next_ms = plan->faults[i].at_ms;
    }
    return breaking;
}

void chaos_break_free(struct chaos_break *breaking)
{
    if (!breaking)
        return;
    chaos_mend_close(breaking->mend);
    free(breaking->spells);
    free(breaking->made);
    free(breaking->rule_before);
    free(breaking);
}

struct chaos_fault *chaos_break_faults(struct chaos_break *breaking, size_t *ret_count)
{
    *ret_count = breaking->made_count;
    return breaking->made;
}

const char *chaos_break_failure(const struct chaos_break *breaking)
{
    return *breaking->failure ? breaking->failure : NULL;
}

static void fail(struct chaos_break *breaking, const char *what, const char *why)
{
    if (!*breaking->failure)
        (void)snprintf(breaking->failure, sizeof breaking->failure, "%.100s: %.150s", what, why);
}

/* --- processes --- */

static bool is_victim_of_another(const struct chaos_break *breaking, const char *name)
{
    for (size_t i = 0; i < breaking->plan->fault_count; i++) {
        const struct spell *spell = &breaking->spells[i];
        for (size_t j = 0; spell->on && j < spell->victim_count; j++) {
            if (strcmp(spell->victims[j].name, name) == 0)
                return true;
        }
    }
    return false;
}

/* Those that live, are ready, and are not broken already; by chance, `count` of them. */
static bool choose_victims(struct chaos_break *breaking, struct spell *spell)
{
    const struct stack_process *found[STACK_PROCESSES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < breaking->stack->state.process_count; i++) {
        const struct stack_process *process = &breaking->stack->state.processes[i];
        if (process_name_is_of(span_of(process->name), spell->fault->what) && process->ready &&
            stack_pid_is_alive(process->id) && !is_victim_of_another(breaking, process->name))
            found[count++] = process;
    }
    spell->victim_count = 0;
    while (count > 0 && spell->victim_count < (size_t)spell->fault->count) {
        size_t at = seeded_below(breaking->chance, (uint32_t)count);
        struct victim *victim = &spell->victims[spell->victim_count++];
        (void)snprintf(victim->name, sizeof victim->name, "%s", found[at]->name);
        victim->id = found[at]->id;
        found[at] = found[--count];
    }
    return spell->victim_count > 0;
}

static void name_victims(const struct spell *spell, char *ret_name, size_t size)
{
    size_t used = 0;
    *ret_name = '\0';
    for (size_t i = 0; i < spell->victim_count && used + STACK_NAME_SIZE + 1 < size; i++)
        used += (size_t)snprintf(ret_name + used, size - used, "%s%s", i ? "+" : "",
                                 spell->victims[i].name);
}

static void signal_victims(const struct spell *spell, int signal_number)
{
    for (size_t i = 0; i < spell->victim_count; i++)
        (void)stack_pid_signal(spell->victims[i].id, signal_number);
}

/* Told before, so that a run which is killed in between leaves nobody stopped. */
static bool stop_victims(struct chaos_break *breaking, const struct spell *spell)
{
    bool told = true;
    for (size_t i = 0; i < spell->victim_count; i++)
        told = chaos_mend_stops(breaking->mend, spell->victims[i].id) && told;
    if (told)
        signal_victims(spell, SIGSTOP);
    else
        fail(breaking, "nobody is stopped", NOBODY_MENDS);
    return told;
}

static void continue_victims(const struct chaos_break *breaking, const struct spell *spell)
{
    signal_victims(spell, SIGCONT);
    for (size_t i = 0; i < spell->victim_count; i++)
        chaos_mend_goes_on(breaking->mend, spell->victims[i].id);
}

static bool victims_are_gone(const struct spell *spell)
{
    for (size_t i = 0; i < spell->victim_count; i++) {
        if (stack_pid_is_alive(spell->victims[i].id))
            return false;
    }
    return true;
}

/* New ones are there in their place, and ready. */
static bool victims_are_back(struct chaos_break *breaking, const struct spell *spell)
{
    for (size_t i = 0; i < spell->victim_count; i++) {
        const struct victim *victim = &spell->victims[i];
        const struct stack_process *now = stack_state_find(&breaking->stack->state, victim->name);
        bool same =
            now && now->id.pid == victim->id.pid && now->id.start_time == victim->id.start_time;
        if (!now || same || !now->ready || !stack_pid_is_alive(now->id))
            return false;
    }
    return true;
}

/* --- the third party --- */

static bool ask_control(struct chaos_break *breaking, const char *method, const char *words,
                        struct api_answer *ret_answer)
{
    char *url = chaos_stack_url(breaking->stack, "simulator");
    bool done = url && chaos_control(url, method, words, ret_answer);
    if (!done)
        fail(breaking, "the third party cannot be told how to behave",
             url ? "the simulator does not answer" : "the stack has no simulator");
    free(url);
    return done;
}

/* What somebody else had set for all paths is put back afterwards. */
static void remember_rule(struct chaos_break *breaking)
{
    struct api_answer answer = { 0 };
    if (breaking->rule_ours || !ask_control(breaking, "GET", NULL, &answer)) {
        api_answer_clear(&answer);
        return;
    }
    const struct json *rules = json_get(answer.json, "rules");
    free(breaking->rule_before);
    breaking->rule_before = NULL;
    for (size_t i = 0; i < json_count(rules); i++) {
        const struct json *rule = json_at(rules, i);
        if (json_text(json_get(rule, "match")).size == 0)
            breaking->rule_before = mem_dup(json_text(json_get(rule, "simulate")));
    }
    api_answer_clear(&answer);
}

static bool set_rule(struct chaos_break *breaking, const char *words)
{
    struct api_answer answer = { 0 };
    bool done = ask_control(breaking, "PUT", words, &answer);
    api_answer_clear(&answer);
    return done;
}

static bool begin_third_party(struct chaos_break *breaking, const struct spell *spell)
{
    remember_rule(breaking);
    char *url = chaos_stack_url(breaking->stack, "simulator");
    bool told = url && chaos_mend_breaks(breaking->mend, url,
                                         breaking->rule_before ? breaking->rule_before : "");
    free(url);
    if (!told)
        fail(breaking, "the third party is not broken", NOBODY_MENDS);
    breaking->rule_ours = told && set_rule(breaking, drill_third_party_words(spell->fault->what));
    return breaking->rule_ours;
}

/* As long as another spell lasts it misbehaves as that one asks for. */
static void end_third_party(struct chaos_break *breaking, const struct spell *spell)
{
    const char *words = breaking->rule_before ? breaking->rule_before : "";
    bool last = true;
    for (size_t i = 0; i < breaking->plan->fault_count; i++) {
        const struct spell *other = &breaking->spells[i];
        if (other != spell && other->on && other->fault->act == DRILL_THIRD_PARTY) {
            words = drill_third_party_words(other->fault->what);
            last = false;
        }
    }
    if (breaking->rule_ours && set_rule(breaking, words) && last)
        chaos_mend_is_well(breaking->mend);
    breaking->rule_ours = breaking->rule_ours && !last;
}

/* --- Redis --- */

static bool flush(struct chaos_break *breaking)
{
    struct verify_redis *redis = NULL;
    struct err err = { 0 };
    struct redis_args args = REDIS_ARGS_INIT(FLUSH_BYTES_MAX);
    enum err_code code = verify_redis_open(&breaking->stack->config->redis, &redis, &err);
    if (code == ERR_OK) {
        redis_args_text(&args, "FLUSHALL");
        code = verify_redis_ask(redis, &args, NULL, NULL, &err);
        verify_redis_close(redis);
    }
    if (code != ERR_OK)
        fail(breaking, "Redis cannot be emptied", err.text);
    return code == ERR_OK;
}

/* --- one fault --- */

static bool strike(struct chaos_break *breaking, struct spell *spell)
{
    static const int signals[DRILL_ACT_COUNT] = {
        [DRILL_KILL] = SIGKILL, [DRILL_RESTART] = SIGTERM
    };
    const struct drill_fault *fault = spell->fault;
    if (fault->act == DRILL_THIRD_PARTY)
        return begin_third_party(breaking, spell);
    if (fault->act == DRILL_FLUSH_REDIS)
        return flush(breaking);
    if (fault->act == DRILL_STOP)
        return stop_victims(breaking, spell);
    signal_victims(spell, signals[fault->act]);
    return true;
}

static void begin(struct chaos_break *breaking, struct spell *spell, int64_t at_ms)
{
    const struct drill_fault *fault = spell->fault;
    struct chaos_fault made = { .act = fault->act, .begin_ms = clock_wall_ms() };
    bool process = fault->act != DRILL_THIRD_PARTY && fault->act != DRILL_FLUSH_REDIS;
    spell->victim_count = 0;
    if (process && !choose_victims(breaking, spell))
        return; /* none is whole now: soon */
    spell->next_ms = fault->every_ms ? at_ms + fault->every_ms : -1;
    if (breaking->made_count == FAULTS_MADE_MAX || !strike(breaking, spell))
        return;
    if (process)
        name_victims(spell, made.name, sizeof made.name);
    else
        (void)snprintf(made.name, sizeof made.name, "%s",
                       fault->act == DRILL_FLUSH_REDIS ? "redis" : fault->what);
    breaking->made = mem_resize(breaking->made, breaking->made_count + 1, sizeof *breaking->made);
    spell->made = breaking->made_count;
    breaking->made[breaking->made_count++] = made;
    spell->until_ms = at_ms + fault->hold_ms;
    spell->on = true;
}

/* Ends what lasts; `now` although its time has not come. */
static void mend(struct chaos_break *breaking, struct spell *spell, int64_t at_ms, bool now)
{
    struct chaos_fault *made = &breaking->made[spell->made];
    enum drill_act act = spell->fault->act;
    bool lasts = act == DRILL_STOP || act == DRILL_THIRD_PARTY;
    if (lasts && !now && at_ms < spell->until_ms)
        return;
    if (act == DRILL_STOP)
        continue_victims(breaking, spell);
    else if (act == DRILL_THIRD_PARTY)
        end_third_party(breaking, spell);
    if (act == DRILL_KILL || act == DRILL_RESTART) {
        if (!made->end_ms && victims_are_gone(spell))
            made->end_ms = clock_wall_ms();
        if (!made->end_ms || !victims_are_back(breaking, spell))
            return;
        made->back_ms = clock_wall_ms();
        if (act == DRILL_RESTART)
            made->end_ms = made->back_ms;
    } else {
        made->end_ms = clock_wall_ms();
    }
    spell->on = false;
}

void chaos_break_step(struct chaos_break *breaking, int64_t at_ms)
{
    chaos_stack_look(breaking->stack);
    for (size_t i = 0; i < breaking->plan->fault_count; i++) {
        struct spell *spell = &breaking->spells[i];
        if (spell->on)
            mend(breaking, spell, at_ms, false);
        else if (spell->next_ms >= 0 && at_ms >= spell->next_ms)
            begin(breaking, spell, at_ms);
    }
}

void chaos_break_undo(struct chaos_break *breaking)
{
    for (size_t i = 0; i < breaking->plan->fault_count; i++) {
        struct spell *spell = &breaking->spells[i];
        spell->next_ms = -1;
        if (spell->on)
            mend(breaking, spell, 0, true);
    }
}

bool chaos_break_is_whole(struct chaos_break *breaking)
{
    bool whole = true;
    chaos_break_undo(breaking);
    chaos_stack_look(breaking->stack);
    for (size_t i = 0; i < breaking->plan->fault_count; i++)
        whole = whole && !breaking->spells[i].on;
    for (size_t i = 0; i < breaking->stack->state.process_count; i++)
        whole = whole && breaking->stack->state.processes[i].ready;
    return whole;
}
