/* The table of commands.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/command.h"
#include "gateway/cli/completion.h"
#include "gateway/cli/help.h"
#include "gateway/cli/manual.h"
#include "gateway/cli/verbs.h"

/* clang-format off */
#define OPT_END    { 0 }
#define OPT_DIR    { "dir", 0, OPTION_TEXT, "DIR", "the stack's folder (else $ERRAND_DIR, else ./.errand)" }
#define OPT_URL    { "url", 0, OPTION_TEXT, "URL", "the gateway's address, instead of a stack's (else $ERRAND_URL)" }
#define OPT_CONFIG { "config", 0, OPTION_TEXT, "FILE", "a configuration, instead of a stack's" }
#define OPT_OUTPUT { "output", 'o', OPTION_CHOICE, "table|json", "how to print (default table)" }

static const struct option_spec no_options[] = { OPT_END };
static const struct option_spec output_options[] = { OPT_OUTPUT, OPT_END };
static const struct option_spec dir_output_options[] = { OPT_DIR, OPT_OUTPUT, OPT_END };
static const struct option_spec topics_ls_options[] = { OPT_CONFIG, OPT_DIR, OPT_OUTPUT, OPT_END };
#define OPT_WHO    { "who", 0, OPTION_TEXT, "NAME", "who does it, for the audit (default user@host)" }
#define OPT_WHY    { "why", 0, OPTION_TEXT, "TEXT", "why, for the audit" }
static const struct option_spec topics_apply_options[] = { OPT_WHO, OPT_WHY, OPT_CONFIG, OPT_DIR, OPT_OUTPUT, OPT_END };
static const struct option_spec client_options[] = { OPT_OUTPUT, OPT_DIR, OPT_URL, OPT_END };

static const struct option_spec up_options[] = {
    { "broker", 0, OPTION_TEXT, "KIND", "embedded, apache, apache:3, or HOST:PORT,... of yours (default embedded)" },
    { "redis", 0, OPTION_TEXT, "URL", "a Redis of yours: redis://[:PASSWORD@]HOST:PORT[,HOST:PORT]" },
    { "workers", 0, OPTION_COUNT, "N", "worker processes (default 1)" },
    { "config", 0, OPTION_TEXT, "FILE", "the configuration; it is copied into the folder" },
    { "no-restart", 0, OPTION_FLAG, NULL, "leave a process that died as it is" },
    OPT_DIR, OPT_OUTPUT, OPT_END,
};
static const struct option_spec logs_options[] = {
    { "follow", 'f', OPTION_FLAG, NULL, "go on with what is written from now on" },
    { "job", 0, OPTION_TEXT, "ID", "only lines about this job" },
    { "level", 0, OPTION_CHOICE, "debug|info|warn|error", "only lines of this level and above" },
    { "lines", 'n', OPTION_COUNT, "N", "the last N lines (default 200)" },
    OPT_DIR, OPT_OUTPUT, OPT_END,
};
static const struct option_spec submit_options[] = {
    { "data", 'd', OPTION_TEXT, "JSON|@FILE|-", "the payload (default {})" },
    { "wait", 'w', OPTION_OPTIONAL_DURATION, "30s", "wait until it is finished" },
    { "idempotency-key", 'k', OPTION_TEXT, "KEY", "the same key is the same job (default: a random one)" },
    { "key", 0, OPTION_TEXT, "KEY", "the ordering key, for types of ordered queues: one job of a key at a time" },
    { "label", 'l', OPTION_LIST, "NAME=VALUE", "a label; as often as you like" },
    OPT_OUTPUT, OPT_DIR, OPT_URL, OPT_END,
};
static const struct option_spec get_options[] = {
    { "payload", 0, OPTION_FLAG, NULL, "print what was submitted, as it was submitted" },
    OPT_CONFIG, OPT_OUTPUT, OPT_DIR, OPT_URL, OPT_END,
};
static const struct option_spec wait_options[] = {
    { "timeout", 't', OPTION_DURATION, "TIME", "how long to wait, for all of them (default 5m)" },
    OPT_OUTPUT, OPT_DIR, OPT_URL, OPT_END,
};
static const struct option_spec cancel_options[] = {
    { "wait", 'w', OPTION_OPTIONAL_DURATION, "30s", "wait until it is decided (else some 2 s)" },
    OPT_OUTPUT, OPT_DIR, OPT_URL, OPT_END,
};
static const struct option_spec list_options[] = {
    { "state", 's', OPTION_LIST, "STATE", "of these states: failed, or failed,expired" },
    { "type", 't', OPTION_TEXT, "TYPE", "of this type" },
    { "label", 'l', OPTION_LIST, "NAME[=VALUE]", "with this label; of several, all" },
    { "since", 0, OPTION_TEXT, "TIME", "created since then: 1h (ago), or 2026-11-24T01:02:03Z" },
    { "limit", 'n', OPTION_COUNT, "N", "at most so many (default 50)" },
    { "cursor", 0, OPTION_TEXT, "CURSOR", "go on behind the last page" },
    OPT_OUTPUT, OPT_DIR, OPT_URL, OPT_END,
};
#define OPTS_DEAD_FILTER \
    { "queue", 0, OPTION_TEXT, "QUEUE", "only letters of this queue" }, \
    { "type", 0, OPTION_TEXT, "TYPE", "only jobs of this type" }, \
    { "reason", 0, OPTION_TEXT, "CODE", "only this reason, such as target_rejected" }, \
    { "fingerprint", 0, OPTION_TEXT, "HEX", "only this failure, as `errand dead ls` shows it" }
static const struct option_spec dead_ls_options[] = {
    OPTS_DEAD_FILTER,
    { "resolved", 0, OPTION_FLAG, NULL, "those that were redriven or purged, instead of the open ones" },
    { "limit", 'n', OPTION_COUNT, "N", "so many letters (default 20, at most 1000)" },
    { "cursor", 0, OPTION_TEXT, "LETTER", "begin behind this letter" },
    OPT_OUTPUT, OPT_DIR, OPT_URL, OPT_END,
};
static const struct option_spec dead_export_options[] = {
    OPTS_DEAD_FILTER,
    { "resolved", 0, OPTION_FLAG, NULL, "those that were redriven or purged, instead of the open ones" },
    OPT_DIR, OPT_URL, OPT_END,
};
#define OPTS_DEAD_CHANGE \
    { "all", 0, OPTION_FLAG, NULL, "every open letter" }, \
    { "execute", 0, OPTION_FLAG, NULL, "do it; otherwise only tell what would be done" }, \
    OPT_WHY, OPT_WHO, \
    { "rate", 'r', OPTION_RATE, "N/s", "so many letters a second (default as fast as it goes)" }, \
    { "batch", 0, OPTION_TEXT, "BATCH", "go on with a batch that was broken off" }
static const struct option_spec dead_redrive_options[] = {
    OPTS_DEAD_FILTER, OPTS_DEAD_CHANGE,
    { "max-redrives", 0, OPTION_COUNT, "N", "leave alone what has been redriven so often (default 3)" },
    { "max-failed", 0, OPTION_COUNT, "PERCENT", "stop when more of the new jobs fail again (default 50)" },
    { "ahead", 0, OPTION_COUNT, "N", "so many new jobs may be undecided (default 100, at most 500)" },
    { "settle", 0, OPTION_DURATION, "TIME", "wait so long for what becomes of the last new jobs (default 10s)" },
    { "edit", 0, OPTION_TEXT, "JSON|@FILE|-", "a JSON merge patch for each payload" },
    OPT_OUTPUT, OPT_DIR, OPT_URL, OPT_END,
};
static const struct option_spec dead_purge_options[] = {
    OPTS_DEAD_FILTER, OPTS_DEAD_CHANGE, OPT_OUTPUT, OPT_DIR, OPT_URL, OPT_END,
};
static const struct option_spec audit_options[] = {
    { "action", 0, OPTION_TEXT, "ACTION", "only this, such as dead.redrive" },
    { "id", 0, OPTION_TEXT, "ID", "only the action, or the batch, of this id" },
    { "lines", 'n', OPTION_COUNT, "N", "the newest N records (default 200)" },
    OPT_CONFIG, OPT_OUTPUT, OPT_DIR, OPT_END,
};
static const struct option_spec load_options[] = {
    { "rate", 'r', OPTION_RATE, "N/s", "submit by this schedule, whatever the answers (default 100/s)" },
    { "connections", 'c', OPTION_COUNT, "N", "instead: N connections, each waiting for its answer" },
    { "duration", 0, OPTION_DURATION, "TIME", "how long (default 10s)" },
    { "count", 'n', OPTION_COUNT, "N", "how many instead" },
    { "data", 'd', OPTION_TEXT, "JSON|@FILE|-", "the payload; {{n}} is the number of the job" },
    { "key", 0, OPTION_TEXT, "KEY", "the ordering key, for types of ordered queues; {{n}} is the number of the job" },
    { "delay", 0, OPTION_DURATION, "TIME", "each becomes due so much later" },
    { "mode", 0, OPTION_CHOICE, "submit|e2e", "measure until accepted, or until finished (default submit)" },
    { "careful", 0, OPTION_FLAG, NULL, "with an idempotency key, and sent once more where a connection is closed under it" },
    { "ids", 0, OPTION_TEXT, "FILE", "write each accepted id and its key, as JSON lines" },
    { "history", 0, OPTION_TEXT, "FILE", "write what was done and told, for the checker (docs/VERIFY.md)" },
    OPT_OUTPUT, OPT_DIR, OPT_URL, OPT_END,
};
static const struct option_spec lag_options[] = {
    { "group", 'g', OPTION_LIST, "GROUP", "this group of the cluster (default: those of the queues)" },
    { "topic", 't', OPTION_TEXT, "TOPIC", "only this topic" },
    { "by", 0, OPTION_CHOICE, "group|topic|partition", "one line for each (default topic)" },
    { "over", 0, OPTION_DURATION, "TIME", "measure rates over so long (default 1s; 0s: no rates)" },
    { "watch", 'w', OPTION_OPTIONAL_DURATION, "2s", "look again and again" },
    { "looks", 'n', OPTION_COUNT, "N", "with --watch: end after so many" },
    { "check", 0, OPTION_FLAG, NULL, "one line and an exit code for monitors: 0 ok, 1 warning, 2 critical, 3 unknown" },
    { "warn", 0, OPTION_DURATION, "TIME", "with --check: behind by so much is a warning (default 30s)" },
    { "crit", 0, OPTION_DURATION, "TIME", "with --check: behind by so much is critical (default 5m)" },
    { "url", 0, OPTION_TEXT, "URL", "ask this gateway instead of Kafka; rates are those between its looks" },
    OPT_CONFIG, OPT_OUTPUT, OPT_DIR, OPT_END,
};
static const struct option_spec groups_options[] = { OPT_CONFIG, OPT_OUTPUT, OPT_DIR, OPT_END };
static const struct option_spec groups_seek_options[] = {
    { "to", 0, OPTION_TEXT, "PLACE", "start, end, an offset, +N or -N from where it is, @TIME" },
    { "topic", 't', OPTION_TEXT, "TOPIC", "every partition of this topic (default: where it has committed)" },
    { "execute", 0, OPTION_FLAG, NULL, "do it; without this nothing is changed" },
    OPT_WHY, OPT_WHO, OPT_CONFIG, OPT_OUTPUT, OPT_DIR, OPT_END,
};
static const struct option_spec topics_tail_options[] = {
    { "follow", 'f', OPTION_FLAG, NULL, "go on with what comes from now on" },
    { "from", 0, OPTION_TEXT, "PLACE", "start, end, an offset, +N from the start, -N from the end, @TIME (default -10)" },
    { "lines", 'n', OPTION_COUNT, "N", "end after so many records" },
    OPT_CONFIG, OPT_OUTPUT, OPT_DIR, OPT_END,
};
static const struct option_spec verdict_options[] = {
    { "history", 0, OPTION_TEXT, "FILE", "what clients did and were told" },
    { "ledger", 0, OPTION_TEXT, "FILE|URL", "the third party's ledger: a file of its pages, or the simulator's address" },
    { "since", 0, OPTION_TEXT, "FILE", "begin where --mark was" },
    { "mark", 0, OPTION_FLAG, NULL, "instead: print where the topics end now, for --since" },
    { "view", 0, OPTION_FLAG, NULL, "compare the records of ended jobs in Redis, byte for byte" },
    { "told", 0, OPTION_FLAG, NULL, "judge only jobs that the history tells of: others submit here too" },
    { "grace", 0, OPTION_DURATION, "TIME", "how long after a fault it may still repeat calls (default 15s)" },
    OPT_CONFIG, OPT_OUTPUT, OPT_DIR, OPT_END,
};
static const struct option_spec manual_options[] = {
    { "into", 0, OPTION_TEXT, "DIR", "write every page into this folder" },
    OPT_END,
};
static const struct option_spec verify_options[] = {
    { "from", 0, OPTION_TEXT, "TIME", "jobs accepted from then on: RFC 3339, or how long ago (1h)" },
    { "to", 0, OPTION_TEXT, "TIME", "jobs accepted before then" },
    { "no-view", 0, OPTION_FLAG, NULL, "Kafka alone: do not compare the records in Redis" },
    OPT_CONFIG, OPT_OUTPUT, OPT_DIR, OPT_END,
};
static const struct option_spec replay_options[] = {
    { "from", 0, OPTION_TEXT, "PLACE", "start, end, an offset, +N from the start, -N from the end, @TIME, PARTITION:OFFSET,... (default start)" },
    { "to", 0, OPTION_TEXT, "PLACE", "before this place; +N from where it begins (default end)" },
    { "type", 't', OPTION_TEXT, "TYPE", "only jobs of this type" },
    { "key", 0, OPTION_TEXT, "KEY", "only this ordering key, or record key" },
    { "where", 0, OPTION_TEXT, "EXPR", "only jobs such as: /city = Lisbon and label.team != blue" },
    { "limit", 'n', OPTION_COUNT, "N", "the first N that fit" },
    { "rate", 'r', OPTION_RATE, "N/s", "so many a second (default as fast as it goes)" },
    { "speed", 0, OPTION_TEXT, "2x", "in the rhythm of their times, twice as fast" },
    { "into", 0, OPTION_TEXT, "drill/NAME|live", "where the jobs go (default a new drill)" },
    { "execute", 0, OPTION_FLAG, NULL, "do it; without this it is only told" },
    { "reason", 0, OPTION_TEXT, "TEXT", "into live: why, for the audit" },
    OPT_WHO,
    { "id", 0, OPTION_TEXT, "ID", "into live: the id that the dry run named; the same id goes on" },
    { "wait", 'w', OPTION_OPTIONAL_DURATION, "10m", "in a drill: so long for the jobs' ends" },
    { "keep", 0, OPTION_FLAG, NULL, "leave the drill's processes running" },
    OPT_CONFIG, OPT_OUTPUT, OPT_DIR, OPT_END,
};
static const struct option_spec drill_report_options[] = {
    { "wait", 'w', OPTION_OPTIONAL_DURATION, "1m", "so long for jobs that have not ended" },
    OPT_CONFIG, OPT_OUTPUT, OPT_DIR, OPT_END,
};
static const struct option_spec drill_rm_options[] = { OPT_CONFIG, OPT_DIR, OPT_END };
#define OPTS_CHAOS_LOAD \
    { "for", 0, OPTION_DURATION, "TIME", "how long (default 60s, or what the drill says)" }, \
    { "load", 0, OPTION_RATE, "N/s", "jobs of known outcome that are submitted meanwhile (default 200/s)" }, \
    { "seed", 0, OPTION_COUNT, "N", "choose the same victims again (default another one each time; it is told)" }, \
    { "report", 0, OPTION_TEXT, "DIR", "write report.json and report.html there" }
#define OPT_CHAOS_EVERY { "every", 0, OPTION_DURATION, "TIME", "from one fault to the next (default 5s)" }
#define OPT_CHAOS_HOLD { "hold", 0, OPTION_DURATION, "TIME", "how long each one lasts (default 6s; a third party: half of --every)" }
static const struct option_spec chaos_options[] = {
    OPT_CHAOS_EVERY, OPTS_CHAOS_LOAD, OPT_OUTPUT, OPT_DIR, OPT_END,
};
static const struct option_spec chaos_hold_options[] = {
    OPT_CHAOS_EVERY, OPT_CHAOS_HOLD, OPTS_CHAOS_LOAD, OPT_OUTPUT, OPT_DIR, OPT_END,
};
static const struct option_spec drill_run_options[] = {
    OPTS_CHAOS_LOAD,
    { "show", 0, OPTION_FLAG, NULL, "print the drill file instead" },
    OPT_OUTPUT, OPT_DIR, OPT_END,
};
static const struct option_spec supervise_options[] = {
    { "dir", 0, OPTION_TEXT, "DIR", "the stack's folder" },
    { "lock", 0, OPTION_COUNT, "FD", "the folder's lock, inherited" },
    OPT_END,
};
static const struct option_spec mend_child_options[] = { OPT_END };
static const struct option_spec exec_child_options[] = {
    { "parent", 0, OPTION_COUNT, "PID", "end when this process ends" },
    { "at-once", 0, OPTION_FLAG, NULL, "by SIGKILL, not by SIGTERM" },
    { "listen", 0, OPTION_FLAG, NULL, "file descriptor 3 is the listening socket" },
    OPT_END,
};

static const struct command commands[] = {
    { .name = "up", .arguments = "", .summary = "start everything on this machine, and leave it running",
      .details = "Starts a broker, Redis, the simulator (a third party to try things on) and Errand's own processes, on\n"
                 "free ports, with all their data in one folder. A supervisor starts what dies again. Run again in the same\n"
                 "folder, after a stop or a power cut, it finds the same jobs; what was chosen then is the default now.\n"
                 "The embedded broker keeps its topics in memory only; --broker apache keeps them in the folder, and needs\n"
                 "java and mvn. With --broker apache:3 there are three brokers, and any of them may die.",
      .examples = "errand up\n"
                  "errand up --broker apache --workers 4\n"
                  "errand up --broker kafka-1:9092,kafka-2:9092 --redis redis://:secret@cache:6379 --config mine.yaml",
      .json = "errand.status/1", .options = up_options, .run = up_run },
    { .name = "down", .arguments = "", .summary = "stop what `errand up` started",
      .details = "The gateway first, so that nothing is accepted that would wait; each process finishes what it has begun.\n"
                 "The data stays.",
      .examples = "errand down\nerrand down --dir /srv/errand", .json = "errand.down/1", .options = dir_output_options, .run = down_run },
    { .name = "status", .arguments = "", .summary = "show the processes of the stack",
      .details = "Exits with 0 when all of them are ready, with 1 when one is not, with 5 when nothing runs.",
      .examples = "errand status\nerrand status -o json", .json = "errand.status/1", .options = dir_output_options, .run = status_run },
    { .name = "logs", .arguments = "[NAME...]", .argument_max = COMMAND_ARGUMENTS_UNLIMITED,
      .summary = "show what the processes logged, in the order of time",
      .examples = "errand logs -f\n"
                  "errand logs worker-1 --level warn\n"
                  "errand logs --job 0193c0de-7000-7000-8000-000000000000",
      .json = "errand.log/1", .options = logs_options, .run = logs_run },
    { .name = "submit", .arguments = "TYPE [JSON]", .argument_min = 1, .argument_max = 2, .summary = "submit a job",
      .details = "Prints the job. With --wait it is printed when it is finished, and the exit code tells how it ended.\n"
                 "A connection that breaks is tried again with the same idempotency key: still one job.",
      .examples = "errand submit quote.fetch -d '{\"author\": \"any\"}'\n"
                  "errand submit order.price -d @order.json --wait\n"
                  "errand submit ledger.post --key account-17 -d '{\"account\": \"17\", \"cents\": 250}'\n"
                  "echo '{}' | errand submit quote.fetch -d - --idempotency-key order-17 --label team=blue --wait=1m",
      .json = "errand.job/1", .options = submit_options, .run = submit_run },
    { .name = "get", .arguments = "ID", .argument_min = 1, .argument_max = 1, .summary = "show a job",
      .details = "--payload reads the command where it lies, in Kafka; for that the stack's folder is needed, or --config.",
      .examples = "errand get 0193c0de-7000-7000-8000-000000000000\n"
                  "errand get 0193c0de-7000-7000-8000-000000000000 -o json\n"
                  "errand get 0193c0de-7000-7000-8000-000000000000 --payload",
      .json = "errand.job/1", .options = get_options, .run = get_run },
    { .name = "wait", .arguments = "ID...", .argument_min = 1, .argument_max = COMMAND_ARGUMENTS_UNLIMITED,
      .summary = "wait until jobs are finished",
      .details = "Prints each job when it is finished, in the order asked for. The exit code is that of the first job that\n"
                 "did not succeed.",
      .examples = "errand wait 0193c0de-7000-7000-8000-000000000000\n"
                  "errand wait --timeout 1m ID1 ID2 ID3",
      .json = "errand.job/1", .options = wait_options, .run = wait_run },
    { .name = "cancel", .arguments = "ID", .argument_min = 1, .argument_max = 1, .summary = "cancel a job",
      .details = "Prints the cancelled job. A job that has ended otherwise is refused (exit code 6). When a call is under way\n"
                 "it is aborted; an answer that had come already wins. Not decided in time is exit code 8: the job stays\n"
                 "marked, no attempt of it begins. Asking again is harmless.",
      .examples = "errand cancel 0193c0de-7000-7000-8000-000000000000\n"
                  "errand cancel 0193c0de-7000-7000-8000-000000000000 --wait=1m -o json",
      .json = "errand.job/1", .options = cancel_options, .run = cancel_run },
    { .name = "list", .arguments = "", .summary = "show jobs, newest first",
      .details = "A job is shown as soon as the view has it, and until it is forgotten. Pages stay as they are while jobs come\n"
                 "in. Results are not shown: `errand get ID` does.",
      .examples = "errand list\n"
                  "errand list --state failed,expired --since 1h\n"
                  "errand list --type quote.fetch --label team=blue -n 1000 -o json",
      .json = "errand.list/1", .options = list_options, .run = list_run },
    { .name = "why", .arguments = "ID", .argument_min = 1, .argument_max = 1,
      .summary = "tell where a job is and why, in a sentence",
      .details = "And the facts behind it: who has taken it, who serves its queue, what is before it in its partition and\n"
                 "of its key.",
      .examples = "errand why 0193c0de-7000-7000-8000-000000000000\n"
                  "errand why 0193c0de-7000-7000-8000-000000000000 -o json",
      .json = "errand.why/1", .options = client_options, .run = why_run },
    { .name = "workers", .arguments = "", .summary = "show who works now",
      .details = "A worker that was killed is shown until half of kafka.session_timeout after its last beat, one that was\n"
                 "stopped no longer. What it does is of that beat.",
      .examples = "errand workers\nerrand workers -o json", .json = "errand.workers/1", .options = client_options, .run = workers_run },
    { .name = "types", .arguments = "", .summary = "show the types of jobs there are",
      .examples = "errand types\nerrand types -o json", .json = "errand.types/1", .options = client_options, .run = types_run },
    { .name = "dead ls", .arguments = "", .summary = "show what was given up on, counts first",
      .details = "Failures that are the same one (code, target, status, and a detail without what tells cases apart) are one\n"
                 "line of the first table, with its fingerprint; the letters follow.",
      .examples = "errand dead ls\n"
                  "errand dead ls --reason target_rejected --type quote.fetch -n 100\n"
                  "errand dead ls --resolved -o json",
      .json = "errand.dead/1", .options = dead_ls_options, .run = dead_ls_run },
    { .name = "dead show", .arguments = "LETTER|ID", .argument_min = 1, .argument_max = 1,
      .summary = "show one dead letter with its payload",
      .details = "LETTER is queue/offset, as `errand dead ls` shows it; ID is a job's, and means its newest letter.",
      .examples = "errand dead show default/17\n"
                  "errand dead show 0193c0de-7000-7000-8000-000000000000 -o json",
      .json = "errand.dead.letter/1", .options = client_options, .run = dead_show_run },
    { .name = "dead redrive", .arguments = "[LETTER|ID...]", .argument_max = COMMAND_ARGUMENTS_UNLIMITED,
      .summary = "make new jobs of dead letters",
      .details = "Without --execute nothing is changed. Each letter becomes one new job, linked to the old one, with the old\n"
                 "effect id; letters that come meanwhile are left alone. It begins with a few, goes on as the new jobs turn\n"
                 "out well, and stops (exit code 1) when too many of them fail again; at the end it waits for the last ones to\n"
                 "tell that too. Broken off, it goes on with --batch.",
      .examples = "errand dead redrive --fingerprint 5f0c9a7be1d24c33\n"
                  "errand dead redrive --fingerprint 5f0c9a7be1d24c33 --rate 20/s --execute --why 'the target is mended'\n"
                  "errand dead redrive default/17 --edit '{\"region\": \"DE\"}' --execute --why 'a wrong region'",
      .json = "errand.dead.redrive/1", .options = dead_redrive_options, .run = dead_redrive_run },
    { .name = "dead export", .arguments = "", .summary = "print dead letters with their payloads, a JSON object a line",
      .details = "Each line is an errand.dead.letter/1 object, as `errand dead show -o json` prints it.",
      .examples = "errand dead export >dead.jsonl\nerrand dead export --queue default --resolved",
      .options = dead_export_options, .run = dead_export_run },
    { .name = "dead purge", .arguments = "[LETTER|ID...]", .argument_max = COMMAND_ARGUMENTS_UNLIMITED,
      .summary = "put dead letters aside for good",
      .details = "Without --execute nothing is changed. Nothing is deleted: a record on the dead topic says that the letter is\n"
                 "resolved, by whom and why; `errand dead ls --resolved` shows it until retention takes it.",
      .examples = "errand dead purge --queue default --reason expired\n"
                  "errand dead purge default/17 --execute --why 'a test of ours'",
      .json = "errand.dead.purge/1", .options = dead_purge_options, .run = dead_purge_run },
    { .name = "audit", .arguments = "", .summary = "show who changed what, why, with which counts",
      .details = "Read from Kafka; for that the stack's folder is needed, or --config. An action that goes step by step has\n"
                 "records of the same id: `begun` before anything is changed, `done` with what came of it.",
      .examples = "errand audit\nerrand audit --action dead.redrive -o json", .json = "errand.audit.list/1", .options = audit_options, .run = audit_run },
    { .name = "load", .arguments = "[TYPE]", .argument_max = 1, .summary = "submit many jobs and measure the answers",
      .details = "By default jobs are submitted at fixed moments, and a latency counts from that moment: an answer that comes\n"
                 "late does not hide those that had to wait behind it. With --connections each connection submits its next\n"
                 "job when the last one is answered. TYPE is quote.fetch unless given.",
      .examples = "errand load quote.fetch --rate 200/s --duration 30s\n"
                  "errand load sentence.make --connections 32 --count 100000 -d '{\"seed\": {{n}}}'\n"
                  "errand load order.price --mode e2e --rate 50/s -o json",
      .json = "errand.load/1", .options = load_options, .run = load_cmd_run },
    { .name = "health", .arguments = "", .summary = "tell whether a process can do its work, and what it waits for",
      .details = "Exits with 0 when it is ready, with 1 when it is not, with 5 when nothing answers. Any process can be asked by\n"
                 "its own address; without one it is the stack's gateway.",
      .examples = "errand health\nerrand health --url http://127.0.0.1:8080 -o json", .json = "errand.health/1", .options = client_options,
      .run = health_run },
    { .name = "lag", .arguments = "", .summary = "show how far consumers are behind, in records and in time",
      .details = "BEHIND is the age of the oldest record without an outcome, read from the record itself; it is marked when\n"
                 "it is only known to be at least that, and '-' when it is not known. LOST counts records that retention took\n"
                 "before they were read. TREND and DRAIN are from the rates in and out. Any group of the cluster can be asked\n"
                 "for, but not of the embedded broker, which tells only of Errand's own groups, and not who is in them.",
      .examples = "errand lag\n"
                  "errand lag --watch --by partition\n"
                  "errand lag --check --warn 30s --crit 5m\n"
                  "errand lag --url http://127.0.0.1:8080\n"
                  "errand lag --group billing --group mailer --topic orders -o json",
      .json = "errand.lag/1", .options = lag_options, .run = lag_run },
    { .name = "groups ls", .arguments = "", .summary = "show the consumer groups of the cluster",
      .examples = "errand groups ls\nerrand groups ls -o json", .json = "errand.groups/1", .options = groups_options, .run = groups_ls_run },
    { .name = "groups describe", .arguments = "GROUP", .argument_min = 1, .argument_max = 1,
      .summary = "show who is in a group, and how far each partition is",
      .examples = "errand groups describe errand.worker.default\nerrand groups describe billing -o json",
      .json = "errand.group/1", .options = groups_options, .run = groups_describe_run },
    { .name = "groups seek", .arguments = "GROUP", .argument_min = 1, .argument_max = 1,
      .summary = "set where a group goes on",
      .details = "Shows what would be changed, and changes it only with --execute. Refused (exit code 6) while the group has\n"
                 "members. A place outside of a log is its start or its end; @TIME is the first record at or after that time:\n"
                 "RFC 3339, Unix seconds or milliseconds, or @-1h for an hour ago.",
      .examples = "errand groups seek billing --to @-1h\n"
                  "errand groups seek billing --to start --topic orders --execute\n"
                  "errand groups seek billing --to=-100 -o json",
      .json = "errand.seek/1", .options = groups_seek_options, .run = groups_seek_run },
    { .name = "topics ls", .arguments = "", .summary = "show the topics and whether they exist",
      .examples = "errand topics ls\nerrand topics ls -o json", .json = "errand.topics/1", .options = topics_ls_options, .run = topics_ls_run },
    { .name = "topics describe", .arguments = "TOPIC", .argument_min = 1, .argument_max = 1,
      .summary = "show a topic's partitions and its own settings",
      .details = "Any topic of the cluster. The settings in JSON are all of them; `own` are those set for this topic.",
      .examples = "errand topics describe errand.commands.default\nerrand topics describe orders -o json",
      .json = "errand.topic/1", .options = topics_ls_options, .run = topics_describe_run },
    { .name = "topics plan", .arguments = "", .summary = "show how the topics differ from the configuration",
      .details = "Changes nothing, and tells what `errand topics apply` would do about each difference: make, raise (a\n"
                 "retention), keep (one that is longer), or none: somebody has to decide. Exits with 1 when something differs.",
      .examples = "errand topics plan\nerrand topics plan --config /etc/errand/errand.yaml -o json",
      .json = "errand.plan/1", .options = topics_ls_options, .run = topics_plan_run },
    { .name = "topics tail", .arguments = "TOPIC", .argument_min = 1, .argument_max = 1,
      .summary = "show the records of a topic",
      .details = "Any topic of the cluster, all its partitions. Envelopes are decoded: commands, events, dead letters. With\n"
                 "-o json each record is one line, with its headers.",
      .examples = "errand topics tail errand.commands.default\n"
                  "errand topics tail errand.dead.default --from @-1h -o json\n"
                  "errand topics tail errand.replies.default -f --from end",
      .json = "errand.record/1", .options = topics_tail_options, .run = topics_tail_run },
    { .name = "topics apply", .arguments = "", .summary = "make the topics that are missing",
      .details = "With --config it needs no stack on this machine: what Kafka is, the configuration tells.",
      .examples = "errand topics apply\nerrand topics apply --config /etc/errand/errand.yaml",
      .json = "errand.apply/1", .options = topics_apply_options, .run = topics_apply_run },
    { .name = "replay", .arguments = "TOPIC", .argument_min = 1, .argument_max = 1,
      .summary = "do the jobs of a topic once more, in a drill or for real",
      .details = "Tells what it would do, and does it with --execute. TOPIC is one of commands or of dead letters. Each record\n"
                 "that fits becomes a new job, linked to the old one, with the old effect id. Into a drill (the default) the\n"
                 "jobs run beside the deployment, on processes of their own that can call nothing but a simulator; then each\n"
                 "is compared with its original. Into live they are real. Broken off, the same command goes on: what has\n"
                 "arrived is not sent again. A condition is /POINTER, label.NAME, key or id, with = != < <= > >= or ~\n"
                 "(contains) and a value; several are joined by \"and\". In a drill it exits with 1 when a job ended worse.",
      .examples = "errand replay commands.default --from @-1h\n"
                  "errand replay commands.default --where '/city = Lisbon' --into drill/monday --execute\n"
                  "errand replay commands.default --from @-2h --to @-1h --speed 2x --into drill/rush --execute\n"
                  "errand replay dead.default --rate 50/s --into live --reason 'the partner is back' --execute",
      .json = "errand.replay/1", .options = replay_options, .run = replay_cmd_run },
    { .name = "drill ls", .arguments = "", .summary = "show the drills beside this stack",
      .examples = "errand drill ls\nerrand drill ls -o json", .json = "errand.drills/1", .options = dir_output_options,
      .run = drill_ls_run },
    { .name = "drill report", .arguments = "NAME", .argument_min = 1, .argument_max = 1,
      .summary = "compare the jobs of a drill with their originals",
      .details = "Exits with 0 when no job ended worse than its original and all have ended, else with 1.",
      .examples = "errand drill report monday\nerrand drill report monday --wait=1m -o json", .json = "errand.drill/1",
      .options = drill_report_options, .run = drill_report_run },
    { .name = "drill rm", .arguments = "NAME", .argument_min = 1, .argument_max = 1,
      .summary = "remove a drill: processes, topics, groups, view and folder",
      .examples = "errand drill rm monday", .options = drill_rm_options, .run = drill_rm_run },
    { .name = "verify", .arguments = "", .summary = "balance the books: what became of every job that was accepted",
      .details = "Reads every topic from its beginning: accepted = succeeded + failed + cancelled + expired + live, for each\n"
                 "type; then compares the view, record by record. What is left over is told with its partition and offset.\n"
                 "Exits with 0 when the books balance, with 1 when not. -o json is a certificate of what was read.",
      .examples = "errand verify\n"
                  "errand verify --from 24h --to 1h\n"
                  "errand verify --from 2026-11-24T00:00:00Z --no-view -o json >certificate.json",
      .json = "errand.books/1", .options = verify_options, .run = verify_run },
    { .name = "chaos kill", .arguments = "PROCESS", .argument_min = 1, .argument_max = 1,
      .summary = "kill processes of the stack under load, and judge what became of the jobs",
      .details = "PROCESS is worker, recorder, delayer, gateway, broker or redis, of which one is chosen each time, or the name\n"
                 "of one, such as worker-2. Only a stack of `errand up` with a broker, a Redis and third parties of its own is\n"
                 "broken, or one whose configuration says `drillable: true`. Jobs of known outcome are submitted meanwhile;\n"
                 "afterwards everything is mended, also after Ctrl-C. Exits with 0 when all promises were kept, with 1 when one\n"
                 "was not, with 130 when it was interrupted and all were kept until then.",
      .examples = "errand chaos kill worker\n"
                  "errand chaos kill broker --every 20s --for 2m --load 100/s --report build/broker\n"
                  "errand chaos kill worker-2 --seed 7 -o json",
      .json = "errand.chaos/1", .options = chaos_options, .run = chaos_kill_run },
    { .name = "chaos stop", .arguments = "PROCESS", .argument_min = 1, .argument_max = 1,
      .summary = "the same, with processes that hang for a while and then go on",
      .examples = "errand chaos stop recorder\nerrand chaos stop worker --hold 10s --every 15s --report build/stop",
      .json = "errand.chaos/1", .options = chaos_hold_options, .run = chaos_stop_run },
    { .name = "chaos restart", .arguments = "PROCESS", .argument_min = 1, .argument_max = 1,
      .summary = "the same, with processes that are told to end, as a deployment does",
      .examples = "errand chaos restart gateway\nerrand chaos restart worker --every 10s -o json",
      .json = "errand.chaos/1", .options = chaos_options, .run = chaos_restart_run },
    { .name = "chaos third-party", .arguments = "HOW", .argument_min = 1, .argument_max = 1,
      .summary = "the same, with a third party that misbehaves",
      .details = "HOW is slow (answers take 2 s), down (connections are reset), flaky (the first call of each job goes wrong) or\n"
                 "hang (no answer). It is the simulator that is told so, for calls to all paths.",
      .examples = "errand chaos third-party down\nerrand chaos third-party slow --every 20s --hold 10s --for 1m",
      .json = "errand.chaos/1", .options = chaos_hold_options, .run = chaos_third_party_run },
    { .name = "chaos flush-redis", .arguments = "", .summary = "the same, with a Redis that is emptied",
      .examples = "errand chaos flush-redis\nerrand chaos flush-redis --every 15s --report build/redis",
      .json = "errand.chaos/1", .options = chaos_options, .run = chaos_flush_redis_run },
    { .name = "drill run", .arguments = "FILE", .argument_min = 1, .argument_max = 1,
      .summary = "break the stack by a plan, and judge it by that plan's service levels",
      .details = "FILE is a drill file (docs/BREAKING.md), or one of those that errand carries: worker-crash, broker-bounce,\n"
                 "redis-loss, slow-target, poison, rebalance-storm, rolling-restart. Which stack may be broken, how it is mended\n"
                 "and what the exit code says is as with `errand chaos kill`.",
      .examples = "errand drill run worker-crash\n"
                  "errand drill run worker-crash --show >mine.yaml\n"
                  "errand drill run mine.yaml --seed 7 --report build/mine",
      .json = "errand.chaos/1", .options = drill_run_options, .run = drill_run_run },
    { .name = "config check", .arguments = "[FILE]", .argument_max = 1, .summary = "tell every mistake in a configuration",
      .details = "Without FILE it is the stack's errand.yaml.",
      .examples = "errand config check\nerrand config check mine.yaml", .json = "errand.config/1", .options = dir_output_options,
      .run = config_check_run },
    { .name = "version", .arguments = "", .summary = "show the version", .examples = "errand version\nerrand version -o json",
      .json = "errand.version/1", .options = output_options, .run = version_run },
    { .name = "help", .arguments = "[COMMAND]", .argument_max = 2, .summary = "explain a command",
      .examples = "errand help\nerrand help submit\nerrand help exit-codes", .options = no_options, .run = help_run },
    { .name = "completion", .arguments = "SHELL", .argument_min = 1, .argument_max = 1,
      .summary = "print completion for bash, zsh or fish",
      .examples = "errand completion bash >~/.local/share/bash-completion/completions/errand\n"
                  "errand completion zsh >~/.zfunc/_errand\n"
                  "errand completion fish >~/.config/fish/completions/errand.fish",
      .options = no_options, .run = completion_run },
    { .name = "manual", .arguments = "[COMMAND]", .argument_max = 2, .summary = "print a manual page, or write all of them",
      .examples = "errand manual list | man -l -\n"
                  "errand manual --into /usr/local/share/man/man1",
      .options = manual_options, .run = manual_run },
    { .name = "verdict", .arguments = "", .summary = "judge a history: were all promises kept?",
      .details = "Exits with 0 when nothing was found, with 1 when something was, with 2 when the history cannot be read.",
      .examples = "errand verdict --mark >since.json\n"
                  "errand verdict --history run.jsonl --ledger http://127.0.0.1:7000 --since since.json --view",
      .json = "errand.verdict/1", .options = verdict_options, .run = verdict_run, .hidden = true },
    { .name = "supervise", .arguments = "", .summary = "the supervisor that `errand up` leaves running",
      .examples = "errand supervise --dir DIR --lock FD", .options = supervise_options, .run = supervise_run,
      .hidden = true },
    { .name = "exec-child", .arguments = "PROGRAM [ARGUMENT...]", .argument_min = 1,
      .argument_max = COMMAND_ARGUMENTS_UNLIMITED, .summary = "become a program that ends with its parent",
      .examples = "errand exec-child --parent PID -- PROGRAM", .options = exec_child_options, .run = exec_child_run,
      .hidden = true },
    { .name = "mend-child", .arguments = "", .summary = "undo what `errand chaos` had broken when it was killed",
      .examples = "errand mend-child", .options = mend_child_options, .run = mend_child_run, .hidden = true },
};
/* clang-format on */

const struct command *command_at(size_t i)
{
    return i < sizeof commands / sizeof commands[0] ? &commands[i] : NULL;
}
