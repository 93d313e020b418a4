/* TLS to a real Redis, where this program can speak it; where not, the configuration says so.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/redis_tls.h"

#include "schemas/buf.h"
#include "tests/unit/config_fixture.h"
#include "tests/unit/redis_scene.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LARGE = 300000 };

struct certificate {
    char key[128], file[128];
    char address[32];
};

/* Its own authority, for 127.0.0.1 and no name. */
static void make_certificate(const struct redis_scene *scene, struct certificate *made)
{
    snprintf(made->key, sizeof made->key, "%s/key.pem", scene->folder);
    snprintf(made->file, sizeof made->file, "%s/cert.pem", scene->folder);
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(null, STDERR_FILENO);
        execlp("openssl", "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
               "-subj", "/CN=errand-test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
               made->key, "-out", made->file, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Lets the server listen with TLS too, and has the client use that. */
static void turn_on(struct redis_scene *scene, struct certificate *made)
{
    make_certificate(scene, made);
    char port[16];
    snprintf(port, sizeof port, "%d", redis_scene_free_port());
    snprintf(made->address, sizeof made->address, "127.0.0.1:%s", port);
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    scene->called = 0;
    redis_command_text(scene->redis, redis_scene_on_result, scene, 10, "CONFIG", "SET",
                       "tls-cert-file", made->file, "tls-key-file", made->key, "tls-auth-clients",
                       "no", "tls-port", port);
    redis_scene_wait(scene, redis_scene_is_called);
    assert_string_equal(scene->text, "OK");
    redis_close(scene->redis);
    scene->redis = NULL;
    scene->addresses[0] = made->address;
    scene->config.tls = true;
    scene->config.ca_file = made->file;
}

static void remove_certificate(const struct certificate *made)
{
    unlink(made->key);
    unlink(made->file);
}

static bool has_failed(struct redis_scene *scene)
{
    return strstr(redis_last_error(scene->redis), "certificate") ||
           strstr(redis_last_error(scene->redis), "mismatch");
}

static void test_what_is_written_is_read(void **state)
{
    struct redis_scene *scene = *state;
    struct certificate made;
    turn_on(scene, &made);
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    char *large = calloc(1, LARGE + 1);
    memset(large, 'x', LARGE);
    redis_scene_ask(scene, "SET", "large", large);
    assert_string_equal(scene->text, "OK");
    redis_scene_ask(scene, "STRLEN", "large", NULL);
    assert_int_equal(scene->integer, LARGE);
    redis_scene_ask(scene, "GET", "large", NULL);
    assert_int_equal(strspn(scene->text, "x"), sizeof scene->text - 1);
    free(large);
    remove_certificate(&made);
}

static void test_a_certificate_of_nobody_trusted_is_refused(void **state)
{
    struct redis_scene *scene = *state;
    struct certificate made;
    char none[] = "";
    turn_on(scene, &made);
    scene->config.ca_file = none; /* the system's */
    redis_scene_open(scene, REDIS_SCENE_TIMEOUT_MS, REDIS_SCENE_PENDING_MAX);
    redis_scene_wait(scene, has_failed);
    assert_false(redis_ready(scene->redis));
    remove_certificate(&made);
}

static void test_a_certificate_for_another_name_is_refused(void **state)
{
    struct redis_scene *scene = *state;
    struct certificate made;
    turn_on(scene, &made);
    snprintf(made.address, sizeof made.address, "localhost%s", strchr(scene->addresses[0], ':'));
    redis_scene_open(scene, REDIS_SCENE_TIMEOUT_MS, REDIS_SCENE_PENDING_MAX);
    redis_scene_wait(scene, has_failed);
    assert_false(redis_ready(scene->redis));
    remove_certificate(&made);
}

/* Debian 12's hiredis has no TLS: better told at the start than by a connection that never comes.
 */
static void test_without_it_the_configuration_is_refused(void **state)
{
    (void)state;
    config_fixture_expect(
        "redis:\n  tls: true\n",
        "errand.yaml:2: redis.tls: this program was built with a hiredis without TLS (Debian 12 "
        "has no other); build it where pkg-config finds hiredis_ssl (Debian 13), or leave it out "
        "and put a TLS proxy such as stunnel beside Errand\n");
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, redis_scene_set_up, redis_scene_tear_down)

int main(void)
{
    const struct CMUnitTest with[] = {
        SCENE(test_what_is_written_is_read),
        SCENE(test_a_certificate_of_nobody_trusted_is_refused),
        SCENE(test_a_certificate_for_another_name_is_refused),
    };
    const struct CMUnitTest without[] = {
        cmocka_unit_test(test_without_it_the_configuration_is_refused),
    };
    if (redis_tls_is_possible())
        return cmocka_run_group_tests(with, NULL, NULL);
    return cmocka_run_group_tests(without, config_fixture_set_up, config_fixture_tear_down);
}
