/* A stack's folder: what is made in it, who may read it, who holds it, and what its processes are.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/cli/apache.h"
#include "gateway/cli/child_env.h"
#include "gateway/cli/port.h"
#include "gateway/cli/redis_server.h"
#include "gateway/cli/stack.h"
#include "schemas/mem.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int make_folder(void **state)
{
    char name[] = "/tmp/errand-stack-test-XXXXXX";
    *state = mem_dup_text(mkdtemp(name) ? name : "");
    return **(char **)state ? 0 : 1;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static int remove_folder(void **state)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    (void)nftw(*state, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return 0;
}

static void read_text(const char *folder, const char *name, struct buf *ret_text)
{
    struct err err = { 0 };
    char *path = stack_path(folder, name);
    assert_int_equal(stack_read_file(path, 65536, ret_text, &err), ERR_OK);
    free(path);
}

static mode_t mode_of(const char *folder, const char *name)
{
    struct stat status;
    char *path = stack_path(folder, name);
    assert_int_equal(stat(path, &status), 0);
    free(path);
    return status.st_mode & 0777;
}

/* --- the folder --- */

static void test_secrets_are_made_once_and_for_their_owner_only(void **state)
{
    struct err err = { 0 };
    struct buf before = BUF_INIT(1024);
    struct buf after = BUF_INIT(1024);
    struct buf other = BUF_INIT(1024);
    char *config = stack_path(*state, "given.yaml");
    assert_int_equal(stack_write_file(config, span_of("namespace: a\n"), &err), ERR_OK);
    assert_int_equal(stack_prepare(*state, config, &err), ERR_OK);
    read_text(*state, "secrets/redis", &before);
    read_text(*state, "secrets/id", &other);
    assert_int_equal(before.size, 65);
    assert_string_not_equal(before.data, other.data);
    assert_int_equal(mode_of(*state, "secrets"), 0700);
    assert_int_equal(mode_of(*state, "secrets/redis"), 0600);
    assert_int_equal(mode_of(*state, "secrets/id"), 0600);
    assert_int_equal(stack_prepare(*state, NULL, &err), ERR_OK);
    read_text(*state, "secrets/redis", &after);
    assert_string_equal(before.data, after.data);
    buf_free(&before);
    buf_free(&after);
    buf_free(&other);
    free(config);
}

static void test_secrets_beside_a_configuration_are_still_found(void **state)
{
    struct err err;
    struct buf text = BUF_INIT(4096);
    struct buf expected = BUF_INIT(4096);
    char *config = stack_path(*state, "given.yaml");
    char *secret = stack_path(*state, "payments");
    assert_int_equal(stack_write_file(secret, span_of("x\n"), &err), ERR_OK);
    assert_int_equal(
        stack_write_file(config,
                         span_of("a: file:payments\nb: [file:secrets/none, \"file:payments\"]\n"
                                 "c: file:/etc/other # file: none\n"),
                         &err),
        ERR_OK);
    assert_int_equal(stack_prepare(*state, config, &err), ERR_OK);
    read_text(*state, "errand.yaml", &text);
    char *folder = realpath(*state, NULL);
    buf_printf(&expected,
               "a: file:%s/payments\nb: [file:secrets/none, \"file:%s/payments\"]\n"
               "c: file:/etc/other # file: none\n",
               folder, folder);
    assert_string_equal(text.data, expected.data);
    free(folder);
    buf_free(&expected);
    buf_free(&text);
    free(secret);
    free(config);
}

static void test_a_configuration_stays_until_another_is_given(void **state)
{
    struct err err = { 0 };
    struct buf text = BUF_INIT(1024);
    char *config = stack_path(*state, "given.yaml");
    assert_int_equal(stack_write_file(config, span_of("namespace: a\n"), &err), ERR_OK);
    assert_int_equal(stack_prepare(*state, config, &err), ERR_OK);
    assert_int_equal(stack_write_file(config, span_of("namespace: b\n"), &err), ERR_OK);
    assert_int_equal(stack_prepare(*state, NULL, &err), ERR_OK);
    read_text(*state, "errand.yaml", &text);
    assert_string_equal(text.data, "namespace: a\n");
    buf_free(&text);
    assert_int_equal(stack_prepare(*state, config, &err), ERR_OK);
    read_text(*state, "errand.yaml", &text);
    assert_string_equal(text.data, "namespace: b\n");
    buf_free(&text);
    assert_int_equal(stack_prepare(*state, "/does/not/exist", &err), ERR_IO);
    assert_non_null(strstr(err.text, "/does/not/exist"));
    free(config);
}

static void test_a_file_beyond_its_limit_is_refused(void **state)
{
    struct err err = { 0 };
    struct buf text = BUF_INIT(4);
    char *path = stack_path(*state, "large");
    assert_int_equal(stack_write_file(path, span_of("12345"), &err), ERR_OK);
    assert_int_equal(stack_read_file(path, 4, &text, &err), ERR_LIMIT);
    assert_int_equal(stack_read_file(path, 5, &text, &err), ERR_OK);
    buf_free(&text);
    free(path);
}

static void test_the_lock_goes_along_with_its_descriptor(void **state)
{
    int fd = -1;
    int second = -1;
    assert_false(stack_is_locked("/does/not/exist"));
    assert_false(stack_is_locked(*state));
    assert_true(stack_lock(*state, &fd));
    assert_true(stack_is_locked(*state));
    assert_false(stack_lock(*state, &second));
    int inherited = dup(fd); /* what a supervisor gets */
    (void)close(fd);
    assert_true(stack_is_locked(*state));
    (void)close(inherited);
    assert_false(stack_is_locked(*state));
    assert_true(stack_lock(*state, &fd));
    (void)close(fd);
}

/* --- its state --- */

static void fill(struct stack_state *state)
{
    *state = (struct stack_state){
        .phase = STACK_FAILED,
        .supervisor = { .pid = 10, .start_time = 20 },
        .options = { .broker = "a:1,b:2", .redis = "c:3", .redis_password = true, .workers = 3 },
        .failure = { .process = "worker-1", .why = "a \"quoted\" reason", .remedy = "errand logs" },
        .process_count = 2,
    };
    state->processes[0] =
        (struct stack_process){ .name = "broker", .address = "a:1,b:2", .ready = true };
    state->processes[1] = (struct stack_process){ .name = "worker-1",
                                                  .address = "127.0.0.1:9",
                                                  .id = { .pid = 30, .start_time = 40 },
                                                  .restarts = 5 };
}

static void test_a_state_survives_the_file(void **state)
{
    struct err err = { 0 };
    struct stack_state *before = MEM_NEW(*before);
    struct stack_state *after = MEM_NEW(*after);
    fill(before);
    assert_int_equal(stack_state_save(*state, before, &err), ERR_OK);
    assert_int_equal(stack_state_load(*state, after, &err), ERR_OK);
    assert_memory_equal(before, after, sizeof *before);
    assert_ptr_equal(stack_state_find(after, "worker-1"), &after->processes[1]);
    assert_null(stack_state_find(after, "worker-2"));
    free(before);
    free(after);
}

static void test_without_a_file_the_stack_is_new(void **state)
{
    struct err err = { 0 };
    struct stack_state *loaded = MEM_NEW(*loaded);
    assert_int_equal(stack_state_load(*state, loaded, &err), ERR_OK);
    assert_int_equal(loaded->phase, STACK_NEW);
    char *path = stack_path(*state, "state.json");
    assert_int_equal(stack_write_file(path, span_of(""), &err), ERR_OK);
    assert_int_equal(stack_state_load(*state, loaded, &err), ERR_OK);
    assert_int_equal(loaded->phase, STACK_NEW);
    free(path);
    free(loaded);
}

static void test_a_state_of_another_version_or_broken_is_refused(void **state)
{
    (void)state;
    struct err err = { 0 };
    struct stack_state *parsed = MEM_NEW(*parsed);
    assert_int_not_equal(stack_state_parse(span_of("{\"schema\":"), parsed, &err), ERR_OK);
    assert_int_equal(stack_state_parse(span_of("{\"schema\":\"errand.stack/9\"}"), parsed, &err),
                     ERR_CONFIG);
    assert_int_equal(stack_state_parse(span_of("[]"), parsed, &err), ERR_CONFIG);
    assert_int_equal(
        stack_state_parse(span_of("{\"schema\":\"errand.stack/1\",\"phase\":7,\"processes\":"
                                  "[{\"pid\":-4,\"name\":\"a\"},5],\"new\":{}}"),
                          parsed, &err),
        ERR_OK);
    assert_int_equal(parsed->phase, STACK_NEW);
    assert_int_equal(parsed->processes[0].id.pid, 0);
    assert_int_equal(parsed->options.workers, 1);
    free(parsed);
}

/* --- processes --- */

static void test_a_process_is_told_by_its_start_time(void **state)
{
    (void)state;
    struct stack_pid here = stack_pid_of(getpid());
    assert_int_equal(here.pid, getpid());
    assert_true(stack_pid_is_alive(here));
    here.start_time++;
    assert_false(stack_pid_is_alive(here));
    assert_false(stack_pid_signal(here, SIGKILL));
    assert_false(stack_pid_is_alive((struct stack_pid){ 0 }));
    assert_int_equal(stack_pid_of(0).pid, 0);
}

static pid_t start_stubborn(void)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)sigaction(SIGTERM, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
        (void)!write(ready[1], "x", 1);
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

static void test_what_is_left_behind_is_ended(void **state)
{
    (void)state;
    struct stack_state *left = MEM_NEW(*left);
    pid_t pid = start_stubborn();
    left->process_count = 2;
    left->processes[0].id = stack_pid_of(pid);
    left->processes[1].id = (struct stack_pid){ .pid = getpid(), .start_time = 1 }; /* used again */
    stack_end_leftovers(left, 50);
    assert_false(stack_pid_is_alive(left->processes[0].id)); /* a zombie has ended */
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    free(left);
}

static void test_an_environment_is_the_base_with_changes(void **state)
{
    (void)state;
    char a[] = "A=1", ab[] = "AB=2";
    char *base[] = { a, ab, NULL };
    struct child_env *env = child_env_new(base);
    child_env_set(env, "A", "3");
    child_env_set(env, "C", "");
    char *const *list = child_env_list(env);
    assert_string_equal(list[0], "A=3");
    assert_string_equal(list[1], "AB=2");
    assert_string_equal(list[2], "C=");
    assert_null(list[3]);
    child_env_free(env);
    child_env_free(NULL);
}

/* --- addresses and files of others --- */

static void test_addresses_are_split(void **state)
{
    (void)state;
    char host[STACK_ADDRESS_SIZE];
    char port[8];
    assert_true(port_split(span_of("127.0.0.1:80"), host, port));
    assert_string_equal(host, "127.0.0.1");
    assert_string_equal(port, "80");
    assert_true(port_split(span_of("[::1]:8080"), host, port));
    assert_string_equal(host, "::1");
    static const char *const wrong[] = {
        "", ":", "host", "host:", ":80", "[]:80", "host:12345678"
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(port_split(span_of(wrong[i]), host, port));
}

static void test_a_taken_address_gives_way_to_a_free_one(void **state)
{
    (void)state;
    struct err err = { 0 };
    char first[STACK_ADDRESS_SIZE];
    char second[STACK_ADDRESS_SIZE];
    char third[STACK_ADDRESS_SIZE];
    struct port_holds holds = { 0 };
    int fd = -1;
    int other = -1;
    assert_int_equal(port_listen("127.0.0.1:0", "", &fd, first, &err), ERR_OK);
    assert_true(port_answers(first, 1000));
    assert_int_equal(port_listen(first, "", &other, second, &err), ERR_OK);
    assert_string_not_equal(first, second);
    assert_int_equal(port_choose(&holds, first, third, &err), ERR_OK);
    assert_string_not_equal(first, third);
    assert_int_equal(port_choose(&holds, third, second, &err), ERR_OK);
    assert_string_not_equal(third, second); /* chosen once, it is taken before anybody uses it */
    port_holds_let_go(&holds);
    assert_false(port_answers(third, 1000));
    assert_int_equal(port_choose(&holds, third, second, &err), ERR_OK);
    assert_string_equal(third, second);
    port_holds_let_go(&holds);
    (void)close(fd);
    (void)close(other);
    assert_false(port_answers(first, 1000));
    assert_int_equal(port_listen("127.0.0.1:0", first, &fd, third, &err), ERR_OK);
    assert_string_equal(first, third);
    (void)close(fd);
    assert_int_equal(port_listen("192.0.2.1:80", "", &fd, third, &err), ERR_IO);
}

static void test_the_address_of_redis_is_read(void **state)
{
    (void)state;
    char address[STACK_BROKERS_SIZE];
    struct span password;
    struct err err = { 0 };
    assert_int_equal(redis_server_parse_url("cache:6379", address, &password, &err), ERR_OK);
    assert_string_equal(address, "cache:6379");
    assert_int_equal(password.size, 0);
    assert_int_equal(
        redis_server_parse_url("redis://:p@ss:word@[::1]:6379/", address, &password, &err), ERR_OK);
    assert_string_equal(address, "[::1]:6379");
    assert_true(span_is(password, "p@ss:word"));
    assert_int_equal(redis_server_parse_url("redis://:pw@one:1,two:2", address, &password, &err),
                     ERR_OK);
    assert_string_equal(address, "one:1,two:2");
    static const char *const wrong[] = { "redis://",
                                         "cache:1,",
                                         "cache:1,,cache:2",
                                         "cache",
                                         "redis://user:secret@cache:1",
                                         "redis://:@cache:1",
                                         "redis://:secret@cache",
                                         "redis://:secret@cache:1/2" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(redis_server_parse_url(wrong[i], address, &password, &err), ERR_USAGE);
        assert_null(strstr(err.text, "secret"));
    }
}

static void test_redis_gets_its_password_in_a_private_file(void **state)
{
    struct err err = { 0 };
    struct buf text = BUF_INIT(4096);
    struct buf secret = BUF_INIT(4096);
    char *config = stack_path(*state, "given.yaml");
    assert_int_equal(stack_write_file(config, span_of("namespace: a\n"), &err), ERR_OK);
    assert_int_equal(stack_prepare(*state, config, &err), ERR_OK);
    assert_int_equal(redis_server_configure(*state, "127.0.0.1:6399", &err), ERR_OK);
    read_text(*state, REDIS_SERVER_CONFIG, &text);
    read_text(*state, "secrets/redis", &secret);
    secret.data[secret.size - 1] = '\0';
    assert_int_equal(mode_of(*state, REDIS_SERVER_CONFIG), 0600);
    assert_non_null(strstr(text.data, "port 6399\n"));
    assert_non_null(strstr(text.data, "maxmemory-policy noeviction\n"));
    assert_non_null(strstr(text.data, secret.data));
    buf_free(&text);
    buf_free(&secret);
    free(config);
}

static void test_a_template_is_filled(void **state)
{
    (void)state;
    static const char *const values[] = { "PORT", "9092", "DIR", "/d", NULL };
    struct err err = { 0 };
    struct buf text = BUF_INIT(256);
    assert_int_equal(apache_fill(span_of("# @NAME@\nport=@PORT@\nvoter=1@host@2\ndir=@DIR@/@PORT@"),
                                 values, &text, &err),
                     ERR_OK);
    assert_string_equal(text.data, "# @NAME@\nport=9092\nvoter=1@host@2\ndir=/d/9092");
    assert_int_equal(apache_fill(span_of("x=@OTHER@"), values, &text, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "@OTHER@"));
    buf_free(&text);
}

static void test_only_one_and_three_brokers_are_ours(void **state)
{
    (void)state;
    static const struct {
        const char *broker;
        int count;
    } cases[] = {
        { "apache", 1 }, { "apache:3", 3 }, { "embedded", 0 }, { "apache:2", 0 }, { "a:1,b:2", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stack_options options = { 0 };
        (void)snprintf(options.broker, sizeof options.broker, "%s", cases[i].broker);
        assert_int_equal(stack_apache_brokers(&options), cases[i].count);
    }
}

static void test_three_brokers_know_each_other(void **state)
{
    const char *folder = *state;
    static const char *const addresses[] = { "127.0.0.1:1001", "127.0.0.1:1002", "127.0.0.1:1003" };
    struct port_holds holds = { 0 };
    struct err err = { 0 };
    assert_int_equal(stack_prepare(folder, NULL, &err), ERR_OK);
    assert_int_equal(apache_configure(folder, addresses, 3, &holds, &err), ERR_OK);
    port_holds_let_go(&holds);
    char *voters = NULL;
    for (int i = 1; i <= 3; i++) {
        char name[64];
        char line[64];
        struct buf text = BUF_INIT(65536);
        (void)snprintf(name, sizeof name, "kafka/%d/server.properties", i);
        read_text(folder, name, &text);
        (void)snprintf(line, sizeof line, "\nnode.id=%d\n", i);
        assert_non_null(strstr(text.data, line));
        (void)snprintf(line, sizeof line, "PLAINTEXT://%s,", addresses[i - 1]);
        assert_non_null(strstr(text.data, line));
        /* No two stand for election at once. */
        (void)snprintf(line, sizeof line, "\ncontroller.quorum.fetch.timeout.ms=%d\n",
                       700 + 150 * (i - 1));
        assert_non_null(strstr(text.data, line));
        assert_non_null(strstr(text.data, "\nmin.insync.replicas=2\n"));
        assert_non_null(strstr(text.data, "\noffsets.topic.replication.factor=3\n"));
        const char *own = strstr(text.data, "\ncontroller.quorum.voters=1@127.0.0.1:");
        assert_non_null(own);
        char *copy = mem_dup(((struct span){ own, strcspn(own + 1, "\n") + 1 }));
        assert_non_null(strstr(copy, ",3@127.0.0.1:"));
        if (voters)
            assert_string_equal(copy, voters); /* the same ones for all */
        free(voters);
        voters = copy;
        buf_free(&text);
    }
    free(voters);
}

static void test_the_cluster_keeps_its_id(void **state)
{
    const char *folder = *state;
    char first[APACHE_CLUSTER_ID_SIZE];
    char second[APACHE_CLUSTER_ID_SIZE];
    struct err err = { 0 };
    assert_int_equal(stack_prepare(folder, NULL, &err), ERR_OK);
    assert_int_equal(apache_cluster_id(folder, first, &err), ERR_OK);
    assert_int_equal(strlen(first), 22);
    assert_int_equal(apache_cluster_id(folder, second, &err), ERR_OK);
    assert_string_equal(first, second);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_secrets_are_made_once_and_for_their_owner_only),
        IN_FOLDER(test_secrets_beside_a_configuration_are_still_found),
        IN_FOLDER(test_a_configuration_stays_until_another_is_given),
        IN_FOLDER(test_a_file_beyond_its_limit_is_refused),
        IN_FOLDER(test_the_lock_goes_along_with_its_descriptor),
        IN_FOLDER(test_a_state_survives_the_file),
        IN_FOLDER(test_without_a_file_the_stack_is_new),
        cmocka_unit_test(test_a_state_of_another_version_or_broken_is_refused),
        cmocka_unit_test(test_a_process_is_told_by_its_start_time),
        cmocka_unit_test(test_what_is_left_behind_is_ended),
        cmocka_unit_test(test_an_environment_is_the_base_with_changes),
        cmocka_unit_test(test_addresses_are_split),
        cmocka_unit_test(test_a_taken_address_gives_way_to_a_free_one),
        cmocka_unit_test(test_the_address_of_redis_is_read),
        IN_FOLDER(test_redis_gets_its_password_in_a_private_file),
        cmocka_unit_test(test_a_template_is_filled),
        cmocka_unit_test(test_only_one_and_three_brokers_are_ours),
        IN_FOLDER(test_three_brokers_know_each_other),
        IN_FOLDER(test_the_cluster_keeps_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
