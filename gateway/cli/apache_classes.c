/* The classes that Apache Kafka uses, as java has them ready to map: a broker spends half of its
 * start on reading them out of jars and verifying them. Java writes them down at the end of a
 * process, so one broker is run in a folder of its own, once, for some seconds (application class
 * data sharing, JEP 350).
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/apache.h"

#include "gateway/cli/output.h"
#include "gateway/cli/port.h"
#include "gateway/cli/program.h"
#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEARN_S "6" /* twice as long as a start takes; a part of the classes is good as well */

static const struct apache_node single = { .number = 1, .count = 1 };

/* A broker's folder, as a stack has one. */
static bool make_broker(const char *folder, const char *log_path)
{
    char id[APACHE_CLUSTER_ID_SIZE];
    char address[STACK_ADDRESS_SIZE];
    const char *const addresses[] = { address };
    struct port_holds holds = { 0 };
    struct err err = { 0 };
    char *kafka = stack_path(folder, "kafka");
    bool made = mkdir(folder, 0700) == 0 && mkdir(kafka, 0700) == 0 &&
                port_choose(&holds, "", address, &err) == ERR_OK &&
                apache_configure(folder, addresses, 1, &holds, &err) == ERR_OK &&
                apache_cluster_id(folder, id, &err) == ERR_OK;
    port_holds_let_go(&holds);
    if (made) {
        struct plan_argv argv = { 0 };
        apache_format_argv(folder, single, id, &argv);
        made = program_run(argv.words, log_path, "preparing Apache Kafka") == 0;
        plan_argv_clear(&argv);
    }
    free(kafka);
    return made;
}

static void run_broker(const char *folder, const char *archive, const char *log_path)
{
    struct plan_argv argv = { 0 };
    plan_argv_add(&argv, "timeout");
    plan_argv_add(&argv, "--foreground"); /* a Ctrl-C ends the broker as well */
    plan_argv_add(&argv, LEARN_S);
    apache_run_argv(folder, single, archive, &argv);
    (void)program_run(argv.words, log_path, "making Apache Kafka start faster, once");
    plan_argv_clear(&argv);
}

void apache_learn_classes(const char *folder)
{
    char *classes = apache_classes_path();
    if (access(classes, F_OK) != 0) {
        char *beside = stack_path(folder, "kafka/learning");
        char *log_path = stack_path(folder, "log/learning.log");
        struct buf archive = BUF_INIT(STACK_PATH_SIZE);
        struct err err = { 0 };
        buf_printf(&archive, "%s.%lld", classes, (long long)getpid());
        (void)stack_remove_folder(beside); /* of one that was broken off */
        if (make_broker(beside, log_path))
            run_broker(beside, archive.data, log_path);
        /* An empty one says that it was tried. */
        if (rename(archive.data, classes) != 0 &&
            stack_write_file(classes, span_of(""), &err) != ERR_OK)
            output_note("%s", err.text);
        (void)stack_remove_folder(beside);
        buf_free(&archive);
        free(log_path);
        free(beside);
    }
    free(classes);
}
