/* See config_yaml.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/config_yaml.h"

#include "schemas/mem.h"

#include <yaml.h>

#include <assert.h>
#include <stdlib.h>

struct stored_node {
    struct config_node node;
    struct stored_node *previous;
    char *name;
    char *text;
};

struct config_tree {
    struct stored_node *last; /* of all nodes, for freeing */
    const struct config_node *root;
    size_t node_count;
};

/* A mapping or sequence that has been opened and not closed. */
struct frame {
    struct config_node *node;
    struct config_node *last_child;
    char *name; /* of the member whose value comes next; owned */
    size_t name_line;
};

struct reader {
    struct config_loader *loader;
    struct config_tree *tree;
    struct frame frames[CONFIG_DEPTH_MAX];
    size_t depth;
    size_t document_count;
    bool failed; /* no use reading on */
};

static struct config_origin origin_of(const yaml_event_t *event)
{
    return (struct config_origin){ .line = event->start_mark.line + 1 };
}

static void fail(struct reader *reader, struct config_origin origin, const char *text)
{
    config_loader_problem(reader->loader, origin, NULL, "%s", text);
    reader->failed = true;
}

static struct frame *top(struct reader *reader)
{
    return reader->depth ? &reader->frames[reader->depth - 1] : NULL;
}

static bool awaits_name(struct reader *reader)
{
    const struct frame *frame = top(reader);
    assert(!frame || frame->node);
    return frame && frame->node->kind == CONFIG_NODE_MAPPING && !frame->name;
}

/* Puts a new node below the open one; the pending name becomes its own. */
static struct config_node *add_node(struct reader *reader, enum config_node_kind kind,
                                    const yaml_event_t *event)
{
    struct frame *frame = top(reader);
    if (++reader->tree->node_count > CONFIG_NODES_MAX ||
        (frame && frame->node->child_count >= CONFIG_CHILDREN_MAX)) {
        fail(reader, origin_of(event), "there are too many entries");
        return NULL;
    }
    struct stored_node *stored = MEM_NEW(*stored);
    stored->previous = reader->tree->last;
    reader->tree->last = stored;
    struct config_node *node = &stored->node;
    node->kind = kind;
    node->origin = origin_of(event);
    if (!frame) {
        reader->tree->root = node;
        return node;
    }
    if (frame->name) {
        stored->name = frame->name;
        node->name = span_of(stored->name);
        node->origin.line = frame->name_line;
        frame->name = NULL;
    }
    *(frame->last_child ? &frame->last_child->next : &frame->node->children) = node;
    frame->last_child = node;
    frame->node->child_count++;
    return node;
}

static void read_name(struct reader *reader, const yaml_event_t *event)
{
    struct frame *frame = top(reader);
    struct span name = { event->data.scalar.value, event->data.scalar.length };
    if (name.size && memchr(name.data, '\0', name.size)) {
        fail(reader, origin_of(event), "a key holds a NUL character");
        return;
    }
    frame->name = mem_dup(name);
    frame->name_line = event->start_mark.line + 1;
    for (const struct config_node *other = frame->node->children; other; other = other->next) {
        char quoted[CONFIG_QUOTED_SIZE];
        if (span_eq(other->name, name))
            config_loader_problem(reader->loader, origin_of(event), NULL,
                                  "the key %s stands here twice; line %zu has it too; drop one",
                                  config_loader_quote(name, quoted), other->origin.line);
    }
}

static void read_scalar(struct reader *reader, const yaml_event_t *event)
{
    struct span text = { event->data.scalar.value, event->data.scalar.length };
    if (event->data.scalar.tag && !event->data.scalar.plain_implicit &&
        !event->data.scalar.quoted_implicit)
        config_loader_problem(reader->loader, origin_of(event), NULL,
                              "tags such as %s are not supported; drop it",
                              (const char *)event->data.scalar.tag);
    if (awaits_name(reader)) {
        read_name(reader, event);
        return;
    }
    if (text.size && memchr(text.data, '\0', text.size)) {
        fail(reader, origin_of(event), "a value holds a NUL character");
        return;
    }
    struct config_node *node = add_node(reader, CONFIG_NODE_SCALAR, event);
    if (!node)
        return;
    reader->tree->last->text = mem_dup(text);
    node->text = (struct span){ reader->tree->last->text, text.size };
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static void open_node(struct reader *reader, enum config_node_kind kind, const yaml_event_t *event)
{
    if (awaits_name(reader)) {
        fail(reader, origin_of(event),
             "a key must be text; a template such as \"{{name}}\" needs quotes around it");
        return;
    }
    if (reader->depth == CONFIG_DEPTH_MAX) {
        fail(reader, origin_of(event), "the nesting is too deep");
        return;
    }
    struct config_node *node = add_node(reader, kind, event);
    if (node)
        reader->frames[reader->depth++] = (struct frame){ .node = node };
}

/* An alias would let a small file grow without bound, so none is followed; its place is read as
 * nothing. */
static void refuse_alias(struct reader *reader, const yaml_event_t *event)
{
    config_loader_problem(
        reader->loader, origin_of(event), NULL,
        "the alias *%s is not supported; write the value out, or put quotes around it",
        (const char *)event->data.alias.anchor);
    if (awaits_name(reader)) {
        reader->failed = true;
        return;
    }
    struct config_node *node = add_node(reader, CONFIG_NODE_SCALAR, event);
    if (node) {
        node->text = span_of("");
        node->plain = true;
    }
}

static void read_event(struct reader *reader, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++reader->document_count > 1)
            fail(reader, origin_of(event),
                 "a second document begins; the configuration is one document");
        break;
    case YAML_ALIAS_EVENT:
        refuse_alias(reader, event);
        break;
    case YAML_SCALAR_EVENT:
        read_scalar(reader, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        open_node(reader, CONFIG_NODE_SEQUENCE, event);
        break;
    case YAML_MAPPING_START_EVENT:
        open_node(reader, CONFIG_NODE_MAPPING, event);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        reader->depth--;
        break;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
}

static void report_syntax(struct reader *reader, const yaml_parser_t *parser)
{
    struct config_origin origin = { .line = parser->problem_mark.line + 1 };
    config_loader_problem(
        reader->loader, origin, NULL, "column %zu: this is not valid YAML: %s%s%s",
        parser->problem_mark.column + 1, parser->problem ? parser->problem : "unreadable",
        parser->context ? " " : "", parser->context ? parser->context : "");
    reader->failed = true;
}

struct config_tree *config_yaml_parse(struct config_loader *loader, struct span text)
{
    struct reader reader = { .loader = loader, .tree = MEM_NEW(*reader.tree) };
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        fail(&reader, (struct config_origin){ 0 }, "the YAML parser has no memory");
        config_yaml_free(reader.tree);
        return NULL;
    }
    yaml_parser_set_input_string(&parser, text.data, text.size);
    bool ended = false;
    while (!ended && !reader.failed) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            report_syntax(&reader, &parser);
            break;
        }
        read_event(&reader, &event);
        ended = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    while (reader.depth > 0)
        free(reader.frames[--reader.depth].name);
    yaml_parser_delete(&parser);
    if (!reader.failed)
        return reader.tree;
    config_yaml_free(reader.tree);
    return NULL;
}

const struct config_node *config_yaml_root(const struct config_tree *tree)
{
    return tree->root;
}

void config_yaml_free(struct config_tree *tree)
{
    if (!tree)
        return;
    for (struct stored_node *stored = tree->last, *previous; stored; stored = previous) {
        previous = stored->previous;
        free(stored->name);
        free(stored->text);
        free(stored);
    }
    free(tree);
}

bool config_yaml_is_null(const struct config_node *node)
{
    return node->kind == CONFIG_NODE_SCALAR && node->plain && !node->comma_list &&
           (node->text.size == 0 || span_is(node->text, "~") || span_is(node->text, "null"));
}

/* --- JSON --- */

static size_t skip_digits(const char *text, size_t at)
{
    while (text[at] >= '0' && text[at] <= '9')
        at++;
    return at;
}

/* RFC 8259, section 6. */
static bool is_json_number(struct span number)
{
    const char *text = number.data; /* NUL-terminated */
    size_t at = text[0] == '-' ? 1 : 0;
    size_t end = skip_digits(text, at);
    if (end == at || (text[at] == '0' && end > at + 1))
        return false;
    if (text[end] == '.') {
        at = end + 1;
        end = skip_digits(text, at);
        if (end == at)
            return false;
    }
    if (text[end] == 'e' || text[end] == 'E') {
        at = end + 1;
        if (text[at] == '+' || text[at] == '-')
            at++;
        end = skip_digits(text, at);
        if (end == at)
            return false;
    }
    return end == number.size;
}

static void add_scalar(const struct config_node *node, struct buf *out)
{
    if (config_yaml_is_null(node))
        buf_add_text(out, "null");
    else if (node->plain && (span_is(node->text, "true") || span_is(node->text, "false") ||
                             is_json_number(node->text)))
        buf_add_span(out, node->text);
    else
        buf_add_json_string(out, node->text);
}

void config_yaml_json(const struct config_node *node, struct buf *out)
{
    if (node->kind == CONFIG_NODE_SCALAR) {
        add_scalar(node, out);
        return;
    }
    bool mapping = node->kind == CONFIG_NODE_MAPPING;
    buf_add_char(out, mapping ? '{' : '[');
    for (const struct config_node *child = node->children; child; child = child->next) {
        if (child != node->children)
            buf_add_char(out, ',');
        if (mapping) {
            buf_add_json_string(out, child->name);
            buf_add_char(out, ':');
        }
        config_yaml_json(child, out);
    }
    buf_add_char(out, mapping ? '}' : ']');
}
