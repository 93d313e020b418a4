/* The table of commands.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/command.h"
#include "gateway/cli/help.h"
#include "gateway/cli/verbs.h"

/* clang-format off */
#define OPT_END    { 0 }
#define OPT_DIR    { "dir", 0, OPTION_TEXT, "DIR", "the stack's folder (else $ERRAND_DIR, else ./.errand)" }
#define OPT_URL    { "url", 0, OPTION_TEXT, "URL", "the gateway's address, instead of a stack's (else $ERRAND_URL)" }
#define OPT_CONFIG { "config", 0, OPTION_TEXT, "FILE", "a configuration, instead of a stack's" }
#define OPT_OUTPUT { "output", 'o', OPTION_CHOICE, "table|json", "how to print (default table)" }

static const struct option_spec no_options[] = { OPT_END };
static const struct option_spec dir_options[] = { OPT_DIR, OPT_END };
static const struct option_spec dir_output_options[] = { OPT_DIR, OPT_OUTPUT, OPT_END };
static const struct option_spec topics_ls_options[] = { OPT_CONFIG, OPT_DIR, OPT_OUTPUT, OPT_END };
static const struct option_spec topics_apply_options[] = { OPT_CONFIG, OPT_DIR, OPT_END };
static const struct option_spec client_options[] = { OPT_OUTPUT, OPT_DIR, OPT_URL, OPT_END };

static const struct option_spec up_options[] = {
    { "broker", 0, OPTION_TEXT, "KIND", "embedded, apache, apache:3, or HOST:PORT,... of yours (default embedded)" },
    { "redis", 0, OPTION_TEXT, "URL", "a Redis of yours: redis://[:PASSWORD@]HOST:PORT[,HOST:PORT]" },
    { "workers", 0, OPTION_COUNT, "N", "worker processes (default 1)" },
    { "config", 0, OPTION_TEXT, "FILE", "the configuration; it is copied into the folder" },
    { "no-restart", 0, OPTION_FLAG, NULL, "leave a process that died as it is" },
    OPT_DIR, OPT_END,
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
static const struct option_spec load_options[] = {
    { "rate", 'r', OPTION_RATE, "N/s", "submit by this schedule, whatever the answers (default 100/s)" },
    { "connections", 'c', OPTION_COUNT, "N", "instead: N connections, each waiting for its answer" },
    { "duration", 0, OPTION_DURATION, "TIME", "how long (default 10s)" },
    { "count", 'n', OPTION_COUNT, "N", "how many instead" },
    { "data", 'd', OPTION_TEXT, "JSON|@FILE|-", "the payload; {{n}} is the number of the job" },
    { "key", 0, OPTION_TEXT, "KEY", "the ordering key, for types of ordered queues; {{n}} is the number of the job" },
    { "mode", 0, OPTION_CHOICE, "submit|e2e", "measure until accepted, or until finished (default submit)" },
    { "ids", 0, OPTION_TEXT, "FILE", "write each accepted id and its key, as JSON lines" },
    { "history", 0, OPTION_TEXT, "FILE", "write what was done and told, for the checker (docs/VERIFY.md)" },
    OPT_OUTPUT, OPT_DIR, OPT_URL, OPT_END,
};
static const struct option_spec verdict_options[] = {
    { "history", 0, OPTION_TEXT, "FILE", "what clients did and were told" },
    { "ledger", 0, OPTION_TEXT, "FILE|URL", "the third party's ledger: a file of its pages, or the simulator's address" },
    { "since", 0, OPTION_TEXT, "FILE", "begin where --mark was" },
    { "mark", 0, OPTION_FLAG, NULL, "instead: print where the topics end now, for --since" },
    { "view", 0, OPTION_FLAG, NULL, "compare the records of ended jobs in Redis, byte for byte" },
    { "grace", 0, OPTION_DURATION, "TIME", "how long after a fault it may still repeat calls (default 15s)" },
    OPT_CONFIG, OPT_OUTPUT, OPT_DIR, OPT_END,
};
static const struct option_spec supervise_options[] = {
    { "dir", 0, OPTION_TEXT, "DIR", "the stack's folder" },
    { "lock", 0, OPTION_COUNT, "FD", "the folder's lock, inherited" },
    OPT_END,
};
static const struct option_spec exec_child_options[] = {
    { "parent", 0, OPTION_COUNT, "PID", "end when this process ends" },
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
      .options = up_options, .run = up_run },
    { .name = "down", .arguments = "", .summary = "stop what `errand up` started",
      .details = "The gateway first, so that nothing is accepted that would wait; each process finishes what it has begun.\n"
                 "The data stays.",
      .examples = "errand down\nerrand down --dir /srv/errand", .options = dir_options, .run = down_run },
    { .name = "status", .arguments = "", .summary = "show the processes of the stack",
      .details = "Exits with 0 when all of them are ready, with 1 when one is not, with 5 when nothing runs.",
      .examples = "errand status\nerrand status -o json", .options = dir_output_options, .run = status_run },
    { .name = "logs", .arguments = "[NAME...]", .argument_max = COMMAND_ARGUMENTS_UNLIMITED,
      .summary = "show what the processes logged, in the order of time",
      .examples = "errand logs -f\n"
                  "errand logs worker-1 --level warn\n"
                  "errand logs --job 0193c0de-7000-7000-8000-000000000000",
      .options = logs_options, .run = logs_run },
    { .name = "submit", .arguments = "TYPE [JSON]", .argument_min = 1, .argument_max = 2, .summary = "submit a job",
      .details = "Prints the job. With --wait it is printed when it is finished, and the exit code tells how it ended.\n"
                 "A connection that breaks is tried again with the same idempotency key: still one job.",
      .examples = "errand submit quote.fetch -d '{\"author\": \"any\"}'\n"
                  "errand submit order.price -d @order.json --wait\n"
                  "errand submit ledger.post --key account-17 -d '{\"account\": \"17\", \"cents\": 250}'\n"
                  "echo '{}' | errand submit quote.fetch -d - --idempotency-key order-17 --label team=blue --wait=1m",
      .options = submit_options, .run = submit_run },
    { .name = "get", .arguments = "ID", .argument_min = 1, .argument_max = 1, .summary = "show a job",
      .details = "--payload reads the command where it lies, in Kafka; for that the stack's folder is needed, or --config.",
      .examples = "errand get 0193c0de-7000-7000-8000-000000000000\n"
                  "errand get 0193c0de-7000-7000-8000-000000000000 -o json\n"
                  "errand get 0193c0de-7000-7000-8000-000000000000 --payload",
      .options = get_options, .run = get_run },
    { .name = "wait", .arguments = "ID...", .argument_min = 1, .argument_max = COMMAND_ARGUMENTS_UNLIMITED,
      .summary = "wait until jobs are finished",
      .details = "Prints each job when it is finished, in the order asked for. The exit code is that of the first job that\n"
                 "did not succeed.",
      .examples = "errand wait 0193c0de-7000-7000-8000-000000000000\n"
                  "errand wait --timeout 1m ID1 ID2 ID3",
      .options = wait_options, .run = wait_run },
    { .name = "cancel", .arguments = "ID", .argument_min = 1, .argument_max = 1, .summary = "cancel a job",
      .details = "Prints the cancelled job. A job that has ended otherwise is refused (exit code 6). When a call is under way\n"
                 "it is aborted; an answer that had come already wins. Not decided in time is exit code 8: the job stays\n"
                 "marked, no attempt of it begins. Asking again is harmless.",
      .examples = "errand cancel 0193c0de-7000-7000-8000-000000000000\n"
                  "errand cancel 0193c0de-7000-7000-8000-000000000000 --wait=1m -o json",
      .options = cancel_options, .run = cancel_run },
    { .name = "types", .arguments = "", .summary = "show the types of jobs there are",
      .examples = "errand types\nerrand types -o json", .options = client_options, .run = types_run },
    { .name = "load", .arguments = "[TYPE]", .argument_max = 1, .summary = "submit many jobs and measure the answers",
      .details = "By default jobs are submitted at fixed moments, and a latency counts from that moment: an answer that comes\n"
                 "late does not hide those that had to wait behind it. With --connections each connection submits its next\n"
                 "job when the last one is answered. TYPE is quote.fetch unless given.",
      .examples = "errand load quote.fetch --rate 200/s --duration 30s\n"
                  "errand load sentence.make --connections 32 --count 100000 -d '{\"seed\": {{n}}}'\n"
                  "errand load order.price --mode e2e --rate 50/s -o json",
      .options = load_options, .run = load_cmd_run },
    { .name = "health", .arguments = "", .summary = "tell whether a process can do its work, and what it waits for",
      .details = "Exits with 0 when it is ready, with 1 when it is not, with 5 when nothing answers. Any process can be asked by\n"
                 "its own address; without one it is the stack's gateway.",
      .examples = "errand health\nerrand health --url http://127.0.0.1:8080 -o json", .options = client_options,
      .run = health_run },
    { .name = "topics ls", .arguments = "", .summary = "show the topics and whether they exist",
      .examples = "errand topics ls\nerrand topics ls -o json", .options = topics_ls_options, .run = topics_ls_run },
    { .name = "topics apply", .arguments = "", .summary = "make the topics that are missing",
      .details = "With --config it needs no stack on this machine: what Kafka is, the configuration tells.",
      .examples = "errand topics apply\nerrand topics apply --config /etc/errand/errand.yaml",
      .options = topics_apply_options, .run = topics_apply_run },
    { .name = "config check", .arguments = "[FILE]", .argument_max = 1, .summary = "tell every mistake in a configuration",
      .details = "Without FILE it is the stack's errand.yaml.",
      .examples = "errand config check\nerrand config check mine.yaml", .options = dir_options,
      .run = config_check_run },
    { .name = "version", .arguments = "", .summary = "show the version", .examples = "errand version",
      .options = no_options, .run = version_run },
    { .name = "help", .arguments = "[COMMAND]", .argument_max = 2, .summary = "explain a command",
      .examples = "errand help\nerrand help submit\nerrand help exit-codes", .options = no_options, .run = help_run },
    { .name = "verdict", .arguments = "", .summary = "judge a history: were all promises kept?",
      .details = "Exits with 0 when nothing was found, with 1 when something was, with 2 when the history cannot be read.",
      .examples = "errand verdict --mark >since.json\n"
                  "errand verdict --history run.jsonl --ledger http://127.0.0.1:7000 --since since.json --view",
      .options = verdict_options, .run = verdict_run, .hidden = true },
    { .name = "supervise", .arguments = "", .summary = "the supervisor that `errand up` leaves running",
      .examples = "errand supervise --dir DIR --lock FD", .options = supervise_options, .run = supervise_run,
      .hidden = true },
    { .name = "exec-child", .arguments = "PROGRAM [ARGUMENT...]", .argument_min = 1,
      .argument_max = COMMAND_ARGUMENTS_UNLIMITED, .summary = "become a program that ends with its parent",
      .examples = "errand exec-child --parent PID -- PROGRAM", .options = exec_child_options, .run = exec_child_run,
      .hidden = true },
};
/* clang-format on */

const struct command *command_at(size_t i)
{
    return i < sizeof commands / sizeof commands[0] ? &commands[i] : NULL;
}
