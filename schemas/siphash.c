/* See siphash.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/siphash.h"

#include "schemas/digest.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t turned(uint64_t word, unsigned by)
{
    return word << by | word >> (64 - by);
}

/* Little-endian, on any machine. */
static uint64_t word_at(const uint8_t *bytes, size_t size)
{
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static void mix(uint64_t v[4], unsigned rounds)
{
    while (rounds--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = turned(v[1], 13) ^ v[0];
        v[3] = turned(v[3], 16) ^ v[2];
        v[0] = turned(v[0], 32) + v[3];
        v[2] += v[1];
        v[1] = turned(v[1], 17) ^ v[2];
        v[3] = turned(v[3], 21) ^ v[0];
        v[2] = turned(v[2], 32);
    }
}

static void take(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    mix(v, 2);
    v[0] ^= word;
}

void siphash_secret(uint8_t ret[SIPHASH_SECRET_SIZE])
{
    if (!digest_random(ret, SIPHASH_SECRET_SIZE)) {
        fputs("the system has no random numbers to make a secret of\n", stderr);
        abort();
    }
}

uint64_t siphash(const uint8_t secret[SIPHASH_SECRET_SIZE], struct span text)
{
    const uint8_t *bytes = text.data;
    uint64_t k0 = word_at(secret, 8);
    uint64_t k1 = word_at(secret + 8, 8);
    uint64_t v[4] = { k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL,
                      k0 ^ 0x6c7967656e657261ULL, k1 ^ 0x7465646279746573ULL };
    size_t at = 0;
    for (; at + 8 <= text.size; at += 8)
        take(v, word_at(bytes + at, 8));
    uint64_t end = (uint64_t)(text.size & 0xff) << 56;
    if (at < text.size)
        end |= word_at(bytes + at, text.size - at);
    take(v, end);
    v[2] ^= 0xff;
    mix(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
