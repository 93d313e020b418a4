/* See config_fixture.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_fixture.h"

#include "schemas/buf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/errand-config-XXXXXX";
static char path[128];
const char *const config_fixture_no_variables[] = { NULL };

const char *config_fixture_folder(void)
{
    return folder;
}

void config_fixture_write(const char *name, struct span bytes, mode_t mode)
{
    char file[256];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    unlink(file);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.size), (ssize_t)bytes.size);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

void config_fixture_remove(const char *name)
{
    char file[256];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    unlink(file);
}

int config_fixture_set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/errand.yaml", folder);
    config_fixture_write("id", span_of("0123456789abcdef0123456789abcdef\n"), 0600);
    config_fixture_write("password", span_of("pass word\r\n"), 0600);
    return 0;
}

int config_fixture_tear_down(void **state)
{
    (void)state;
    static const char *const names[] = { "errand.yaml", "id", "password", "bad" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        config_fixture_remove(names[i]);
    return rmdir(folder);
}

struct config *config_fixture_load(const char *yaml, const char *const *environment)
{
    struct config *config = NULL;
    char *report = NULL;
    struct err err = { 0 };
    config_fixture_write("errand.yaml", span_of(yaml), 0644);
    if (config_load_from(path, environment, &config, &report, &err) != ERR_OK)
        fail_msg("%s", report);
    assert_null(report);
    return config;
}

char *config_fixture_report(struct span yaml, const char *const *environment)
{
    struct config *config = NULL;
    char *report = NULL;
    struct err err = { 0 };
    config_fixture_write("errand.yaml", yaml, 0644);
    assert_int_equal(config_load_from(path, environment, &config, &report, &err), ERR_CONFIG);
    assert_null(config);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_true(strncmp(err.text, report, strnlen(err.text, sizeof err.text - 1)) == 0);
    struct buf text = BUF_INIT(65536);
    for (const char *line = report; *line;) {
        size_t line_size = strcspn(line, "\n") + 1;
        bool named = strncmp(line, folder, strlen(folder)) == 0;
        size_t skip = named ? strlen(folder) + 1 : 0;
        buf_add(&text, line + skip, line_size - skip);
        line += line_size;
    }
    free(report);
    return buf_take(&text);
}

void config_fixture_expect_with(const char *yaml, const char *const *environment,
                                const char *expected)
{
    char *report = config_fixture_report(span_of(yaml), environment);
    assert_string_equal(report, expected);
    free(report);
}

void config_fixture_expect(const char *yaml, const char *expected)
{
    config_fixture_expect_with(yaml, config_fixture_no_variables, expected);
}

void config_fixture_expect_part(const char *yaml, const char *part)
{
    char *report = config_fixture_report(span_of(yaml), config_fixture_no_variables);
    if (!strstr(report, part))
        fail_msg("no \"%s\" in:\n%s", part, report);
    free(report);
}
