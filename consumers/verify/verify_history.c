/* See verify_history.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_history.h"

#include "schemas/json.h"

#include <errno.h>
#include <stdio.h>

static enum err_code take_line(struct verify_judge *judge, struct span text, uint32_t number,
                               struct err *err)
{
    struct history_line line;
    struct json *json = NULL;
    enum err_code code = history_parse(text, &line, &json, err);
    if (code)
        return code;
    code = verify_judge_told(judge, &line, number, err);
    json_free(json);
    return code;
}

static enum err_code place(struct err *err, const char *path, uint32_t number)
{
    struct err why = *err;
    (void)snprintf(err->text, sizeof err->text, "%.100s:%u: %.180s", path, number, why.text);
    return err->code;
}

static enum err_code read_lines(struct verify_judge *judge, FILE *file, const char *path,
                                struct err *err)
{
    char text[HISTORY_LINE_BYTES_MAX + 2];
    uint32_t number = 0;
    enum err_code code = ERR_OK;
    while (!code && fgets(text, sizeof text, file)) {
        size_t size = strlen(text);
        number++;
        if (size && text[size - 1] == '\n')
            code = take_line(judge, (struct span){ text, size - 1 }, number, err);
        else
            code = err_set(err, ERR_INVALID_JSON, "the line %s",
                           size > HISTORY_LINE_BYTES_MAX ? "is longer than 4096 bytes"
                                                         : "does not end: the file was cut off");
        if (code)
            return place(err, path, number);
    }
    char reason[128];
    if (ferror(file))
        return err_set(err, ERR_IO, "%.160s: %s", path, strerror_r(errno, reason, sizeof reason));
    return code;
}

enum err_code verify_history_read(struct verify_judge *judge, const char *path, struct err *err)
{
    struct err own = { 0 };
    char reason[128];
    FILE *file = fopen(path, "re");
    if (!err)
        err = &own;
    if (!file)
        return err_set(err, ERR_IO, "%.160s: %s", path, strerror_r(errno, reason, sizeof reason));
    enum err_code code = read_lines(judge, file, path, err);
    (void)fclose(file);
    return code;
}
