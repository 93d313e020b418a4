/* The lists of jobs in a real Redis: whatever goes in and out, in whatever order, each entry is in
 * one part, in the one of its time, and parts are as large as they may be. The model is a table in
 * the script itself.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/list_lua.h"
#include "tests/unit/redis_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* KEYS: unused, the set of lists. ARGV: seed, how many operations, how many moments there are, how
 * many entries. Returns "ok", or what is wrong. */
static struct redis_script random_script = {
    .source = LIST_LUA_CHANGE
    "math.randomseed(ARGV[1])\n"
    "local list, model, size, most = base .. 'j:S:default:any', {}, 0, 0\n"
    "for _ = 1, tonumber(ARGV[2]) do\n"
    "  local entry = string.format('%012d', math.random(ARGV[4]))\n"
    "  if model[entry] and math.random(3) == 1 then\n"
    "    take(list, model[entry], entry)\n"
    "    model[entry] = nil\n"
    "  elseif not model[entry] then\n"
    "    model[entry] = string.format('%.0f', 1800000000000 + math.random(ARGV[3]))\n"
    "    put(list, model[entry], entry)\n"
    "  else\n"
    "    put(list, model[entry], entry)\n"
    "  end\n"
    "  if math.random(50) == 1 then put_all() end\n"
    "end\n"
    "put_all()\n"
    "for _ in pairs(model) do size = size + 1 end\n"
    "local begins = redis.call('ZRANGE', list, 0, -1, 'WITHSCORES')\n"
    "local found = 0\n"
    "for i = 1, #begins, 2 do\n"
    "  if begins[i] ~= begins[i + 1] then return 'a part is not named after its begin' end\n"
    "  local held = redis.call('ZRANGE', part_of(list, begins[i]), 0, -1, 'WITHSCORES')\n"
    "  if #held == 0 then return 'a part is empty' end\n"
    "  if #held / 2 > most then most = #held / 2 end\n"
    "  for j = 1, #held, 2 do\n"
    "    local time, after = tonumber(held[j + 1]), tonumber(begins[i + 2])\n"
    "    if model[held[j]] ~= held[j + 1] then return 'an entry is not as it was put' end\n"
    "    if time < tonumber(begins[i]) then return 'an entry is before its part' end\n"
    "    if after and time >= after then return 'an entry is behind its part' end\n"
    "    found = found + 1\n"
    "  end\n"
    "end\n"
    "if found ~= size then return found .. ' entries instead of ' .. size end\n"
    "if most > tonumber(ARGV[5]) then return 'a part has ' .. most .. ' entries' end\n"
    "for entry, time in pairs(model) do take(list, time, entry) end\n"
    "if #redis.call('KEYS', base .. '*') > 0 then return 'something is left' end\n"
    "return 'ok'\n",
};

static void check(struct redis_scene *scene, const char *seed, const char *operations,
                  const char *moments, const char *entries, const char *most)
{
    const struct span argv[] = { SPAN_LIT("any:view"), SPAN_LIT("any:j:sets"), span_of(seed),
                                 span_of(operations),  span_of(moments),       span_of(entries),
                                 span_of(most) };
    scene->called = 0;
    redis_script_run(scene->redis, &random_script, redis_scene_on_result, scene, 2, 7, argv);
    redis_scene_wait(scene, redis_scene_is_called);
    assert_string_equal(scene->text, "ok");
}

static void test_whatever_goes_in_and_out(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    char seed[16];
    for (int i = 1; i <= 5; i++) {
        snprintf(seed, sizeof seed, "%d", i);
        check(scene, seed, "10000", "1000000000", "6000",
              LIST_PART_ENTRIES);                                      /* hardly two at once */
        check(scene, seed, "10000", "500", "6000", LIST_PART_ENTRIES); /* many at once */
        check(scene, seed, "5000", "3", "2000", "2000"); /* so many that parts cannot be parted */
        check(scene, seed, "3000", "1000000", "100", LIST_PART_ENTRIES); /* one part is enough */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whatever_goes_in_and_out, redis_scene_set_up,
                                        redis_scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
