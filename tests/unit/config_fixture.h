/* What the tests of the configuration share: a folder with secrets, loading what is right and what
 * is wrong.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_CONFIG_FIXTURE_H
#define TESTS_UNIT_CONFIG_FIXTURE_H

#include "infra/config.h"

#include <sys/types.h>

/* Group set-up and tear-down: a folder with the secrets "id" and "password". */
int config_fixture_set_up(void **state);
int config_fixture_tear_down(void **state);
const char *config_fixture_folder(void);

extern const char *const config_fixture_no_variables[];

void config_fixture_write(const char *name, struct span bytes, mode_t mode);
void config_fixture_remove(const char *name);
/* Loads what must be right; free it with config_free. */
struct config *config_fixture_load(const char *yaml, const char *const *environment);
/* Loads what must be wrong; returns the report without the folder's name, free it with free(). */
char *config_fixture_report(struct span yaml, const char *const *environment);
/* The report is exactly `expected`, or holds `part`. */
void config_fixture_expect_with(const char *yaml, const char *const *environment,
                                const char *expected);
void config_fixture_expect(const char *yaml, const char *expected);
void config_fixture_expect_part(const char *yaml, const char *part);

#define FIXTURE_SECRETS "secrets: {id: [\"file:id\"]}\n"
#define FIXTURE_TARGET  "targets: {quotes: {base_url: \"simulator:/quotes\"}}\n"
#define FIXTURE_CALL    "{target: quotes, path: /}"

#endif
