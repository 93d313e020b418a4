/* See redis_tls.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/redis_tls.h"

#include "infra/redis_address.h"

#ifdef HAVE_HIREDIS_SSL
#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

bool redis_tls_is_possible(void)
{
    return true;
}

static SSL_CTX *make_settings(const char *ca_file)
{
    SSL_CTX *settings = SSL_CTX_new(TLS_client_method());
    if (!settings)
        return NULL;
    SSL_CTX_set_verify(settings, SSL_VERIFY_PEER, NULL);
    bool trusts = ca_file[0] ? SSL_CTX_load_verify_locations(settings, ca_file, NULL) == 1
                             : SSL_CTX_set_default_verify_paths(settings) == 1;
    if (trusts && SSL_CTX_set_min_proto_version(settings, TLS1_2_VERSION) == 1)
        return settings;
    SSL_CTX_free(settings);
    return NULL;
}

static bool expect_host(SSL *session, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host) == 1;
    return SSL_set1_host(session, host) == 1 && SSL_set_tlsext_host_name(session, host) == 1;
}

enum err_code redis_tls_begin(struct redisContext *context, const char *address,
                              const char *ca_file, struct ssl_st **ret_session, struct err *err)
{
    struct redis_address parsed;
    if (!redis_address_parse(address, &parsed))
        return err_set(err, ERR_REDIS_GONE, "%s is no address", address);
    SSL_CTX *settings = make_settings(ca_file);
    if (!settings)
        return err_set(err, ERR_REDIS_GONE, "no certificates to trust could be read from %s",
                       ca_file[0] ? ca_file : "the system's store");
    SSL *session = SSL_new(settings);
    SSL_CTX_free(settings); /* the session keeps it */
    if (!session || !expect_host(session, parsed.host)) {
        SSL_free(session);
        return err_set(err, ERR_REDIS_GONE, "TLS cannot be set up for %s", parsed.host);
    }
    if (redisInitiateSSL(context, session) != REDIS_OK) /* frees the session when it fails */
        return err_set(err, ERR_REDIS_GONE, "%s", context->errstr);
    *ret_session = session;
    return ERR_OK;
}

bool redis_tls_waits(const struct ssl_st *session)
{
    return session && !SSL_is_init_finished(session);
}

const char *redis_tls_refusal(const struct ssl_st *session)
{
    long result = session ? SSL_get_verify_result(session) : X509_V_OK;
    return result == X509_V_OK ? NULL : X509_verify_cert_error_string(result);
}
#else
bool redis_tls_is_possible(void)
{
    return false;
}

enum err_code redis_tls_begin(struct redisContext *context, const char *address,
                              const char *ca_file, struct ssl_st **ret_session, struct err *err)
{
    (void)context;
    (void)address;
    (void)ca_file;
    (void)ret_session;
    return err_set(err, ERR_REDIS_GONE, "this program was built with a hiredis without TLS");
}

bool redis_tls_waits(const struct ssl_st *session)
{
    (void)session;
    return false;
}

const char *redis_tls_refusal(const struct ssl_st *session)
{
    (void)session;
    return NULL;
}
#endif
