/* YAML text into a tree that remembers its lines. Only what a configuration needs: one document of
 * mappings, sequences and scalars. Aliases, tags and non-text keys are refused with a message; a
 * repeated key is one, too. Size, depth and number of nodes are limited, so that a hostile file
 * costs nothing. Private to infra/config*.
 * thread: the caller's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_CONFIG_YAML_H
#define INFRA_CONFIG_YAML_H

#include "infra/config_loader.h"

#define CONFIG_DEPTH_MAX    48
#define CONFIG_NODES_MAX    100000
#define CONFIG_CHILDREN_MAX 2000

enum config_node_kind { CONFIG_NODE_SCALAR, CONFIG_NODE_SEQUENCE, CONFIG_NODE_MAPPING };

struct config_node {
    struct span name; /* of a mapping's member; NUL-terminated */
    struct span text; /* of a scalar; NUL-terminated, holds no other NUL */
    bool plain;       /* a scalar without quotes: null, true, 12 are not text */
    bool comma_list;  /* from the environment or a default: a list is one text with commas */
    enum config_node_kind kind;
    struct config_origin origin;
    struct config_node *children; /* in their order */
    struct config_node *next;
    size_t child_count;
};

/* A plain scalar without text: "key:", "~" or "null". */
bool config_yaml_is_null(const struct config_node *node);

struct config_tree;

/* Mistakes go to the loader. NULL when the text cannot be read on from one of them: then nothing
 * else can be said. */
struct config_tree *config_yaml_parse(struct config_loader *loader, struct span text);
/* NULL when the document is empty. */
const struct config_node *config_yaml_root(const struct config_tree *tree);
void config_yaml_free(struct config_tree *tree);

/* The node as JSON text. Plain null, true, false and numbers of JSON's form stay what they are, all
 * else is a string. */
void config_yaml_json(const struct config_node *node, struct buf *out);

#endif
