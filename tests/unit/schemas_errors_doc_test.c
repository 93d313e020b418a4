/* docs/PROTOCOL.md lists every error of the registry, with its class and status.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/buf.h"
#include "schemas/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char *read_protocol(void)
{
    struct buf text = BUF_INIT((size_t)1024 * 1024);
    char chunk[4096];
    FILE *file = fopen("docs/PROTOCOL.md", "re");
    assert_non_null(file); /* tests run at the top of the repository */
    for (size_t size; (size = fread(chunk, 1, sizeof chunk, file)) > 0;)
        buf_add(&text, chunk, size);
    fclose(file);
    return buf_take(&text);
}

static void every_error_is_in_the_protocol(void **state)
{
    (void)state;
    char *protocol = read_protocol();
    for (int code = 1; code < ERR_COUNT; code++) {
        char row[512];
        snprintf(row, sizeof row, "| `%s` | %s | %d | %s |", err_code_text((enum err_code)code),
                 err_class_text(err_class_of((enum err_code)code)),
                 err_http_status((enum err_code)code), err_title((enum err_code)code));
        if (!strstr(protocol, row))
            fail_msg("docs/PROTOCOL.md lacks the row %s", row);
    }
    free(protocol);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_error_is_in_the_protocol) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
