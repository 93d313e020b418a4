/* The books as text for people, and as a certificate (JSON, schema errand.books/1) for programs.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_BOOKS_REPORT_H
#define CONSUMERS_VERIFY_VERIFY_BOOKS_REPORT_H

#include "consumers/verify/verify_books_read.h"

void verify_books_text(const struct verify_books_certificate *certificate, struct buf *out);
/* With `digest` as its last member: SHA-256 over the canonical form (json_canonical) of the object
 * without it. ERR_LIMIT when it does not fit. */
enum err_code verify_books_json(const struct verify_books_certificate *certificate, struct buf *out,
                                struct err *err) MUST_CHECK;

#endif
