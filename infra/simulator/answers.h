/* What the simulator's third parties know: pure functions of the request and the seed. No clock,
 * no state: the same question always has the same answer, so that a test can say what it expects
 * and a replay sees what was seen. Each appends one JSON object to `out`. Errors: ERR_NOT_FOUND
 * for something nobody knows (with the nearest name), ERR_INVALID_PARAMETER for a question that
 * makes no sense. An empty span stands for an argument not given.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_ANSWERS_H
#define INFRA_SIMULATOR_ANSWERS_H

#include "schemas/buf.h"
#include "schemas/err.h"

/* A quotation by `author` (a surname such as "wilde", or "any") about `topic` (or anything). */
enum err_code answers_quote(uint64_t seed, struct span author, struct span topic, struct buf *out,
                            struct err *err) MUST_CHECK;
/* The price of a share; `day` is a date "2026-11-24": each day has its price. */
enum err_code answers_stock(uint64_t seed, struct span symbol, struct span day, struct buf *out,
                            struct err *err) MUST_CHECK;
/* Pictures found for `query`. */
enum err_code answers_images(uint64_t seed, struct span query, struct buf *out,
                             struct err *err) MUST_CHECK;
/* The weather in `city`; `day` is a date, without it the year's average. */
enum err_code answers_weather(uint64_t seed, struct span city, struct span day, struct buf *out,
                              struct err *err) MUST_CHECK;
/* The offset and rules of a time zone ("Europe/Berlin"); with `at` (RFC 3339) also the local time
 * then. */
enum err_code answers_time(struct span zone, struct span at, struct buf *out,
                           struct err *err) MUST_CHECK;

#endif
