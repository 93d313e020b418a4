/* The third party's ledger (the simulator's GET /ledger), a page at a time, into the judge.
 * thread: the caller's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_LEDGER_H
#define CONSUMERS_VERIFY_VERIFY_LEDGER_H

#include "consumers/verify/verify_judge.h"
#include "consumers/verify/verify_notes.h"

struct json;

struct verify_page {
    size_t calls;
    int64_t next;    /* `since` of the next page */
    int64_t dropped; /* calls that the ledger has forgotten: then nothing follows from what it has
                        not */
};
/* {"calls":[...],"next":N,"dropped":N}. ERR_INVALID_FIELD when it is no such page. */
enum err_code verify_ledger_page(struct verify_judge *judge, const struct json *page,
                                 struct verify_page *ret_page, struct err *err) MUST_CHECK;
/* A file of such pages, a line each. */
enum err_code verify_ledger_read(struct verify_judge *judge, const char *path, int64_t *ret_dropped,
                                 struct err *err) MUST_CHECK;

#endif
