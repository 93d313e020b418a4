/* Dead letters as they are indexed: what is told of one, which failures are the same one, and the
 * texts that the view keeps. Pure: a letter's texts are functions of its record alone, so that an
 * index that is folded again has the same bytes.
 *
 * Two letters have the same fingerprint when they failed in the same way: the same code, target and
 * status, and the same detail once what tells cases apart (numbers, ids, addresses, quoted text) is
 * taken out of it. With the job's type it names a group.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_DEAD_LETTER_H
#define SCHEMAS_DEAD_LETTER_H

#include "schemas/buf.h"
#include "schemas/job.h"

#define DEAD_FINGERPRINT_SIZE 17 /* 16 hexadecimal digits and NUL */
#define DEAD_DETAIL_BYTES_MAX 1024
#define DEAD_LINE_BYTES_MAX   8192 /* of what is kept of a letter, or of its resolution */
#define DEAD_WHO_BYTES_MAX    128
#define DEAD_WHY_BYTES_MAX    512
#define DEAD_EDIT_BYTES_MAX   2048
#define DEAD_BATCH_SIZE       24 /* "1795709731123-9f86d081" and NUL, with room */

/* Spans borrow from the record. */
struct dead_letter {
    struct span queue;
    int64_t offset;                    /* on dead.<queue> */
    int64_t died_at_ms;                /* the record's timestamp */
    const struct job_command *command; /* NULL: it could not be read as one */
    struct span reason, detail, target;
    uint32_t status;     /* the target's, 0: none */
    struct span source;  /* "<topic>:<partition>:<offset>"; the same letter twice has it twice */
    size_t record_bytes; /* of its value */
};

/* Appends `detail` with what tells cases apart taken out: a word with a digit in it becomes "#",
 * what stands in double quotes "*", white space one space. Cut to 160 bytes. */
void dead_letter_normalise(struct span detail, struct buf *out);
void dead_letter_fingerprint(const struct dead_letter *letter,
                             char ret_fingerprint[DEAD_FINGERPRINT_SIZE]);
/* Appends "<fingerprint>:<type>"; what no name of a type has becomes '?'. */
void dead_letter_group(const struct dead_letter *letter, struct buf *out);
/* Appends what is told of the group, as JSON: type, reason, target, status, detail. */
void dead_letter_group_json(const struct dead_letter *letter, struct buf *out);
/* Appends the letter as the index keeps it: "<group> <died at> <redrives> <batch> <source>
 * <identity> <JSON>", "-" for what there is none of. */
void dead_letter_line(const struct dead_letter *letter, struct buf *out);
/* Appends what became of it, as JSON: as, batch, job, who, why, at, edit. */
void dead_resolution_json(const struct job_resolution *resolution, struct buf *out);

/* One line of the index, read; spans borrow from it. False when it is none. */
struct dead_line {
    struct span group, fingerprint, batch, source, identity, json;
    int64_t died_at_ms;
    uint32_t redrives;
};
bool dead_line_parse(struct span text, struct dead_line *ret_line);

/* A batch is named by when it began and 8 random digits: "<Unix ms>-<hex>". Letters that died later
 * are not its business, so that what fails again is not taken up again. */
void dead_batch_name(int64_t now_ms, uint32_t random, char ret_name[DEAD_BATCH_SIZE]);
bool dead_batch_parse(struct span name, int64_t *ret_began_ms);

#endif
