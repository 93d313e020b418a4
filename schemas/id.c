/* See id.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/id.h"

#include "schemas/digest.h"
#include "schemas/mem.h"

#include <assert.h>
#include <stdlib.h>

#define COUNTER_BITS 20
#define COUNTER_MAX ((1U << COUNTER_BITS) - 1)
#define RANDOM_BITS 22
#define MAC_BYTES 4

struct id_minter {
    struct digest_hmac **secrets;
    size_t secret_count;
    uint32_t random;  /* RANDOM_BITS of it */
    int64_t time_ms;  /* of the last id */
    uint32_t counter; /* of the last id */
};

struct id_minter *id_minter_new(const struct span *secrets, size_t count)
{
    assert(count > 0);
    struct id_minter *minter = MEM_NEW(*minter);
    minter->secrets = mem_zalloc(count, sizeof(struct digest_hmac *));
    minter->secret_count = count;
    for (size_t i = 0; i < count; i++)
        minter->secrets[i] = digest_hmac_new(secrets[i]);
    if (!digest_random(&minter->random, sizeof minter->random))
        abort(); /* ids that may collide are worse than none */
    minter->random &= (1U << RANDOM_BITS) - 1;
    return minter;
}

void id_minter_free(struct id_minter *minter)
{
    if (!minter)
        return;
    for (size_t i = 0; i < minter->secret_count; i++)
        digest_hmac_free(minter->secrets[i]);
    free(minter->secrets);
    free(minter);
}

/* Version and variant, in their places (RFC 9562, section 4). */
static void stamp(struct id *id, uint8_t version)
{
    id->bytes[6] = (uint8_t)((id->bytes[6] & 0x0f) | (version << 4));
    id->bytes[8] = (uint8_t)((id->bytes[8] & 0x3f) | 0x80);
}

static void seal(struct digest_hmac *secret, const struct id *id, uint8_t ret[MAC_BYTES])
{
    uint8_t digest[DIGEST_SIZE];
    digest_hmac_sha256(secret, (struct span){ id->bytes, ID_IDENTITY_BYTES }, digest);
    memcpy(ret, digest, MAC_BYTES);
}

void id_mint(struct id_minter *minter, int64_t now_ms, struct id *ret_id)
{
    if (now_ms > minter->time_ms) {
        minter->time_ms = now_ms;
        minter->counter = 0;
    } else if (minter->counter < COUNTER_MAX) {
        minter->counter++;
    } else {
        minter->time_ms++;
        minter->counter = 0;
    }
    /* 42 bits behind the time: 12 in bytes 6 and 7, 30 in bytes 8 to 11 */
    uint64_t tail = (uint64_t)minter->random << COUNTER_BITS | minter->counter;
    uint64_t time_ms = (uint64_t)minter->time_ms;
    struct id id = { 0 };
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(time_ms >> (40 - 8 * i));
    id.bytes[6] = (uint8_t)(tail >> 38);
    id.bytes[7] = (uint8_t)(tail >> 30);
    id.bytes[8] = (uint8_t)((tail >> 24) & 0x3f);
    id.bytes[9] = (uint8_t)(tail >> 16);
    id.bytes[10] = (uint8_t)(tail >> 8);
    id.bytes[11] = (uint8_t)tail;
    stamp(&id, 7);
    seal(minter->secrets[0], &id, &id.bytes[ID_IDENTITY_BYTES]);
    *ret_id = id;
}

void id_derive(struct id_minter *minter, struct span tenant, struct span queue, struct span key, struct id *ret_id)
{
    const struct span texts[3] = { tenant, queue, key };
    uint8_t lengths[3][8];
    struct span parts[6];
    for (size_t i = 0; i < 3; i++) {
        for (int byte = 0; byte < 8; byte++)
            lengths[i][byte] = (uint8_t)((uint64_t)texts[i].size >> (56 - 8 * byte));
        parts[2 * i] = (struct span){ lengths[i], sizeof lengths[i] };
        parts[2 * i + 1] = texts[i];
    }
    uint8_t digest[DIGEST_SIZE];
    digest_sha256(parts, 6, digest);
    struct id id = { 0 };
    memcpy(id.bytes, digest, ID_IDENTITY_BYTES);
    stamp(&id, 8);
    seal(minter->secrets[0], &id, &id.bytes[ID_IDENTITY_BYTES]);
    *ret_id = id;
}

bool id_verify(struct id_minter *minter, const struct id *id)
{
    bool good = false;
    for (size_t i = 0; i < minter->secret_count; i++) {
        uint8_t mac[MAC_BYTES];
        seal(minter->secrets[i], id, mac);
        good |= digest_equal(mac, &id->bytes[ID_IDENTITY_BYTES], MAC_BYTES);
    }
    return good;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_dash(size_t place)
{
    return place == 8 || place == 13 || place == 18 || place == 23;
}

bool id_parse(struct span text, struct id *ret_id)
{
    const char *chars = text.data;
    if (text.size != ID_TEXT_SIZE - 1)
        return false;
    struct id id = { 0 };
    size_t digits = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (is_dash(i)) {
            if (chars[i] != '-')
                return false;
            continue;
        }
        int digit = digit_of(chars[i]);
        if (digit < 0)
            return false;
        id.bytes[digits / 2] = (uint8_t)(id.bytes[digits / 2] << 4 | digit);
        digits++;
    }
    int version = id.bytes[6] >> 4;
    if ((version != 7 && version != 8) || (id.bytes[8] & 0xc0) != 0x80)
        return false;
    *ret_id = id;
    return true;
}

static char *put_hex(char *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    *out++ = digits[byte >> 4];
    *out++ = digits[byte & 15];
    return out;
}

void id_text(const struct id *id, char ret[ID_TEXT_SIZE])
{
    char *out = ret;
    for (size_t i = 0; i < sizeof id->bytes; i++) {
        if (is_dash((size_t)(out - ret)))
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

int64_t id_time_ms(const struct id *id)
{
    if (id->bytes[6] >> 4 != 7)
        return -1;
    int64_t time_ms = 0;
    for (int i = 0; i < 6; i++)
        time_ms = time_ms << 8 | id->bytes[i];
    return time_ms;
}

bool id_same(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, ID_IDENTITY_BYTES) == 0;
}
