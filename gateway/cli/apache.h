/* A real Apache Kafka for a stack: its jars from Maven Central, kept in the user's cache, and
 * one combined broker and controller (KRaft), or three, with their data in the stack's folder.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_APACHE_H
#define GATEWAY_CLI_APACHE_H

#include "gateway/cli/supervisor_internal.h"

#define APACHE_VERSION         "4.1.0"
#define APACHE_NODES_MAX       3
#define APACHE_CLUSTER_ID_SIZE 24 /* 22 characters, the NUL, and room */

/* One of the cluster's nodes, from 1 on, and how many there are. */
struct apache_node {
    int number;
    int count;
};

/* Makes sure that java and the jars are there; fetches them the first time, with progress on
 * stderr, and has java write down the classes that Kafka uses, so that it starts in half the time
 * from then on. Says what is wrong itself; false when it cannot be used. */
bool apache_prepare(const char *folder);
/* A node's file, or with "" its folder: "FOLDER/kafka/NAME", of several "FOLDER/kafka/2/NAME".
 * Free with free(). */
char *apache_path(const char *folder, struct apache_node node, const char *name);
/* Writes each node's server.properties, for brokers at these addresses and controllers at ports
 * that it chooses and adds to `holds`. */
enum err_code apache_configure(const char *folder, const char *const *addresses, int count,
                               struct port_holds *holds, struct err *err) MUST_CHECK;
/* Whether the node's data folder has been made. */
bool apache_is_formatted(const char *folder, struct apache_node node);
/* The id that all nodes are formatted with; made the first time. */
enum err_code apache_cluster_id(const char *folder, char ret_id[APACHE_CLUSTER_ID_SIZE],
                                struct err *err) MUST_CHECK;
/* The archive of these classes for the java that is here, in the cache; free with free(). */
char *apache_classes_path(void);
/* Makes the archive, unless it is there; what is wrong then is in the log folder's learning.log. */
void apache_learn_classes(const char *folder);
void apache_format_argv(const char *folder, struct apache_node node, const char *cluster_id,
                        struct plan_argv *argv);
/* With `archive` (usually NULL) the classes that were used are written to it at the end. */
void apache_run_argv(const char *folder, struct apache_node node, const char *archive,
                     struct plan_argv *argv);

/* `template` with each @NAME@ replaced by its value from `values`, pairs of name and value that
 * end with NULL; lines of comment stay as they are. An unknown name is ERR_CONFIG. */
enum err_code apache_fill(struct span template, const char *const *values, struct buf *out,
                          struct err *err) MUST_CHECK;

#endif
