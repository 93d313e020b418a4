/* Where a call may connect to: looked at in the address that was resolved, so it does not matter
 * how that was spelt, who redirected there, or what a name server said the time before. And that a
 * call is one request: curl sends again what broke on a connection that was used before, but then
 * the target may have done its work already, and nobody would count it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_client_internal.h"

#include "infra/address.h"

#include <sys/socket.h>

static bool refuses(struct http_call *call, const char *special)
{
    if (call->private_allowed || !special)
        return false;
    call->refused = special;
    return true;
}

curl_socket_t http_client_guard_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_call *call = arg;
    (void)purpose;
    if (refuses(call, address_special(&address->addr)))
        return CURL_SOCKET_BAD;
    call->opened = true;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): curl's type */
int http_client_guard_send(void *arg, char *peer_ip, char *own_ip, int peer_port, int own_port)
{
    (void)own_ip;
    (void)peer_port;
    (void)own_port;
    struct http_call *call = arg;
    if (call->sent || refuses(call, address_special_text(peer_ip)))
        return CURL_PREREQFUNC_ABORT;
    call->sent = true;
    return CURL_PREREQFUNC_OK;
}
