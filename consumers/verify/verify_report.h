/* The verdict, as text for people and as JSON (schema errand.verdict/1) for programs.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_REPORT_H
#define CONSUMERS_VERIFY_VERIFY_REPORT_H

#include "consumers/verify/verify_judge.h"
#include "consumers/verify/verify_notes.h"

/* After verify_judge_finish. True: nothing was found. */
bool verify_report_is_clean(const struct verify_judge *judge);
void verify_report_text(const struct verify_judge *judge, const struct verify_notes *notes,
                        struct buf *out);
void verify_report_json(const struct verify_judge *judge, const struct verify_notes *notes,
                        struct buf *out);

#endif
