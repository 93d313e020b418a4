/* See redis_args.h. While the store grows it may move: an argument is known by its size alone until
 * the list is asked for. SPDX-License-Identifier: Apache-2.0 */
#include "infra/redis_args.h"

#include "schemas/mem.h"

#include <stdlib.h>

#define FIRST_CAPACITY 16

/* Of a length in Redis' protocol, with what stands around it. */
#define HEAD_BYTES_MAX 24

void redis_args_free(struct redis_args *args)
{
    buf_free(&args->store);
    free(args->argv);
    args->argv = NULL;
    args->count = args->capacity = 0;
}

void redis_args_begin(struct redis_args *args)
{
    args->begun_at = args->store.size;
}

void redis_args_end(struct redis_args *args)
{
    if (args->count == args->capacity) {
        args->capacity = args->capacity ? 2 * args->capacity : FIRST_CAPACITY;
        args->argv = mem_resize(args->argv, args->capacity, sizeof *args->argv);
    }
    args->argv[args->count++] = (struct span){ .size = args->store.size - args->begun_at };
}

void redis_args_text(struct redis_args *args, const char *text)
{
    redis_args_begin(args);
    buf_add_text(&args->store, text);
    redis_args_end(args);
}

void redis_args_int(struct redis_args *args, int64_t value)
{
    redis_args_begin(args);
    buf_add_int(&args->store, value);
    redis_args_end(args);
}

const struct span *redis_args_list(struct redis_args *args)
{
    const char *place = buf_span(&args->store).data;
    for (size_t i = 0; i < args->count; i++) {
        args->argv[i].data = place;
        place += args->argv[i].size;
    }
    return args->argv;
}

/* --- the protocol --- */

/* "<kind><number>\r\n" */
static char *put_head(char *at, char kind, size_t number)
{
    char digits[HEAD_BYTES_MAX];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    *at++ = kind;
    while (count)
        *at++ = digits[--count];
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

/* By hand: hiredis prints every length, which is most of what a call with a thousand words costs.
 */
char *redis_args_format(size_t argc, const struct span *argv, size_t *ret_size)
{
    size_t room = HEAD_BYTES_MAX;
    for (size_t i = 0; i < argc; i++)
        room += HEAD_BYTES_MAX + argv[i].size + 2;
    char *bytes = mem_resize(NULL, room, 1);
    char *at = put_head(bytes, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        at = put_head(at, '$', argv[i].size);
        if (argv[i].size)
            memcpy(at, argv[i].data, argv[i].size);
        at += argv[i].size;
        *at++ = '\r';
        *at++ = '\n';
    }
    *ret_size = (size_t)(at - bytes);
    return bytes;
}
