/* See where.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/where.h"

#include "schemas/json.h"
#include "schemas/mem.h"

#include <stdlib.h>

#define DEPTH_MAX  256
#define TOKENS_MAX 100000

enum operand { OPERAND_POINTER, OPERAND_LABEL, OPERAND_KEY, OPERAND_ID };
enum operation { OP_THERE, OP_EQUAL, OP_OTHER, OP_LESS, OP_AT_MOST, OP_MORE, OP_AT_LEAST, OP_HAS };

struct clause {
    enum operand operand;
    struct span name; /* the pointer, or the label's name; into `text` */
    enum operation operation;
    struct span value; /* as it was written, into `text` */
    struct json *json; /* the value as JSON; NULL: a bare text */
};

struct where {
    char *text;
    struct clause clauses[WHERE_CLAUSES_MAX];
    size_t count;
    bool reads_payload;
};

/* --- parsing --- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

static struct span trimmed(struct span text)
{
    const char *at = text.data;
    while (text.size && is_space(at[0])) {
        at++;
        text.size--;
    }
    while (text.size && is_space(at[text.size - 1]))
        text.size--;
    return (struct span){ at, text.size };
}

/* The end of the clause that begins at `at`: the next " and " outside of double quotes. */
static size_t clause_size(struct span text)
{
    const char *at = text.data;
    bool quoted = false;
    for (size_t i = 0; i < text.size; i++) {
        if (at[i] == '"' && (i == 0 || at[i - 1] != '\\'))
            quoted = !quoted;
        if (!quoted && i + 5 <= text.size && is_space(at[i]) && memcmp(at + i + 1, "and", 3) == 0 &&
            is_space(at[i + 4]))
            return i;
    }
    return text.size;
}

static enum operation operation_at(const char *at, size_t left, size_t *ret_size)
{
    static const struct {
        const char *text;
        enum operation operation;
    } operations[] = {
        { "!=", OP_OTHER }, { "<=", OP_AT_MOST }, { ">=", OP_AT_LEAST }, { "=", OP_EQUAL },
        { "<", OP_LESS },   { ">", OP_MORE },     { "~", OP_HAS },
    };
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        size_t size = strlen(operations[i].text);
        if (size <= left && memcmp(at, operations[i].text, size) == 0) {
            *ret_size = size;
            return operations[i].operation;
        }
    }
    return OP_THERE;
}

/* The operator is the first one; a pointer that holds such a character cannot be written. */
static void split(struct span text, struct clause *clause, struct span *ret_operand)
{
    const char *at = text.data;
    size_t i = 0;
    size_t size = 0;
    clause->operation = OP_THERE;
    while (i < text.size && clause->operation == OP_THERE) {
        /* ~0 and ~1 are a pointer's own. */
        bool escape = at[0] == '/' && at[i] == '~' && i + 1 < text.size &&
                      (at[i + 1] == '0' || at[i + 1] == '1');
        if (!escape)
            clause->operation = operation_at(at + i, text.size - i, &size);
        if (clause->operation == OP_THERE)
            i++;
    }
    *ret_operand = trimmed((struct span){ at, i });
    size_t after = i + size;
    clause->value = trimmed((struct span){ at + after, text.size - after });
}

static enum err_code refuse(struct span text, struct err *err)
{
    return err_set(err, ERR_INVALID_FIELD, "'%.*s' is no condition; allowed is " WHERE_ALLOWED,
                   (int)(text.size < 200 ? text.size : 200), (const char *)text.data);
}

/* "= Lisbon" of "== Lisbon", and what other languages call and: bare text that nobody means. */
static bool is_mistaken(struct span value)
{
    static const char *const words[] = { " AND ", " And ", " && ", " or ", " OR ", " || " };
    size_t unused;
    bool found = value.size && operation_at(value.data, value.size, &unused) != OP_THERE;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        found |= value.size && memmem(value.data, value.size, words[i], strlen(words[i])) != NULL;
    return found;
}

static enum err_code parse_clause(struct span text, struct clause *clause, struct err *err)
{
    static const struct json_limits limits = { .depth_max = 1, .tokens_max = 1, .any_value = true };
    static const char label[] = "label.";
    struct span operand;
    split(text, clause, &operand);
    const char *at = operand.data;
    clause->name = operand;
    if (operand.size && at[0] == '/') {
        clause->operand = OPERAND_POINTER;
    } else if (operand.size > sizeof label - 1 && memcmp(at, label, sizeof label - 1) == 0) {
        clause->operand = OPERAND_LABEL;
        clause->name = (struct span){ at + sizeof label - 1, operand.size - (sizeof label - 1) };
    } else if (span_is(operand, "key") || span_is(operand, "id")) {
        clause->operand = span_is(operand, "key") ? OPERAND_KEY : OPERAND_ID;
    } else {
        return refuse(text, err);
    }
    if (clause->operation != OP_THERE && clause->value.size == 0)
        return refuse(text, err);
    bool quoted = clause->value.size && *(const char *)clause->value.data == '"';
    struct err ignored;
    if (clause->value.size &&
        json_parse(clause->value, &limits, &clause->json, &ignored) != ERR_OK) {
        clause->json = NULL;
        if (quoted || is_mistaken(clause->value))
            return refuse(text, err);
    }
    return ERR_OK;
}

enum err_code where_parse(struct span text, struct where **ret_where, struct err *err)
{
    if (text.size > WHERE_BYTES_MAX)
        return err_set(err, ERR_INVALID_FIELD, "the condition has %zu bytes; at most %d", text.size,
                       WHERE_BYTES_MAX);
    struct where *where = MEM_NEW(*where);
    where->text = mem_dup(text);
    struct span left = { where->text, text.size };
    enum err_code code = ERR_OK;
    bool more = true;
    while (more && !code) {
        size_t size = clause_size(left);
        more = size < left.size;
        struct span one = trimmed((struct span){ left.data, size });
        if (where->count == WHERE_CLAUSES_MAX)
            code = err_set(err, ERR_INVALID_FIELD, "the condition has more than %d clauses",
                           WHERE_CLAUSES_MAX);
        else
            code = parse_clause(one, &where->clauses[where->count++], err);
        if (!code && where->clauses[where->count - 1].operand == OPERAND_POINTER)
            where->reads_payload = true;
        size_t used = more ? size + sizeof " and " - 1 : size;
        left = (struct span){ (const char *)left.data + used, left.size - used };
    }
    if (code)
        where_free(where);
    else
        *ret_where = where;
    return code;
}

void where_free(struct where *where)
{
    if (!where)
        return;
    for (size_t i = 0; i < where->count; i++)
        json_free(where->clauses[i].json);
    free(where->text);
    free(where);
}

/* --- judging --- */

static bool has(struct span text, struct span part)
{
    return part.size == 0 ||
           (text.size && part.size && memmem(text.data, text.size, part.data, part.size) != NULL);
}

static int compare(struct span a, struct span b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static bool ordered(enum operation operation, int order)
{
    switch (operation) {
    case OP_EQUAL:
        return order == 0;
    case OP_OTHER:
        return order != 0;
    case OP_LESS:
        return order < 0;
    case OP_AT_MOST:
        return order <= 0;
    case OP_MORE:
        return order > 0;
    case OP_AT_LEAST:
        return order >= 0;
    case OP_THERE:
    case OP_HAS:
        break;
    }
    return false;
}

/* A text stands against the value's text: that of its quotes, or as it was written. */
static bool text_fits(const struct clause *clause, struct span text)
{
    struct span value =
        json_type_of(clause->json) == JSON_TYPE_TEXT ? json_text(clause->json) : clause->value;
    if (clause->operation == OP_HAS)
        return has(text, value);
    return ordered(clause->operation, compare(text, value));
}

static bool member_fits(const struct clause *clause, const struct json *member)
{
    double number = 0;
    double wanted = 0;
    if (!member)
        return clause->operation == OP_OTHER;
    if (clause->operation == OP_THERE)
        return true;
    if (json_type_of(member) == JSON_TYPE_TEXT)
        return text_fits(clause, json_text(member));
    if (json_real_of(member, &number) && json_real_of(clause->json, &wanted))
        return ordered(clause->operation, (number > wanted) - (number < wanted));
    bool same = clause->json && json_same(member, clause->json);
    if (clause->operation == OP_OTHER)
        return !same;
    return clause->operation == OP_EQUAL && same;
}

static bool label_fits(const struct clause *clause, const struct job_facts *facts)
{
    for (size_t i = 0; i < facts->label_count; i++) {
        if (span_eq(facts->labels[i].name, clause->name))
            return clause->operation == OP_THERE || text_fits(clause, facts->labels[i].value);
    }
    return clause->operation == OP_OTHER;
}

static bool fits(const struct clause *clause, const struct job_facts *facts,
                 const struct json *payload)
{
    char id[ID_TEXT_SIZE];
    switch (clause->operand) {
    case OPERAND_POINTER:
        return member_fits(clause, json_pointer(payload, clause->name));
    case OPERAND_LABEL:
        return label_fits(clause, facts);
    case OPERAND_KEY:
        if (facts->key.size == 0)
            return clause->operation == OP_OTHER;
        return clause->operation == OP_THERE || text_fits(clause, facts->key);
    case OPERAND_ID:
        id_text(&facts->id, id);
        return clause->operation == OP_THERE || text_fits(clause, span_of(id));
    }
    return false;
}

bool where_fits(const struct where *where, const struct job_command *command)
{
    static const struct json_limits limits = { .depth_max = DEPTH_MAX,
                                               .tokens_max = TOKENS_MAX,
                                               .any_value = true };
    struct json *payload = NULL;
    struct err ignored;
    if (!where)
        return true;
    if (where->reads_payload && json_parse(command->payload, &limits, &payload, &ignored) != ERR_OK)
        payload = NULL;
    bool all = true;
    for (size_t i = 0; i < where->count && all; i++)
        all = fits(&where->clauses[i], &command->facts, payload);
    json_free(payload);
    return all;
}
