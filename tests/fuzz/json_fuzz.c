/* JSON: the scanner that finds a member's bytes finds what the parser finds; what is checked before
 * parsing bounds what is parsed; what is written reads as the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/json_limits.h"
#include "schemas/json_scan.h"
#include "schemas/utf8.h"
#include "tests/fuzz/fuzz.h"

#define ANY_DEPTH  64
#define ANY_TOKENS 100000

static struct json *parse_any(struct span text)
{
    const struct json_limits limits = { ANY_DEPTH, ANY_TOKENS, .any_value = true };
    struct json *json = NULL;
    return json_parse(text, &limits, &json, NULL) ? NULL : json;
}

struct tally {
    size_t depth, depth_max, tokens;
};

static void tally_value(struct tally *tally, const struct json *value);

static void tally_member(void *arg, struct span name, const struct json *value)
{
    struct tally *tally = arg;
    FUZZ_REQUIRE(utf8_is_text(name));
    tally->tokens++;
    tally_value(tally, value);
}

static void tally_value(struct tally *tally, const struct json *value)
{
    enum json_type type = json_type_of(value);
    tally->tokens++;
    if (type == JSON_TYPE_TEXT)
        FUZZ_REQUIRE(utf8_is_text(json_text(value)));
    if (type != JSON_TYPE_ARRAY && type != JSON_TYPE_OBJECT)
        return;
    if (++tally->depth > tally->depth_max)
        tally->depth_max = tally->depth;
    json_each(value, tally_member, tally);
    for (size_t i = 0; type == JSON_TYPE_ARRAY && i < json_count(value); i++)
        tally_value(tally, json_at(value, i));
    tally->depth--;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void require_member(struct span text, const char *name, const struct json *value)
{
    struct span found = { 0 };
    FUZZ_REQUIRE(json_scan_member(text, name, &found));
    const char *bytes = found.data;
    const char *begin = text.data;
    FUZZ_REQUIRE(bytes >= begin && found.size <= text.size - (size_t)(bytes - begin));
    FUZZ_REQUIRE(found.size > 0 && !is_space(bytes[0]) && !is_space(bytes[found.size - 1]));
    struct json *again = parse_any(found);
    FUZZ_REQUIRE(again && json_same(again, value));
    json_free(again);
}

struct object {
    struct span text;
    const struct json *json;
};

static void on_member(void *arg, struct span name, const struct json *value)
{
    const struct object *object = arg;
    char *copy = strndup(name.data, name.size);
    FUZZ_REQUIRE(copy && strlen(copy) == name.size);
    FUZZ_REQUIRE(json_get(object->json, copy) == value);
    require_member(object->text, copy, value);
    free(copy);
}

static void require_scan_agrees(struct span text, const struct json *json)
{
    static const char *const names[] = { "payload", "", "type", "a", "\xc3\xa9", "\"", "\\" };
    struct object object = { text, json };
    json_each(json, on_member, &object);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct span found;
        bool there = json_get(json, names[i]) != NULL;
        FUZZ_REQUIRE(json_scan_member(text, names[i], &found) == there);
    }
}

static void require_writes_the_same(const struct json *json)
{
    struct buf plain = BUF_INIT(SIZE_MAX / 2);
    struct buf canonical = BUF_INIT(SIZE_MAX / 2);
    struct buf again = BUF_INIT(SIZE_MAX / 2);
    json_dump(json, &plain);
    json_canonical(json, &canonical);
    struct json *from_plain = parse_any(buf_span(&plain));
    struct json *from_canonical = parse_any(buf_span(&canonical));
    FUZZ_REQUIRE(from_plain && json_same(from_plain, json));
    FUZZ_REQUIRE(from_canonical && json_same(from_canonical, json));
    json_canonical(from_plain, &again);
    FUZZ_REQUIRE(span_eq(buf_span(&canonical), buf_span(&again)));
    json_free(from_plain);
    json_free(from_canonical);
    buf_free(&plain);
    buf_free(&canonical);
    buf_free(&again);
}

static void require_limits_hold(struct span text, const struct json_limits *limits)
{
    struct err err = { 0 };
    struct json *json = NULL;
    enum err_code checked = json_limits_check(text, limits, &err);
    enum err_code code = json_parse(text, limits, &json, &err);
    if (code) {
        fuzz_require_told(code, &err);
        FUZZ_REQUIRE(code == ERR_INVALID_JSON || code == ERR_INVALID_TEXT || code == ERR_TOO_DEEP ||
                     code == ERR_BODY_TOO_LARGE);
        return;
    }
    FUZZ_REQUIRE(checked == ERR_OK);
    struct tally tally = { 0 };
    tally_value(&tally, json);
    FUZZ_REQUIRE(tally.depth_max <= limits->depth_max && tally.tokens <= limits->tokens_max);
    FUZZ_REQUIRE(limits->any_value || json_type_of(json) >= JSON_TYPE_ARRAY);
    json_free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, data + size };
    uint8_t choice = fuzz_byte(&input);
    const struct json_limits limits = { choice & 7, choice >> 3, .any_value = choice & 1 };
    struct span text = fuzz_exact(fuzz_rest(&input));
    struct span ignored;
    (void)json_scan_member(text, "payload", &ignored); /* reads nothing beyond, whatever it is */
    require_limits_hold(text, &limits);
    struct json *json = parse_any(text);
    if (json) {
        require_scan_agrees(text, json);
        require_writes_the_same(json);
    }
    json_free(json);
    fuzz_free(text);
    return 0;
}
