/* What the tools of this folder have in common: the clock, percentiles, the CPU they used, and how
 * they give up. thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <netinet/in.h>
#include <stdint.h>

#define NS_PER_MS 1000000
#define NS_PER_S  1000000000

/* Says what failed and why on stderr, and exits with 1. */
_Noreturn void fail(const char *what, const char *why);
/* Monotonic. */
int64_t now_ns(void);
/* What this process has used so far, user and system. */
double cpu_us(void);
/* A number from 1 to `most`; fails naming `what` otherwise. */
int64_t number_of(const char *text, int64_t most, const char *what);
/* Sorts them. */
void sort_ns(int64_t *values_ns, int64_t count);
/* Of sorted values; 0 of none. */
double percentile_ms(const int64_t *sorted_ns, int64_t count, double share);
/* A body for 202, as long as the gateway's and with an id, so that one load generator reads both.
 * It is never written to; libmicrohttpd wants it without const. */
extern char answer_body[];
/* A socket that listens at a free port of 127.0.0.1. */
int listen_anywhere(in_port_t *ret_port);
/* A signalfd of SIGTERM, SIGINT and SIGUSR1, which are blocked for all threads made later. */
int signals_fd(void);
/* An epoll set, and a descriptor more in it (readable; data.fd). */
int watch_new(void);
void watch_add(int epoll_fd, int fd);

#endif
