/* Claims as Lua sees them, for the scripts of the gate (gate.h) and of the recorder.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_GATE_LUA_H
#define CONSUMERS_GATE_LUA_H

/* Reads a claim: mark, turn, place, who, epoch, attempt, due, released, suspect, unbegun. */
#define GATE_LUA_PARSE                                                                             \
    "local function parse(claim)\n"                                                                \
    "  return string.match(claim, '^(x?)(%d*) ?(%S*) ?(%S*) ?(%d*) ?(%d*) ?(%d*) ?(r?) ?(s?) "     \
    "?(n?)')\n"                                                                                    \
    "end\n"

/* The log says that the job has been handed on beyond this turn: a claim that does not say so, as
 * one whose release Redis did not hear, or has lost, is released. `passed` is "<turn> <place>": of
 * the same turn another place may be the one that runs; with the place "-" the whole turn is. */
#define GATE_LUA_RELEASE_PASSED                                                                    \
    "local function release_passed(gate, passed, expiry)\n"                                        \
    "  local turn, place = string.match(passed, '^(%d+) (%S+)$')\n"                                \
    "  local mark, t, p, who, _, _, _, released = parse(redis.call('GET', gate) or '')\n"          \
    "  local mine = t == turn and (p == place or place == '-')\n"                                  \
    "  if mine and released == 'r' then return end\n"                                              \
    "  if not mine and t ~= '' and tonumber(t) >= tonumber(turn) then return end\n"                \
    "  if mine then place = p else who = '-' end\n"                                                \
    "  redis.call('SET', gate, mark .. turn .. ' ' .. place .. ' ' .. who .. ' 0 0 0 r',\n"        \
    "    'PXAT', expiry)\n"                                                                        \
    "end\n"

#endif
