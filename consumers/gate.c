/* See gate.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/gate_internal.h"
#include "schemas/envelope.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_EACH    3            /* gate, record, epoch */
#define ARGS_EACH    4            /* turn, record's place, epoch, expiry */
#define EPOCH_TTL_MS "2592000000" /* 30 days without an assignment */

static struct redis_script ask_script = {
    .source = GATE_LUA_PARSE
    "local out, epochs, emptied, lives = {}, {}, {}, {}\n"
    "local function known(who)\n" /* it beats, or it said that it left */
    "  if lives[who] == nil then\n"
    "    lives[who] = redis.call('EXISTS', ARGV[2] .. who) == 1\n"
    "  end\n"
    "  return lives[who]\n"
    "end\n"
    "local function judge(turn, place, claim)\n"
    "  local mark, t, p, who, _, attempt, due, released, suspect, unbegun = parse(claim)\n"
    "  t = tonumber(t)\n"
    "  if t and t > turn then return 'superseded' end\n"
    "  if t == turn and p ~= place then return 'duplicate' end\n"
    "  if t == turn and released == 'r' then return 'superseded' end\n"
    "  if mark == 'x' then\n"
    "    return t and unbegun ~= 'n' and 'cancelled begun' or 'cancelled'\n"
    "  end\n"
    "  local tail = unbegun == 'n' and ' n' or ''\n"
    "  if t ~= turn then return tail == '' and 'go' or 'go 0 0 n' end\n"
    "  local verdict, kept = 'suspect', ' ' .. attempt .. ' ' .. due\n"
    "  if suspect ~= 's' then\n"
    "    verdict = who == ARGV[1] and 'again' or known(who) and 'again_other' or 'suspect'\n"
    "  end\n"
    "  return verdict .. kept .. tail, kept .. (verdict == 'suspect' and ' s' or '')\n"
    "end\n"
    "for i = 1, #KEYS / 3 do\n"
    "  local gate, record, epoch_key = KEYS[3*i-2], KEYS[3*i-1], KEYS[3*i]\n"
    "  local turn, place = tonumber(ARGV[4*i-1]), ARGV[4*i]\n"
    "  local epoch, expiry = tonumber(ARGV[4*i+1]), ARGV[4*i+2]\n"
    "  local current = epochs[epoch_key]\n"
    "  if not current then\n"
    "    current = tonumber(redis.call('GET', epoch_key) or '0')\n"
    "    if epoch > current then\n" /* an emptied Redis learns it again */
    "      redis.call('SET', epoch_key, epoch, 'PX', " EPOCH_TTL_MS ")\n"
    "      current = epoch\n"
    "      emptied[epoch_key] = true\n"
    "    end\n"
    "    epochs[epoch_key] = current\n"
    "  end\n"
    "  local letter = redis.call('GETRANGE', record, 0, 0)\n"
    "  local claim = redis.call('GET', gate)\n"
    "  if epoch < current then\n"
    "    out[i] = 'stale'\n"
    "  elseif letter == 'F' or letter == 'X' then\n"
    "    out[i] = redis.call('GET', record)\n"
    "  elseif letter ~= '' and letter == string.upper(letter) then\n"
    "    out[i] = 'terminal'\n"
    "  else\n"
    "    local verdict, kept = 'go', nil\n"
    "    if claim then verdict, kept = judge(turn, place, claim) end\n"
    "    if kept or string.sub(verdict, 1, 2) == 'go' then\n"
    "      redis.call('SET', gate, turn .. ' ' .. place .. ' ' .. ARGV[1] .. ' ' .. epoch\n"
    "        .. (kept or ''), 'PXAT', expiry)\n"
    "    end\n"
    "    out[i] = verdict == 'go' and emptied[epoch_key] and 'go 0 0 e' or verdict\n"
    "  end\n"
    "end\n"
    "return out\n",
};

static struct redis_script raise_script = {
    .source = "local epoch = redis.call('INCR', KEYS[1])\n"
              "redis.call('PEXPIRE', KEYS[1], " EPOCH_TTL_MS ")\n"
              "return epoch\n",
};

static const char *const verdict_texts[GATE_VERDICT_COUNT] = {
    [GATE_GO] = "go",
    [GATE_AGAIN] = "again",
    [GATE_AGAIN_OTHER] = "again_other",
    [GATE_SUSPECT] = "suspect",
    [GATE_CANCELLED] = "cancelled",
    [GATE_DUPLICATE] = "duplicate",
    [GATE_SUPERSEDED] = "superseded",
    [GATE_TERMINAL] = "terminal",
    [GATE_OUTCOME] = "outcome",
    [GATE_STALE] = "stale",
    [GATE_UNKNOWN] = "unknown",
};

/* What is needed to read the answers of one call. */
struct asked {
    struct gate *gate;
    gate_answer_fn answer;
    void *arg;
    size_t count;
    struct {
        uint32_t turn;
        int32_t partition;
        int64_t offset;
    } questions[];
};

const char *gate_verdict_text(enum gate_verdict verdict)
{
    return verdict_texts[verdict];
}

struct gate *gate_new(struct redis *redis, const char *namespace_, const char *incarnation)
{
    struct gate *gate = MEM_NEW(*gate);
    *gate = (struct gate){ .redis = redis, .namespace_ = namespace_, .incarnation = incarnation };
    return gate;
}

void gate_free(struct gate *gate)
{
    assert(!gate || gate->open == 0);
    free(gate);
}

/* The record of a job that was given up on: ours, whose dead letter may be missing, or another
 * turn's. */
static void tell_record(const struct asked *asked, size_t i, struct span bytes)
{
    struct gate_answer answer = { .verdict = GATE_TERMINAL };
    struct envelope_record *object = NULL;
    if (envelope_decode_record(bytes, &object, NULL) == ERR_OK) {
        const struct job_record *record = &object->record;
        if (record->turn == asked->questions[i].turn &&
            record->command_partition == asked->questions[i].partition &&
            record->command_offset == asked->questions[i].offset) {
            answer.verdict = GATE_OUTCOME;
            answer.failure = &record->failure;
        }
    }
    asked->answer(asked->arg, i, &answer);
    envelope_record_free(object);
}

/* "<verdict> begun", or "<verdict> <attempt> <due> n" (or e), the rest of it optional; false when
 * it is no verdict. */
static bool read_verdict(struct span text, struct gate_answer *ret_answer)
{
    char words[64];
    if (text.size >= sizeof words)
        return false;
    memcpy(words, text.data, text.size);
    words[text.size] = '\0';
    char *rest = strchr(words, ' ');
    if (rest)
        *rest++ = '\0';
    for (int verdict = 0; verdict < GATE_UNKNOWN; verdict++) {
        if (strcmp(words, verdict_texts[verdict]) != 0)
            continue;
        *ret_answer = (struct gate_answer){ .verdict = (enum gate_verdict)verdict };
        if (rest && verdict == GATE_CANCELLED) {
            ret_answer->begun = true;
        } else if (rest) {
            ret_answer->attempt = (uint32_t)strtoul(rest, &rest, 10);
            ret_answer->due_at_ms = strtoll(rest, &rest, 10);
            ret_answer->unbegun = strcmp(rest, " n") == 0;
            ret_answer->emptied = strcmp(rest, " e") == 0 && !MUTANT(emptied_unnoticed);
        }
        return true;
    }
    return false;
}

static void tell(const struct asked *asked, size_t i, struct span text)
{
    struct gate_answer answer;
    if (read_verdict(text, &answer))
        asked->answer(asked->arg, i, &answer);
    else
        tell_record(asked, i, text);
}

static void on_answer(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct asked *asked = arg;
    bool known = code == ERR_OK && redis_reply_count(reply) == asked->count;
    asked->gate->open--;
    for (size_t i = 0; i < asked->count; i++) {
        if (known)
            tell(asked, i, redis_reply_text(redis_reply_at(reply, i)));
        else
            asked->answer(asked->arg, i, &(struct gate_answer){ .verdict = GATE_UNKNOWN });
    }
    free(asked);
}

void gate_add_place(struct redis_args *args, const struct gate_question *question)
{
    redis_args_begin(args);
    buf_add_int(&args->store, question->partition);
    buf_add_char(&args->store, ':');
    buf_add_int(&args->store, question->offset);
    redis_args_end(args);
}

static void add_keys(struct redis_args *args, const char *namespace_,
                     const struct gate_question *question)
{
    redis_args_begin(args);
    view_key(&args->store, namespace_, VIEW_GATE, question->id);
    redis_args_end(args);
    redis_args_begin(args);
    view_key(&args->store, namespace_, VIEW_RECORD, question->id);
    redis_args_end(args);
    redis_args_begin(args);
    view_epoch_key(&args->store, namespace_, question->topic, question->partition);
    redis_args_end(args);
}

static void add_question(struct redis_args *args, const struct gate_question *question)
{
    redis_args_int(args, question->turn);
    gate_add_place(args, question);
    redis_args_int(args, question->epoch);
    /* Redis refuses an expiry of 0, and the whole call with it. */
    redis_args_int(args, question->forget_at_ms > 0 ? question->forget_at_ms : 1);
}

void gate_ask(struct gate *gate, const struct gate_question *questions, size_t count,
              gate_answer_fn answer, void *arg)
{
    assert(count > 0 && count <= GATE_QUESTIONS_MAX);
    struct asked *asked = mem_zalloc(1, sizeof *asked + count * sizeof asked->questions[0]);
    *asked = (struct asked){ .gate = gate, .answer = answer, .arg = arg, .count = count };
    struct redis_args args =
        REDIS_ARGS_INIT((count + 1) * (KEYS_EACH + ARGS_EACH) * GATE_KEY_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        add_keys(&args, gate->namespace_, &questions[i]);
    redis_args_text(&args, gate->incarnation);
    redis_args_begin(&args);
    view_incarnation_key(&args.store, gate->namespace_, "");
    redis_args_end(&args);
    for (size_t i = 0; i < count; i++) {
        add_question(&args, &questions[i]);
        asked->questions[i].turn = questions[i].turn;
        asked->questions[i].partition = questions[i].partition;
        asked->questions[i].offset = questions[i].offset;
    }
    gate->open++;
    redis_script_run(gate->redis, &ask_script, on_answer, asked, count * KEYS_EACH, args.count,
                     redis_args_list(&args));
    redis_args_free(&args);
}

struct raising {
    struct gate *gate;
    void (*done)(void *arg, int64_t epoch);
    void *arg;
};

static void on_raised(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct raising *raising = arg;
    raising->gate->open--;
    raising->done(raising->arg, code == ERR_OK ? redis_reply_integer(reply) : -1);
    free(raising);
}

void gate_raise_epoch(struct gate *gate, const char *topic, int32_t partition,
                      void (*done)(void *arg, int64_t epoch), void *arg)
{
    struct raising *raising = MEM_NEW(*raising);
    *raising = (struct raising){ .gate = gate, .done = done, .arg = arg };
    struct buf key = BUF_INIT(GATE_KEY_BYTES_MAX);
    view_epoch_key(&key, gate->namespace_, topic, partition);
    struct span argv[] = { buf_span(&key) };
    gate->open++;
    redis_script_run(gate->redis, &raise_script, on_raised, raising, 1, 1, argv);
    buf_free(&key);
}
