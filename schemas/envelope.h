/* The codec between bytes and the plain structs of job.h. The wire format is envelope.proto.
 * Everything decoded is checked: size, number of fields, UTF-8 without NUL in text, ids and
 * fingerprints of their exact size, known kinds, times of the years 1970 to 9999; memory is taken
 * from one arena with a budget. Fields of newer versions are kept and carried on when a decoded
 * struct is encoded again: those of Facts, Command, Event and Record. thread: any; a decoded object
 * belongs to its caller. SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_ENVELOPE_H
#define SCHEMAS_ENVELOPE_H

#include "schemas/buf.h"
#include "schemas/job.h"

#define ENVELOPE_VERSION           1
#define ENVELOPE_BYTES_MAX         ((size_t)1024 * 1024)
#define ENVELOPE_FAILURE_BYTES_MAX ((size_t)4096) /* a failure's texts together */
/* A record is one event, what the fold adds to it, and the failure of the attempt before. */
#define ENVELOPE_RECORD_BYTES_MAX (ENVELOPE_BYTES_MAX + 2 * ENVELOPE_FAILURE_BYTES_MAX)

enum envelope_kind { ENVELOPE_COMMAND, ENVELOPE_EVENT, ENVELOPE_RESOLUTION };

struct envelope {
    enum envelope_kind kind;
    uint32_t version;
    union {
        struct job_command command;
        struct job_event event;
        struct job_resolution resolution;
    };
    struct envelope_arena *arena; /* owns what the spans point to */
};

/* ERR_ENVELOPE_INVALID, or ERR_ENVELOPE_VERSION when the version is newer than ours (the record is
 * to be held). */
enum err_code envelope_decode(struct span bytes, struct envelope **ret_envelope,
                              struct err *err) MUST_CHECK;
/* Accepts NULL. */
void envelope_free(struct envelope *envelope);

/* Append the encoded form to `out`; ERR_LIMIT when it would pass out->max or ENVELOPE_BYTES_MAX
 * (of records ENVELOPE_RECORD_BYTES_MAX). */
enum err_code envelope_encode_command(const struct job_command *command, struct buf *out,
                                      struct err *err) MUST_CHECK;
enum err_code envelope_encode_event(const struct job_event *event, struct buf *out,
                                    struct err *err) MUST_CHECK;

enum err_code envelope_encode_resolution(const struct job_resolution *resolution, struct buf *out,
                                         struct err *err) MUST_CHECK;

/* The view's records: one letter of state (job_state_letter), then a Record message. */
struct envelope_record {
    struct job_record record;
    struct envelope_arena *arena;
};
enum err_code envelope_encode_record(const struct job_record *record, struct buf *out,
                                     struct err *err) MUST_CHECK;
enum err_code envelope_decode_record(struct span bytes, struct envelope_record **ret_record,
                                     struct err *err) MUST_CHECK;
void envelope_record_free(struct envelope_record *record);

#endif
