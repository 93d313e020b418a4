/* sentence.make: a readable sentence about a subject, or about some words, from a small grammar.
 * The seed decides all choices, so the same payload always makes the same sentence.
 *
 *   {"subject":"the night porter","seed":7}
 *   {"words":["river","clock","lantern"],"seed":7}
 *   {"seed":7}      a subject is made up
 *
 * A pattern is a text in which "@x" stands for a choice from the vocabulary (table below), "@s"
 * for the subject and "@l" for the words.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/rule_fields.h"
#include "consumers/rules.h"
#include "schemas/json.h"
#include "schemas/seeded.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define SUBJECT_BYTES_MAX 80
#define WORDS_MAX         8
#define WORD_BYTES_MAX    40
#define SEED_MAX          INT64_C(9007199254740991) /* exact in every JSON reader */
#define SENTENCE_MAX      1024

static const char *const people[] = {
    "the night porter",   "an honest clockmaker",  "the youngest gardener", "a retired pirate",
    "the lighthouse cat", "my neighbour's parrot", "a patient librarian",   "the last tram driver",
};
static const char *const verbs[] = {
    "mends", "remembers", "paints", "counts", "borrows", "listens to", "argues with", "waters",
};
static const char *const things[] = {
    "a clock that runs backwards", "the last map of the harbour", "an umbrella full of stars",
    "seven letters nobody sent",   "the silence after the rain",  "a borrowed accordion",
    "the smallest of the bridges", "a drawer of unmatched keys",
};
static const char *const moments[] = {
    "before breakfast",       "every other Thursday",         "while the kettle sings",
    "in the middle of March", "long after the lamps are lit", "whenever the tide turns",
};
static const char *const places[] = {
    "behind the old railway station", "on the roof of the library", "at the edge of the map",
    "beneath the market hall",        "between two ferries",        "in a town without a name",
};

static const char *const dreams[] = {
    "snow in July", "a second moon", "far-away trains", "the open sea", "a city of glass",
};

static const struct vocabulary {
    const char *const *entries;
    uint32_t count;
    char letter;
} vocabularies[] = {
    { people, COUNT(people), 'n' }, { verbs, COUNT(verbs), 'v' },
    { things, COUNT(things), 'o' }, { moments, COUNT(moments), 'w' },
    { places, COUNT(places), 'p' }, { dreams, COUNT(dreams), 'd' },
};

static const char *const subject_patterns[] = {
    "@s @v @o @w.",
    "@w, @s @v @o @p.",
    "@p, @s @v @o and dreams of @d.",
};
static const char *const word_patterns[] = {
    "thinking of @l, @n @v @o @w.",
    "@w, @n @v @o and dreams of @l.",
    "with @l and little else, @n @v @o @p.",
};

static_assert(COUNT(subject_patterns) == COUNT(word_patterns), "one choice serves both");

struct speaker {
    struct seeded seeded;
    struct span subject;
    struct buf list; /* the words as "a, b and c" */
};

static struct span choose(struct speaker *speaker, char letter)
{
    size_t i = 0;
    while (i < COUNT(vocabularies) && vocabularies[i].letter != letter)
        i++;
    assert(i < COUNT(vocabularies));
    return span_of(vocabularies[i].entries[seeded_below(&speaker->seeded, vocabularies[i].count)]);
}

static void speak(struct speaker *speaker, const char *pattern, struct buf *sentence)
{
    for (const char *p = pattern; *p; p++) {
        if (*p != '@') {
            buf_add_char(sentence, *p);
            continue;
        }
        p++;
        if (*p == 's')
            buf_add_span(sentence, speaker->subject);
        else if (*p == 'l')
            buf_add_span(sentence, buf_span(&speaker->list));
        else
            buf_add_span(sentence, choose(speaker, *p));
    }
    if (sentence->data[0] >= 'a' && sentence->data[0] <= 'z')
        sentence->data[0] = (char)(sentence->data[0] - 'a' + 'A');
}

static enum err_code take_words(const struct rule_fields *fields, struct speaker *speaker)
{
    const struct json *words;
    size_t count;
    enum err_code code = rule_fields_list(fields, "words", WORDS_MAX, &words, &count);
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        char name[32];
        struct span word;
        snprintf(name, sizeof name, "words[%zu]", i);
        code = rule_fields_take_text(fields, name, json_at(words, i), WORD_BYTES_MAX, &word);
        if (code)
            break;
        if (i)
            buf_add_text(&speaker->list, i + 1 == count ? " and " : ", ");
        buf_add_span(&speaker->list, word);
    }
    return code;
}

static enum err_code take_seed(const struct rule_fields *fields, struct speaker *speaker,
                               int64_t *ret_seed)
{
    *ret_seed = 0;
    if (rule_fields_has(fields, "seed")) {
        enum err_code code = rule_fields_integer(fields, "seed", 0, SEED_MAX, ret_seed);
        if (code)
            return code;
    }
    seeded_init(&speaker->seeded, (uint64_t)*ret_seed);
    return ERR_OK;
}

static enum err_code take_topic(const struct rule_fields *fields, struct speaker *speaker)
{
    bool words = rule_fields_has(fields, "words");
    bool subject = rule_fields_has(fields, "subject");
    if (words && subject)
        return rule_fields_refuse(fields, "words", "and subject exclude each other");
    if (words)
        return take_words(fields, speaker);
    if (subject)
        return rule_fields_text(fields, "subject", SUBJECT_BYTES_MAX, &speaker->subject);
    speaker->subject = choose(speaker, 'n');
    return ERR_OK;
}

static void write_sentence(struct speaker *speaker, struct buf *out)
{
    struct buf sentence = BUF_INIT(SENTENCE_MAX);
    bool words = speaker->list.size > 0;
    seeded_mix(&speaker->seeded, words ? buf_span(&speaker->list) : speaker->subject);
    uint32_t pattern = seeded_below(&speaker->seeded, COUNT(subject_patterns));
    speak(speaker, words ? word_patterns[pattern] : subject_patterns[pattern], &sentence);
    buf_add_json_string(out, buf_span(&sentence));
    buf_free(&sentence);
}

enum err_code rule_sentence_run(const struct rule_input *input, struct buf *ret_result,
                                struct err *err)
{
    static const char *const names[] = { "subject", "words", "seed", NULL };
    struct rule_fields fields = { .place = "", .err = err };
    struct speaker speaker = { .list = BUF_INIT(WORDS_MAX * (WORD_BYTES_MAX + sizeof " and ")) };
    int64_t seed = 0;
    enum err_code code = rule_fields_open(&fields, input->payload, names);
    if (code == ERR_OK)
        code = take_seed(&fields, &speaker, &seed);
    if (code == ERR_OK)
        code = take_topic(&fields, &speaker);
    if (code == ERR_OK) {
        buf_add_text(ret_result, "{\"sentence\":");
        write_sentence(&speaker, ret_result);
        buf_printf(ret_result, ",\"seed\":%" PRId64 "}", seed);
    }
    buf_free(&speaker.list);
    return code;
}
