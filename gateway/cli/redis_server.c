/* Redis for a stack.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/redis_server.h"

#include "gateway/cli/port.h"

#include <stdio.h>
#include <stdlib.h>

#define CONFIG_BYTES_MAX ((size_t)16 * 1024)
#define SECRET_BYTES_MAX 256
#define URL_SCHEME       "redis://"

/* The view can be rebuilt from Kafka, so a second of writes may be lost; but it must never evict
 * a key on its own. A table that grows moves with the commands that use it: left to Redis's timer
 * it holds every command up for a millisecond or two, ten times a second, for minutes after many
 * jobs came. What the log of writes is rewritten to is not compressed: it costs more than the disk.
 */
static const char settings[] = "appendonly yes\n"
                               "appendfsync everysec\n"
                               "save \"\"\n"
                               "rdbcompression no\n"
                               "activerehashing no\n"
                               "maxmemory 512mb\n"
                               "maxmemory-policy noeviction\n"
                               "daemonize no\n"
                               "loglevel notice\n"
                               "logfile \"\"\n";

enum err_code redis_server_configure(const char *folder, const char *address, struct err *err)
{
    char host[STACK_ADDRESS_SIZE];
    char port[8];
    if (!port_split(span_of(address), host, port))
        return err_set(err, ERR_IO, "'%s' is no address for Redis", address);
    char *secret_path = stack_path(folder, "secrets/redis");
    struct buf secret = BUF_INIT(SECRET_BYTES_MAX);
    enum err_code code = stack_read_file(secret_path, SECRET_BYTES_MAX, &secret, err);
    free(secret_path);
    if (code != ERR_OK)
        return code;

    struct buf text = BUF_INIT(CONFIG_BYTES_MAX);
    buf_printf(&text, "bind %s\nport %s\ndir \"%s/redis\"\n%s", host, port, folder, settings);
    buf_printf(&text, "requirepass %.*s\n", (int)strcspn(secret.data, "\r\n"), secret.data);
    char *path = stack_path(folder, REDIS_SERVER_CONFIG);
    code = stack_write_file(path, buf_span(&text), err);
    explicit_bzero(secret.data, secret.size);
    explicit_bzero(text.data, text.size);
    buf_free(&secret);
    buf_free(&text);
    free(path);
    return code;
}

/* One address, or several separated by commas. */
static bool is_address_list(struct span list)
{
    const char *text = list.data;
    char host[STACK_ADDRESS_SIZE];
    char port[8];
    for (size_t from = 0; from <= list.size;) {
        const char *comma = memchr(text + from, ',', list.size - from);
        size_t to = comma ? (size_t)(comma - text) : list.size;
        if (!port_split((struct span){ .data = text + from, .size = to - from }, host, port))
            return false;
        from = to + 1;
    }
    return true;
}

enum err_code redis_server_parse_url(const char *url, char ret_address[STACK_BROKERS_SIZE],
                                     struct span *ret_password, struct err *err)
{
    static const char form[] =
        "it is written redis://[:PASSWORD@]HOST:PORT[,HOST:PORT...] or HOST:PORT[,...]";
    const char *rest =
        strncmp(url, URL_SCHEME, strlen(URL_SCHEME)) == 0 ? url + strlen(URL_SCHEME) : url;
    const char *at = strrchr(rest, '@');
    struct span password = { .data = "", .size = 0 };
    if (at && (rest[0] != ':' || at == rest + 1))
        return err_set(err, ERR_USAGE,
                       "the address of Redis has a user's name or an empty password; %s", form);
    if (at)
        password = (struct span){ .data = rest + 1, .size = (size_t)(at - rest) - 1 };
    const char *address = at ? at + 1 : rest;
    size_t length = strlen(address);
    if (length > 0 && address[length - 1] == '/')
        length--;
    struct span text = { .data = address, .size = length };
    if (length >= STACK_BROKERS_SIZE || memchr(address, '/', length) || !is_address_list(text))
        return err_set(err, ERR_USAGE, "the address of Redis cannot be read; %s", form);
    (void)snprintf(ret_address, STACK_BROKERS_SIZE, "%.*s", (int)length, address);
    *ret_password = password;
    return ERR_OK;
}
