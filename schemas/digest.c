/* See digest.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/digest.h"

#include "schemas/mem.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <stdio.h>
#include <stdlib.h>

static void require(bool done)
{
    if (!done) {
        fputs("libcrypto cannot compute SHA-256\n", stderr);
        abort();
    }
}

struct digest_hasher {
    EVP_MD *algorithm;
    EVP_MD_CTX *context;
};

struct digest_hasher *digest_hasher_new(void)
{
    struct digest_hasher *hasher = MEM_NEW(*hasher);
    hasher->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    hasher->context = EVP_MD_CTX_new();
    require(hasher->algorithm && hasher->context);
    return hasher;
}

void digest_hasher_free(struct digest_hasher *hasher)
{
    if (!hasher)
        return;
    EVP_MD_CTX_free(hasher->context);
    EVP_MD_free(hasher->algorithm);
    free(hasher);
}

void digest_hasher_sha256(struct digest_hasher *hasher, const struct span *parts, size_t count,
                          uint8_t ret[DIGEST_SIZE])
{
    require(EVP_DigestInit_ex2(hasher->context, hasher->algorithm, NULL) == 1);
    for (size_t i = 0; i < count; i++)
        require(EVP_DigestUpdate(hasher->context, parts[i].data, parts[i].size) == 1);
    require(EVP_DigestFinal_ex(hasher->context, ret, NULL) == 1);
}

void digest_sha256(const struct span *parts, size_t count, uint8_t ret[DIGEST_SIZE])
{
    struct digest_hasher *hasher = digest_hasher_new();
    digest_hasher_sha256(hasher, parts, count, ret);
    digest_hasher_free(hasher);
}

/* The context holds the key's two hashed blocks, so that a message costs no key schedule. */
struct digest_hmac {
    EVP_MAC_CTX *context;
};

struct digest_hmac *digest_hmac_new(struct span secret)
{
    char sha256[] = "SHA256";
    OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
                            OSSL_PARAM_construct_end() };
    struct digest_hmac *hmac = MEM_NEW(*hmac);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    require(mac);
    hmac->context = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    /* A NULL key would mean "the one you have": an empty secret is a pointer too. */
    const void *key = secret.size ? secret.data : "";
    require(hmac->context && EVP_MAC_init(hmac->context, key, secret.size, params) == 1);
    return hmac;
}

void digest_hmac_free(struct digest_hmac *hmac)
{
    if (!hmac)
        return;
    EVP_MAC_CTX_free(hmac->context); /* which wipes the key */
    free(hmac);
}

void digest_hmac_sha256(struct digest_hmac *hmac, struct span data, uint8_t ret[DIGEST_SIZE])
{
    size_t size = 0;
    require(EVP_MAC_init(hmac->context, NULL, 0, NULL) == 1);
    require(EVP_MAC_update(hmac->context, data.data, data.size) == 1);
    require(EVP_MAC_final(hmac->context, ret, &size, DIGEST_SIZE) == 1 && size == DIGEST_SIZE);
}

bool digest_equal(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}

bool digest_random(void *ret, size_t size)
{
    return RAND_bytes_ex(NULL, ret, size, 0) == 1;
}
