/* See gate.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/gate.h"

#include "infra/redis_args.h"
#include "schemas/envelope.h"
#include "schemas/mem.h"
#include "schemas/view.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define KEYS_EACH     3 /* gate, record, epoch */
#define ARGS_EACH     4 /* turn, record's place, epoch, expiry */
#define KEY_BYTES_MAX 400
#define EPOCH_TTL_MS  "2592000000" /* 30 days without an assignment */

static struct redis_script ask_script = {
    .source = "local out, epochs = {}, {}\n"
              "for i = 1, #KEYS / 3 do\n"
              "  local gate, record, epoch_key = KEYS[3*i-2], KEYS[3*i-1], KEYS[3*i]\n"
              "  local turn, place = tonumber(ARGV[4*i-2]), ARGV[4*i-1]\n"
              "  local epoch, expiry = tonumber(ARGV[4*i]), ARGV[4*i+1]\n"
              "  local current = epochs[epoch_key]\n"
              "  if not current then\n"
              "    current = tonumber(redis.call('GET', epoch_key) or '0')\n"
              "    if epoch > current then\n" /* an emptied Redis learns it again */
              "      redis.call('SET', epoch_key, epoch, 'PX', " EPOCH_TTL_MS ")\n"
              "      current = epoch\n"
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
              "    local verdict = 'go'\n"
              "    if claim then\n"
              "      local t, p, who = string.match(claim, '^(%d+) (%S+) (%S+) ')\n"
              "      t = tonumber(t)\n"
              "      if t and t > turn then verdict = 'superseded'\n"
              "      elseif t == turn and p ~= place then verdict = 'duplicate'\n"
              "      elseif t == turn and who == ARGV[1] then verdict = 'again'\n"
              "      elseif t == turn then verdict = 'again_other' end\n"
              "    end\n"
              "    if verdict == 'go' or verdict == 'again' or verdict == 'again_other' then\n"
              "      redis.call('SET', gate, turn .. ' ' .. place .. ' ' .. ARGV[1] .. ' ' .. "
              "epoch, 'PXAT', expiry)\n"
              "    end\n"
              "    out[i] = verdict\n"
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
    [GATE_DUPLICATE] = "duplicate",
    [GATE_SUPERSEDED] = "superseded",
    [GATE_TERMINAL] = "terminal",
    [GATE_OUTCOME] = "outcome",
    [GATE_STALE] = "stale",
    [GATE_UNKNOWN] = "unknown",
};

struct gate {
    struct redis *redis;
    const char *namespace_;
    const char *incarnation;
    size_t open;
};

/* What is needed to read the answers of one call. */
struct asked {
    struct gate *gate;
    void (*answer)(void *arg, const enum gate_verdict *verdicts, size_t count);
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

size_t gate_open(const struct gate *gate)
{
    return gate->open;
}

/* A failed or expired record: ours if it is of this very turn and record, else just terminal. */
static enum gate_verdict judge_record(const struct asked *asked, size_t i, struct span bytes)
{
    struct envelope_record *object;
    if (envelope_decode_record(bytes, &object, NULL) != ERR_OK)
        return GATE_TERMINAL;
    const struct job_record *record = &object->record;
    bool own = record->turn == asked->questions[i].turn &&
               record->command_partition == asked->questions[i].partition &&
               record->command_offset == asked->questions[i].offset;
    envelope_record_free(object);
    return own ? GATE_OUTCOME : GATE_TERMINAL;
}

static enum gate_verdict judge(const struct asked *asked, size_t i, struct span answer)
{
    for (int verdict = 0; verdict < GATE_UNKNOWN; verdict++) {
        if (span_is(answer, verdict_texts[verdict]))
            return (enum gate_verdict)verdict;
    }
    return judge_record(asked, i, answer);
}

static void on_answer(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct asked *asked = arg;
    enum gate_verdict verdicts[GATE_QUESTIONS_MAX];
    bool known = code == ERR_OK && redis_reply_count(reply) == asked->count;
    for (size_t i = 0; i < asked->count; i++)
        verdicts[i] =
            known ? judge(asked, i, redis_reply_text(redis_reply_at(reply, i))) : GATE_UNKNOWN;
    asked->gate->open--;
    asked->answer(asked->arg, verdicts, asked->count);
    free(asked);
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
    redis_args_begin(args);
    buf_add_int(&args->store, question->partition);
    buf_add_char(&args->store, ':');
    buf_add_int(&args->store, question->offset);
    redis_args_end(args);
    redis_args_int(args, question->epoch);
    /* Redis refuses an expiry of 0, and the whole call with it. */
    redis_args_int(args, question->forget_at_ms > 0 ? question->forget_at_ms : 1);
}

void gate_ask(struct gate *gate, const struct gate_question *questions, size_t count,
              void (*answer)(void *arg, const enum gate_verdict *verdicts, size_t count), void *arg)
{
    assert(count > 0 && count <= GATE_QUESTIONS_MAX);
    struct asked *asked = mem_zalloc(1, sizeof *asked + count * sizeof asked->questions[0]);
    *asked = (struct asked){ .gate = gate, .answer = answer, .arg = arg, .count = count };
    struct redis_args args = REDIS_ARGS_INIT((count + 1) * (KEYS_EACH + ARGS_EACH) * KEY_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        add_keys(&args, gate->namespace_, &questions[i]);
    redis_args_text(&args, gate->incarnation);
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
    struct buf key = BUF_INIT(KEY_BYTES_MAX);
    view_epoch_key(&key, gate->namespace_, topic, partition);
    struct span argv[] = { buf_span(&key) };
    gate->open++;
    redis_script_run(gate->redis, &raise_script, on_raised, raising, 1, 1, argv);
    buf_free(&key);
}
