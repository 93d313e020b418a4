/* What the fuzz targets share. A target promises more than not to crash: it asserts what the
 * functions' headers promise, and FUZZ_REQUIRE tells which promise was broken.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "schemas/buf.h"
#include "schemas/err.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer calls it with one input after the other. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the run: libFuzzer keeps the input. */
#define FUZZ_REQUIRE(promise) fuzz_require((promise), #promise, __FILE__, __LINE__)

static inline void fuzz_require(bool kept, const char *promise, const char *file, int line)
{
    if (kept)
        return;
    fprintf(stderr, "%s:%d: broken: %s\n", file, line, promise);
    abort();
}

/* The input, taken apart from its front; behind its end all is zero. */
struct fuzz_input {
    const uint8_t *at, *end;
};

static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

static inline uint32_t fuzz_u32(struct fuzz_input *input)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 8 | fuzz_byte(input);
    return value;
}

/* Up to `size` bytes. */
static inline struct span fuzz_bytes(struct fuzz_input *input, size_t size)
{
    size_t left = (size_t)(input->end - input->at);
    struct span taken = { input->at, size < left ? size : left };
    input->at += taken.size;
    return taken;
}

/* What is left. */
static inline struct span fuzz_rest(struct fuzz_input *input)
{
    return fuzz_bytes(input, SIZE_MAX);
}

/* A copy that ends where its memory does, so that reading beyond it is seen; free with free(). */
static inline struct span fuzz_exact(struct span bytes)
{
    char *copy = malloc(bytes.size ? bytes.size : 1);
    if (!copy)
        abort();
    if (bytes.size)
        memcpy(copy, bytes.data, bytes.size);
    return (struct span){ copy, bytes.size };
}

static inline void fuzz_free(struct span exact)
{
    free((void *)(uintptr_t)exact.data); /* NOLINT(performance-no-int-to-ptr) */
}

/* What err.h promises of an error that was returned. */
static inline void fuzz_require_told(enum err_code code, const struct err *err)
{
    FUZZ_REQUIRE(code > ERR_OK && code < ERR_COUNT);
    FUZZ_REQUIRE(err->code == code);
    FUZZ_REQUIRE(err->text[0] != '\0' && !strchr(err->text, '\n'));
}

#endif
