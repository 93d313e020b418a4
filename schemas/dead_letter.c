/* See dead_letter.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/dead_letter.h"

#include "schemas/digest.h"
#include "schemas/job_json.h"
#include "schemas/json_out.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NORMAL_BYTES_MAX 160

/* --- the same failure --- */

static bool is_word(unsigned char c)
{
    return isalnum(c) || c == '-' || c == '_' || c == '.' || c == ':' || c == '/';
}

/* What stands in double quotes, from its first one on; returns where it ends. */
static size_t skip_quoted(const unsigned char *text, size_t size, struct buf *out)
{
    size_t end = 1;
    while (end < size && text[end] != '"')
        end++;
    buf_add_text(out, "\"*\"");
    return end < size ? end + 1 : end;
}

static size_t take_run(const unsigned char *text, size_t size, struct buf *out)
{
    size_t end = 0;
    bool digits = false;
    for (; end < size && is_word(text[end]); end++)
        digits |= isdigit(text[end]) != 0;
    if (digits)
        buf_add_char(out, '#');
    else
        buf_add(out, text, end);
    return end;
}

static void add_other(unsigned char c, size_t begun_at, struct buf *out)
{
    if (c > ' ')
        buf_add(out, &c, 1);
    else if (out->size > begun_at && out->data[out->size - 1] != ' ')
        buf_add_char(out, ' ');
}

void dead_letter_normalise(struct span detail, struct buf *out)
{
    const unsigned char *text = detail.data;
    size_t begun_at = out->size;
    for (size_t i = 0; i < detail.size && out->size - begun_at < NORMAL_BYTES_MAX;) {
        if (text[i] == '"')
            i += skip_quoted(text + i, detail.size - i, out);
        else if (is_word(text[i]))
            i += take_run(text + i, detail.size - i, out);
        else
            add_other(text[i++], begun_at, out);
    }
}

static void normal_detail(const struct dead_letter *letter, struct buf *out)
{
    dead_letter_normalise(letter->detail, out);
    if (out->size > NORMAL_BYTES_MAX) { /* a long word */
        out->size = NORMAL_BYTES_MAX;
        out->data[out->size] = '\0';
    }
}

void dead_letter_fingerprint(const struct dead_letter *letter,
                             char ret_fingerprint[DEAD_FINGERPRINT_SIZE])
{
    struct buf detail = BUF_INIT(DEAD_DETAIL_BYTES_MAX + 2 * NORMAL_BYTES_MAX);
    uint8_t digest[DIGEST_SIZE];
    char status[16];
    normal_detail(letter, &detail);
    snprintf(status, sizeof status, "%" PRIu32, letter->status);
    const struct span nul = { "", 1 };
    const struct span parts[] = { letter->reason,  nul, letter->target,    nul,
                                  span_of(status), nul, buf_span(&detail), nul };
    digest_sha256(parts, sizeof parts / sizeof *parts, digest);
    for (size_t i = 0; i < (DEAD_FINGERPRINT_SIZE - 1) / 2; i++)
        snprintf(ret_fingerprint + 2 * i, 3, "%02x", digest[i]);
    buf_free(&detail);
}

/* A word of a line: what would end it is taken out. */
static void add_word(struct buf *out, struct span text)
{
    const char *bytes = text.data;
    for (size_t i = 0; i < text.size && i < 256; i++)
        buf_add(out, is_word((unsigned char)bytes[i]) ? bytes + i : "?", 1);
}

void dead_letter_group(const struct dead_letter *letter, struct buf *out)
{
    char fingerprint[DEAD_FINGERPRINT_SIZE];
    dead_letter_fingerprint(letter, fingerprint);
    buf_printf(out, "%s:", fingerprint);
    if (letter->command)
        add_word(out, letter->command->facts.type);
}

/* --- JSON --- */

static void failure(struct buf *out, const struct dead_letter *letter)
{
    json_out_text(out, "reason", letter->reason);
    json_out_text(out, "target", letter->target);
    if (letter->status)
        json_out_number(out, "status", letter->status);
}

void dead_letter_group_json(const struct dead_letter *letter, struct buf *out)
{
    struct buf detail = BUF_INIT(DEAD_DETAIL_BYTES_MAX + 2 * NORMAL_BYTES_MAX);
    normal_detail(letter, &detail);
    buf_add_char(out, '{');
    if (letter->command)
        json_out_text(out, "type", letter->command->facts.type);
    failure(out, letter);
    json_out_text(out, "detail", buf_span(&detail));
    buf_add_char(out, '}');
    buf_free(&detail);
}

static void of_command(struct buf *out, const struct job_command *command)
{
    const struct job_facts *facts = &command->facts;
    json_out_id(out, "id", &facts->id);
    json_out_text(out, "type", facts->type);
    json_out_text(out, "key", facts->key);
    json_out_number(out, "attempts", command->attempt);
    json_out_instant(out, "created_at", facts->created_at_ms);
    json_out_id(out, "effect_id", &facts->effect_id);
    job_json_redrive(out, &facts->redrive);
}

static void letter_json(const struct dead_letter *letter, struct buf *out)
{
    char fingerprint[DEAD_FINGERPRINT_SIZE];
    struct span detail = letter->detail;
    if (detail.size > DEAD_DETAIL_BYTES_MAX)
        detail.size = DEAD_DETAIL_BYTES_MAX;
    dead_letter_fingerprint(letter, fingerprint);
    buf_add_char(out, '{');
    json_out_text(out, "queue", letter->queue);
    json_out_number(out, "offset", letter->offset);
    if (letter->command)
        of_command(out, letter->command);
    failure(out, letter);
    json_out_text(out, "detail", detail);
    json_out_text(out, "fingerprint", span_of(fingerprint));
    json_out_instant(out, "died_at", letter->died_at_ms);
    json_out_text(out, "source", letter->source);
    json_out_number(out, "bytes", (int64_t)letter->record_bytes);
    buf_add_char(out, '}');
}

void dead_letter_line(const struct dead_letter *letter, struct buf *out)
{
    const struct job_facts *facts = letter->command ? &letter->command->facts : NULL;
    char identity[IDENTITY_TEXT_SIZE] = "-";
    dead_letter_group(letter, out);
    buf_printf(out, " %" PRId64 " %" PRIu32 " ", letter->died_at_ms,
               facts ? facts->redrive.number : 0);
    if (facts && facts->redrive.batch.size)
        add_word(out, facts->redrive.batch);
    else
        buf_add_char(out, '-');
    buf_add_char(out, ' ');
    if (letter->source.size)
        add_word(out, letter->source);
    else
        buf_printf(out, "-:%" PRId64, letter->offset); /* no other letter has it */
    if (facts)
        id_identity_text(&facts->id, identity);
    buf_printf(out, " %s ", identity);
    letter_json(letter, out);
}

void dead_resolution_json(const struct job_resolution *resolution, struct buf *out)
{
    buf_add_char(out, '{');
    json_out_text(out, "as", span_of(job_resolution_text(resolution->kind)));
    json_out_text(out, "batch", resolution->batch);
    if (resolution->kind == JOB_REDRIVEN)
        json_out_id(out, "job", &resolution->job);
    json_out_text(out, "who", resolution->who);
    json_out_text(out, "why", resolution->why);
    json_out_instant(out, "at", resolution->at_ms);
    json_out_text(out, "edit", resolution->edit);
    buf_add_char(out, '}');
}

/* --- reading lines --- */

static struct span take_word(struct span *rest)
{
    const char *begin = rest->data;
    const char *space = rest->size ? memchr(begin, ' ', rest->size) : NULL;
    size_t size = space ? (size_t)(space - begin) : rest->size;
    struct span word = { begin, size };
    size_t used = space ? size + 1 : size;
    *rest = (struct span){ begin + used, rest->size - used };
    return word;
}

static int64_t integer_of(struct span word)
{
    char copy[24];
    snprintf(copy, sizeof copy, "%.*s", (int)(word.size < 23 ? word.size : 23),
             (const char *)word.data);
    return strtoll(copy, NULL, 10);
}

bool dead_line_parse(struct span text, struct dead_line *ret_line)
{
    struct dead_line line = { 0 };
    line.group = take_word(&text);
    line.died_at_ms = integer_of(take_word(&text));
    line.redrives = (uint32_t)integer_of(take_word(&text));
    line.batch = take_word(&text);
    line.source = take_word(&text);
    line.identity = take_word(&text);
    line.json = text;
    if (line.group.size < DEAD_FINGERPRINT_SIZE || text.size < 2)
        return false;
    line.fingerprint = (struct span){ line.group.data, DEAD_FINGERPRINT_SIZE - 1 };
    *ret_line = line;
    return true;
}

/* --- batches --- */

void dead_batch_name(int64_t now_ms, uint32_t random, char ret_name[DEAD_BATCH_SIZE])
{
    snprintf(ret_name, DEAD_BATCH_SIZE, "%" PRId64 "-%08" PRIx32, now_ms % INT64_C(10000000000000),
             random);
}

bool dead_batch_parse(struct span name, int64_t *ret_began_ms)
{
    const char *bytes = name.data;
    if (name.size != 22 || bytes[13] != '-')
        return false;
    for (size_t i = 0; i < name.size; i++) {
        bool digit = bytes[i] >= '0' && bytes[i] <= '9';
        bool hex = digit || (bytes[i] >= 'a' && bytes[i] <= 'f');
        if (i != 13 && !(i < 13 ? digit : hex))
            return false;
    }
    *ret_began_ms = integer_of(name);
    return true;
}
