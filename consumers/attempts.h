/* `errand-worker --attempts`: a child process of a worker that does what it is told on stdin and
 * answers on stdout (schemas/envelope_attempts.h), with the same configuration and the same
 * handlers, but no Kafka and no Redis. It ends when its parent does or wants it to.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_ATTEMPTS_H
#define CONSUMERS_ATTEMPTS_H

/* The whole main(): `config_path` NULL is the environment alone. Returns the exit code. */
int attempts_main(const char *config_path);

#endif
