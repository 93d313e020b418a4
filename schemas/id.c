/* See id.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/id.h"

#include "schemas/digest.h"
#include "schemas/digits.h"
#include "schemas/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define MAC_BYTES    (sizeof(struct id) - ID_IDENTITY_BYTES)
#define COUNTER_BITS 20
#define COUNTER_MASK ((1U << COUNTER_BITS) - 1)
#define MINTER_BITS  22
#define MINTER_MASK  ((1U << MINTER_BITS) - 1)
#define TIME_MASK    ((INT64_C(1) << 48) - 1)

struct id_minter {
    struct digest_hasher *hasher;
    struct digest_hmac **macs; /* one per secret */
    size_t mac_count;
    uint32_t minter; /* random, tells this minter's ids from others' */
    /* Runs on from millisecond to millisecond, from a random start, so that two minters that drew
     * the same number would still have to be in step. Where it passes 0 within one, time moves. */
    uint32_t counter;
    int64_t time_ms; /* of the last id */
};

struct id_minter *id_minter_new(const struct span *secrets, size_t count)
{
    struct id_minter *minter = MEM_NEW(*minter);
    uint32_t random[2];
    if (!digest_random(random, sizeof random)) {
        fputs("the system has no random numbers to make job ids of\n", stderr);
        abort();
    }
    minter->minter = random[0] & MINTER_MASK;
    minter->counter = random[1] & COUNTER_MASK;
    minter->hasher = digest_hasher_new();
    minter->macs = mem_zalloc(count, sizeof(struct digest_hmac *));
    minter->mac_count = count;
    for (size_t i = 0; i < count; i++)
        minter->macs[i] = digest_hmac_new(secrets[i]);
    return minter;
}

void id_minter_free(struct id_minter *minter)
{
    if (!minter)
        return;
    for (size_t i = 0; i < minter->mac_count; i++)
        digest_hmac_free(minter->macs[i]);
    free(minter->macs);
    digest_hasher_free(minter->hasher);
    free(minter);
}

static void put_big_endian(uint8_t *out, uint64_t value, size_t size)
{
    while (size--) {
        out[size] = (uint8_t)value;
        value >>= 8;
    }
}

static uint64_t get_big_endian(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

static int version_of(const struct id *id)
{
    return id->bytes[6] >> 4;
}

static void mark(struct id *id, unsigned version)
{
    id->bytes[6] = (uint8_t)((id->bytes[6] & 0x0f) | version << 4);
    id->bytes[8] = (uint8_t)((id->bytes[8] & 0x3f) | 0x80);
}

/* The last four bytes that the identity has under one secret. */
static void compute_mac(struct digest_hmac *mac, const struct id *id, uint8_t ret[MAC_BYTES])
{
    uint8_t full[DIGEST_SIZE];
    digest_hmac_sha256(mac, (struct span){ id->bytes, ID_IDENTITY_BYTES }, full);
    memcpy(ret, full, MAC_BYTES);
}

static void seal(struct id_minter *minter, struct id *id)
{
    assert(minter->mac_count > 0);
    compute_mac(minter->macs[0], id, id->bytes + ID_IDENTITY_BYTES);
}

/* The identity of the next one. */
static void next(struct id_minter *minter, int64_t now_ms, struct id *ret)
{
    uint32_t counter = (minter->counter + 1) & COUNTER_MASK;
    if (now_ms > minter->time_ms)
        minter->time_ms = now_ms;
    else if (counter == 0)
        minter->time_ms++;
    minter->counter = counter;

    struct id id = { 0 };
    put_big_endian(id.bytes, (uint64_t)(minter->time_ms & TIME_MASK), 6);
    put_big_endian(id.bytes + 6, counter >> 8, 2);
    put_big_endian(id.bytes + 8, (uint64_t)(counter & 0xff) << MINTER_BITS | minter->minter, 4);
    mark(&id, 7);
    *ret = id;
}

void id_mint(struct id_minter *minter, int64_t now_ms, struct id *ret)
{
    next(minter, now_ms, ret);
    seal(minter, ret);
}

void id_mint_where(struct id_minter *minter, int64_t now_ms,
                   bool (*fits)(void *arg, const struct id *id), void *arg, struct id *ret)
{
    int tries = 0;
    do {
        next(minter, now_ms, ret);
    } while (++tries < ID_TRIES_MAX && !fits(arg, ret));
    seal(minter, ret);
}

void id_derive(struct id_minter *minter, struct span tenant, struct span queue, struct span key,
               struct id *ret)
{
    uint8_t sizes[3][8];
    put_big_endian(sizes[0], tenant.size, 8);
    put_big_endian(sizes[1], queue.size, 8);
    put_big_endian(sizes[2], key.size, 8);
    const struct span parts[] = {
        { sizes[0], 8 }, tenant, { sizes[1], 8 }, queue, { sizes[2], 8 }, key,
    };
    uint8_t digest[DIGEST_SIZE];
    digest_hasher_sha256(minter->hasher, parts, sizeof parts / sizeof *parts, digest);

    struct id id = { 0 };
    memcpy(id.bytes, digest, ID_IDENTITY_BYTES);
    mark(&id, 8);
    seal(minter, &id);
    *ret = id;
}

bool id_verify(struct id_minter *minter, const struct id *id)
{
    bool genuine = false;
    for (size_t i = 0; i < minter->mac_count; i++) {
        uint8_t mac[MAC_BYTES];
        compute_mac(minter->macs[i], id, mac);
        genuine |= digest_equal(mac, id->bytes + ID_IDENTITY_BYTES, MAC_BYTES);
    }
    return genuine;
}

/* Whether the text form has a dash before this byte of the id. */
static bool is_group_start(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

bool id_parse(struct span text, struct id *ret)
{
    struct id id;
    const char *p = text.data;
    if (text.size != ID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        if (is_group_start(i) && *p++ != '-')
            return false;
        int high = digits_hex(p[0]);
        int low = digits_hex(p[1]);
        if (high < 0 || low < 0)
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    int version = version_of(&id);
    if ((version != 7 && version != 8) || id.bytes[8] >> 6 != 2)
        return false;
    *ret = id;
    return true;
}

static char *put_hex(char *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    out[0] = digits[byte >> 4];
    out[1] = digits[byte & 15];
    return out + 2;
}

void id_text(const struct id *id, char ret[ID_TEXT_SIZE])
{
    char *out = ret;
    for (size_t i = 0; i < sizeof id->bytes; i++) {
        if (is_group_start(i))
            *out++ = '-';
        out = put_hex(out, id->bytes[i]);
    }
    *out = '\0';
}

void id_identity_text(const struct id *id, char ret[IDENTITY_TEXT_SIZE])
{
    char *out = ret;
    for (size_t i = 0; i < ID_IDENTITY_BYTES; i++)
        out = put_hex(out, id->bytes[i]);
    *out = '\0';
}

bool id_identity_parse(struct span text, struct id *ret)
{
    struct id id = { 0 };
    const char *digits = text.data;
    if (text.size != IDENTITY_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < ID_IDENTITY_BYTES; i++) {
        int high = digits_hex(digits[2 * i]);
        int low = digits_hex(digits[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret = id;
    return true;
}

int64_t id_time_ms(const struct id *id)
{
    return version_of(id) == 7 ? (int64_t)get_big_endian(id->bytes, 6) : -1;
}

bool id_same(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, ID_IDENTITY_BYTES) == 0;
}

uint64_t id_hash(const uint8_t secret[SIPHASH_SECRET_SIZE],
                 const uint8_t identity[ID_IDENTITY_BYTES])
{
    return siphash(secret, (struct span){ identity, ID_IDENTITY_BYTES });
}
