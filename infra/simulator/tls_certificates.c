/* See tls_certificates.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/tls_certificates.h"

#include "schemas/mem.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_S = 24 * 60 * 60, KINDS_MAX = 4 };

/* Each by itself: no client takes a wildcard for all of a top-level domain. */
#define NAMES_RIGHT                                                                                \
    "DNS:localhost,DNS:right.localhost,DNS:expired.localhost,DNS:unknown.localhost,"               \
    "IP:127.0.0.1,IP:::1"

struct kind {
    const char *label;     /* the first label of the server name that asks for it */
    const char *names;     /* subjectAltName */
    bool vouched;          /* signed by the authority, not by itself */
    long ends_s, begins_s; /* from now */
};

static const struct kind kinds[KINDS_MAX] = {
    { "right", NAMES_RIGHT, true, 30L * DAY_S, -DAY_S },
    { "expired", NAMES_RIGHT, true, -DAY_S, -2L * DAY_S },
    { "other", "DNS:other.example", true, 30L * DAY_S, -DAY_S },
    { "unknown", NAMES_RIGHT, false, 30L * DAY_S, -DAY_S },
};

struct tls_certificates {
    EVP_PKEY *authority_key;
    X509 *authority;
    SSL_CTX *settings[KINDS_MAX];
};

static EVP_PKEY *make_key(void)
{
    return EVP_EC_gen("P-256");
}

static bool add_extension(X509 *certificate, int which, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, which, value);
    bool added = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool name_it(X509 *certificate, const char *name, long serial)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_set_version(certificate, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                      -1, 0) == 1;
}

static bool date_it(X509 *certificate, long begins_s, long ends_s)
{
    return X509_gmtime_adj(X509_getm_notBefore(certificate), begins_s) &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), ends_s);
}

static X509 *make_authority(EVP_PKEY *key)
{
    X509 *made = X509_new();
    if (made && name_it(made, "errand-simulator", 1) && date_it(made, -DAY_S, 30L * DAY_S) &&
        X509_set_issuer_name(made, X509_get_subject_name(made)) == 1 &&
        X509_set_pubkey(made, key) == 1 &&
        add_extension(made, NID_basic_constraints, "critical,CA:TRUE") &&
        add_extension(made, NID_key_usage, "critical,keyCertSign") &&
        X509_sign(made, key, EVP_sha256()) > 0)
        return made;
    X509_free(made);
    return NULL;
}

static X509 *make_certificate(const struct tls_certificates *all, const struct kind *kind,
                              EVP_PKEY *key)
{
    X509 *made = X509_new();
    if (made && name_it(made, kind->label, 2 + (kind - kinds)) &&
        date_it(made, kind->begins_s, kind->ends_s) &&
        X509_set_issuer_name(made, X509_get_subject_name(kind->vouched ? all->authority : made)) ==
            1 &&
        X509_set_pubkey(made, key) == 1 && add_extension(made, NID_subject_alt_name, kind->names) &&
        X509_sign(made, kind->vouched ? all->authority_key : key, EVP_sha256()) > 0)
        return made;
    X509_free(made);
    return NULL;
}

static bool make_kind(struct tls_certificates *all, size_t i)
{
    EVP_PKEY *key = make_key();
    X509 *certificate = key ? make_certificate(all, &kinds[i], key) : NULL;
    all->settings[i] = SSL_CTX_new(TLS_server_method());
    bool made = certificate && all->settings[i] &&
                SSL_CTX_use_certificate(all->settings[i], certificate) == 1 &&
                SSL_CTX_use_PrivateKey(all->settings[i], key) == 1 &&
                SSL_CTX_set_min_proto_version(all->settings[i], TLS1_2_VERSION) == 1;
    X509_free(certificate); /* the settings keep what they use */
    EVP_PKEY_free(key);
    return made;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's type */
static int on_server_name(SSL *session, int *alert, void *arg)
{
    (void)alert;
    const struct tls_certificates *all = arg;
    const char *name = SSL_get_servername(session, TLSEXT_NAMETYPE_host_name);
    if (!name)
        return SSL_TLSEXT_ERR_OK;
    size_t size = strcspn(name, ".");
    for (size_t i = 0; i < KINDS_MAX; i++) {
        if (size == strlen(kinds[i].label) && memcmp(name, kinds[i].label, size) == 0)
            (void)SSL_set_SSL_CTX(session, all->settings[i]);
    }
    return SSL_TLSEXT_ERR_OK;
}

enum err_code tls_certificates_new(struct tls_certificates **ret, struct err *err)
{
    struct tls_certificates *all = MEM_NEW(*all);
    all->authority_key = make_key();
    all->authority = all->authority_key ? make_authority(all->authority_key) : NULL;
    bool made = all->authority;
    for (size_t i = 0; i < KINDS_MAX && made; i++)
        made = make_kind(all, i);
    if (!made) {
        tls_certificates_free(all);
        return err_set(err, ERR_INTERNAL, "The simulator's certificates could not be made.");
    }
    (void)SSL_CTX_set_tlsext_servername_callback(all->settings[0], on_server_name);
    (void)SSL_CTX_set_tlsext_servername_arg(all->settings[0], all);
    *ret = all;
    return ERR_OK;
}

void tls_certificates_free(struct tls_certificates *certificates)
{
    if (!certificates)
        return;
    for (size_t i = 0; i < KINDS_MAX; i++)
        SSL_CTX_free(certificates->settings[i]);
    X509_free(certificates->authority);
    EVP_PKEY_free(certificates->authority_key);
    free(certificates);
}

void tls_certificates_authority(const struct tls_certificates *certificates, struct buf *out)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (memory && PEM_write_bio_X509(memory, certificates->authority) == 1) {
        long size = BIO_get_mem_data(memory, &text);
        buf_add(out, text, (size_t)size);
    }
    BIO_free(memory);
}

struct ssl_ctx_st *tls_certificates_settings(const struct tls_certificates *certificates)
{
    return certificates->settings[0];
}
