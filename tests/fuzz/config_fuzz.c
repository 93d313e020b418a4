/* The configuration: any file either loads to settings that hold together, or every mistake is a
 * line that names the file and where in it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/config.h"
#include "schemas/template.h"
#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file may name FUZZ_SECRET; ids have a secret, or nothing would ever be right. */
static const char *const variables[] = { "ERRAND_SECRETS_ID=env:FUZZ_SECRET",
                                         "FUZZ_SECRET=0123456789abcdef0123456789abcdef", NULL };

/* A file in memory; its path is good for as long as the process lives. */
static const char *file_of(struct span text)
{
    static int fd = -1;
    static char path[32];
    if (fd < 0) {
        fd = memfd_create("errand.yaml", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    FUZZ_REQUIRE(fd >= 0 && ftruncate(fd, 0) == 0);
    FUZZ_REQUIRE(pwrite(fd, text.data, text.size, 0) == (ssize_t)text.size);
    return path;
}

static void require_report(const char *report, const char *path, const struct err *err)
{
    size_t lines = 0;
    for (const char *line = report; *line; lines++) {
        const char *end = strchr(line, '\n');
        FUZZ_REQUIRE(end != NULL);
        for (const char *c = line; c < end; c++)
            FUZZ_REQUIRE((unsigned char)*c >= ' ' && *c != 0x7f);
        bool names_file = strncmp(line, path, strlen(path)) == 0 && line[strlen(path)] == ':';
        bool is_last_word = strncmp(line, "...", 3) == 0 || end[1] == '\0';
        FUZZ_REQUIRE(names_file || is_last_word);
        line = end + 1;
    }
    FUZZ_REQUIRE(lines > 0);
    FUZZ_REQUIRE(strncmp(err->text, report, strcspn(err->text, "\n") < 300 ? 20 : 300) == 0);
}

static void require_template(const char *text, enum template_kind kind)
{
    struct template *template = NULL;
    if (text && text[0]) {
        FUZZ_REQUIRE(template_compile(text, kind, &template, NULL) == ERR_OK);
        template_free(template);
    }
}

static void require_type(const struct config *config, const struct config_type *type)
{
    FUZZ_REQUIRE(type->name[0] && config_find_queue(config, span_of(type->queue)));
    FUZZ_REQUIRE(type->max_age_ms > 0 && type->retention_ms >= 0 && type->retry.attempts_max >= 1);
    FUZZ_REQUIRE(type->max_age_ms < INT64_MAX / 4 && type->retention_ms < INT64_MAX / 4);
    FUZZ_REQUIRE(type->payload_bytes_max > 0 && type->in_flight_max > 0);
    if (type->handler == CONFIG_HANDLER_RULES) {
        FUZZ_REQUIRE(type->rule && type->rule[0]);
        return;
    }
    FUZZ_REQUIRE(config_find_target(config, span_of(type->call.target)));
    require_template(type->call.path, TEMPLATE_PATH);
    require_template(type->call.body, TEMPLATE_JSON);
    for (size_t i = 0; i < type->call.query.count; i++)
        require_template(type->call.query.items[i].value, TEMPLATE_QUERY);
    for (size_t i = 0; i < type->call.headers.count; i++)
        require_template(type->call.headers.items[i].value, TEMPLATE_HEADER);
}

static void require_whole(const struct config *config)
{
    FUZZ_REQUIRE(config->namespace_[0] != '\0');
    FUZZ_REQUIRE(config->worker.in_flight_max > 0 && config->worker.window_span > 0);
    for (size_t i = 0; i < config->queue_count; i++)
        FUZZ_REQUIRE(config->queues[i].name[0] && config->queues[i].partitions > 0);
    for (size_t i = 0; i < config->target_count; i++)
        FUZZ_REQUIRE(config->targets[i].base_url[0] && config->targets[i].timeout_ms > 0);
    for (size_t i = 0; i < config->type_count; i++)
        require_type(config, &config->types[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = file_of((struct span){ data, size });
    struct config *config = NULL;
    char *report = NULL;
    struct err err = { 0 };
    enum err_code code = config_load_from(path, variables, &config, &report, &err);
    if (code) {
        fuzz_require_told(code, &err);
        FUZZ_REQUIRE(code == ERR_CONFIG && report);
        require_report(report, path, &err);
    } else {
        require_whole(config);
    }
    config_free(config);
    free(report);
    return 0;
}
