/* The lists of jobs as Lua sees them, for the scripts that write, read and sweep them (PROTOCOL,
 * P-54). A list lies in parts of at most LIST_PART_ENTRIES, which Redis keeps packed: some 30 bytes
 * an entry instead of 113. `<ns>:j:<list>` is a sorted set of the times at which its parts begin,
 * `<ns>:l:<list>:<begin>` the part: entries created then or later, and before the next part begins;
 * those of one moment are never parted. A script has the set of lists as KEYS[2].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_LIST_LUA_H
#define CONSUMERS_LIST_LUA_H

#define LIST_PART_ENTRIES "128" /* zset-max-listpack-entries, unless Redis is told otherwise */
#define LIST_PART_HALF    "64"

/* part_of: a part's key; begin_of: where the part begins that has this time, or nil. */
#define LIST_LUA_PARTS                                                                             \
    "local base = string.sub(KEYS[2], 1, -7)\n"                                                    \
    "local function part_of(list, begin)\n"                                                        \
    "  return base .. 'l:' .. string.sub(list, #base + 3) .. ':' .. begin\n"                       \
    "end\n"                                                                                        \
    "local function begin_of(list, time)\n"                                                        \
    "  return redis.call('ZREVRANGEBYSCORE', list, time, '-inf', 'LIMIT', 0, 1)[1]\n"              \
    "end\n"

/* put, take: an entry goes in, or out. A part that is full is halved, unless the entry lies behind
 * all of it: then the next part begins with it, so that parts which grow at their end are full.
 * What was put is there when put_all has been called, at the end: entries that go into one part, as
 * those of a batch mostly do, are written in one call. `open` has, of each list, the part that was
 * put into last. One that is full of one moment is looked at once in a while, not for each entry.
 */
#define LIST_LUA_CHANGE                                                                            \
    LIST_LUA_PARTS                                                                                 \
    "local function halve(list, part)\n"                                                           \
    "  local at = redis.call('ZRANGE', part, " LIST_PART_HALF ", " LIST_PART_HALF                  \
    ", 'WITHSCORES')[2]\n"                                                                         \
    "  if at == redis.call('ZRANGE', part, 0, 0, 'WITHSCORES')[2] then\n"                          \
    "    at = redis.call('ZRANGEBYSCORE', part, '(' .. at, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)"   \
    "[2]\n"                                                                                        \
    "  end\n"                                                                                      \
    "  if not at then return end\n"                                                                \
    "  local moved = redis.call('ZRANGEBYSCORE', part, at, '+inf', 'WITHSCORES')\n"                \
    "  local other = part_of(list, at)\n"                                                          \
    "  for i = 1, #moved, 2 do redis.call('ZADD', other, moved[i + 1], moved[i]) end\n"            \
    "  redis.call('ZREMRANGEBYSCORE', part, at, '+inf')\n"                                         \
    "  redis.call('ZADD', list, at, at)\n"                                                         \
    "end\n"                                                                                        \
    "local open = {}\n"                                                                            \
    "local function write(list)\n"                                                                 \
    "  if open[list] then redis.call('ZADD', open[list].part, unpack(open[list].put)) end\n"       \
    "  open[list] = nil\n"                                                                         \
    "end\n"                                                                                        \
    "local function put_all()\n"                                                                   \
    "  for list in pairs(open) do write(list) end\n"                                               \
    "end\n"                                                                                        \
    "local function goes_along(list, time, entry)\n"                                               \
    "  local last, at = open[list], tonumber(time)\n"                                              \
    "  if not last or last.size >= " LIST_PART_ENTRIES                                             \
    " or at < tonumber(last.begin) then return false end\n"                                        \
    "  if last.after == nil then\n"                                                                \
    "    last.after = redis.call('ZRANGEBYSCORE', list, '(' .. last.begin, '+inf',\n"              \
    "      'LIMIT', 0, 1)[1] or false\n"                                                           \
    "  end\n"                                                                                      \
    "  if last.after and at >= tonumber(last.after) then return false end\n"                       \
    "  last.size = last.size + 1\n"                                                                \
    "  last.put[#last.put + 1] = time\n"                                                           \
    "  last.put[#last.put + 1] = entry\n"                                                          \
    "  return true\n"                                                                              \
    "end\n"                                                                                        \
    "local function put(list, time, entry)\n"                                                      \
    "  if goes_along(list, time, entry) then return end\n"                                         \
    "  write(list)\n"                                                                              \
    "  local begin, new = begin_of(list, time), nil\n"                                             \
    "  if not begin then begin, new = '0', true end\n"                                             \
    "  local part = part_of(list, begin)\n"                                                        \
    "  local size = redis.call('ZCARD', part)\n"                                                   \
    "  if size >= " LIST_PART_ENTRIES " and not redis.call('ZSCORE', part, entry) then\n"          \
    "    local last = redis.call('ZREVRANGE', part, 0, 0, 'WITHSCORES')[2]\n"                      \
    "    if tonumber(time) > tonumber(last) then\n"                                                \
    "      begin, new, size = time, true, 0\n"                                                     \
    "    else\n"                                                                                   \
    "      halve(list, part)\n"                                                                    \
    "      begin = begin_of(list, time)\n"                                                         \
    "      size = redis.call('ZCARD', part_of(list, begin))\n"                                     \
    "      if size >= " LIST_PART_ENTRIES " then size = " LIST_PART_HALF " end\n"                  \
    "    end\n"                                                                                    \
    "    part = part_of(list, begin)\n"                                                            \
    "  end\n"                                                                                      \
    "  if new then redis.call('ZADD', list, begin, begin) end\n"                                   \
    "  open[list] = {part = part, begin = begin, size = size + 1, put = {time, entry}}\n"          \
    "end\n"                                                                                        \
    "local function take(list, time, entry)\n"                                                     \
    "  write(list)\n"                                                                              \
    "  local begin = begin_of(list, time)\n"                                                       \
    "  if not begin then return end\n"                                                             \
    "  local part = part_of(list, begin)\n"                                                        \
    "  redis.call('ZREM', part, entry)\n"                                                          \
    "  if redis.call('EXISTS', part) == 0 then redis.call('ZREM', list, begin) end\n"              \
    "end\n"

#endif
