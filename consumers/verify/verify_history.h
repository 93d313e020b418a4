/* A history file (schemas/history.h), read line by line into the judge. Whatever cannot be read is
 * an error that names file and line: a verdict over half a history is none.
 * thread: the caller's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_HISTORY_H
#define CONSUMERS_VERIFY_VERIFY_HISTORY_H

#include "consumers/verify/verify_judge.h"

/* ERR_IO when the file cannot be read; else what history_parse and verify_judge_told return, their
 * text with "FILE:LINE: " before it. */
enum err_code verify_history_read(struct verify_judge *judge, const char *path,
                                  struct err *err) MUST_CHECK;

#endif
