// SPDX-License-Identifier: MIT
//
// See stack_table.h. Same rules as event_lane.cc.
#include "shim/record/stack_table.h"

#include "shim/record/state.h"

namespace ovcshim {
namespace {

// The last sixteenth of the arena is for callers alone.
constexpr uint64_t kShareForCallers = 16;

bool is_same(uint64_t word, const Stack& s, uint32_t hash) {
  if (stack_check(word) != hash || stack_frames(word) != s.count || stack_cut(word) != s.cut)
    return false;
  const uint64_t place = stack_place(word);
  if (place + 1 + s.count > g.growth.arena_words) return false;
  const uint64_t* there = g.growth.arena + place;
  if (there[0] != s.image) return false;
  for (uint32_t i = 0; i < s.count; ++i)
    if (there[1 + i] != s.frames[i]) return false;
  return true;
}

// Room for `words`, below `limit`; kUnknown: there is none.
uint64_t take_room(uint64_t words, uint64_t limit) {
  uint64_t& cursor = g.growth.header->arena_cursor;
  if (__atomic_load_n(&cursor, __ATOMIC_RELAXED) + words > limit) return kUnknown;
  const uint64_t place = __atomic_fetch_add(&cursor, words, __ATOMIC_RELAXED);
  return place + words <= limit ? place : kUnknown;
}

// What nobody else has taken room behind is given back.
void give_room_back(uint64_t place, uint64_t words) {
  uint64_t end = place + words;
  __atomic_compare_exchange_n(&g.growth.header->arena_cursor, &end, place, false, __ATOMIC_RELAXED,
                              __ATOMIC_RELAXED);
}

struct Room {
  uint64_t place = kUnknown, words = 0, word = 0;
};

// Fills the arena; the caller publishes the word.
Room write_frames(const Stack& s, uint32_t hash) {
  const uint64_t all = g.growth.arena_words, words = 1 + s.count;
  Room room{take_room(words, s.count > 1 ? all - all / kShareForCallers : all), words, 0};
  if (room.place == kUnknown) return room;
  uint64_t* to = g.growth.arena + room.place;
  __atomic_store_n(&to[0], s.image, __ATOMIC_RELAXED);
  for (uint32_t i = 0; i < s.count; ++i)
    __atomic_store_n(&to[1 + i], s.frames[i], __ATOMIC_RELAXED);
  room.word = stack_word(s.count, s.cut, room.place, hash);
  return room;
}

// kNoStack: not there, and there is no room for it. Release pairs with the acquire of whoever meets
// the word: the frames stand before it does.
uint32_t find_or_enter(const Stack& s) {
  const uint32_t hash = stack_hash(s.image, s.frames, s.count, s.cut);
  const uint64_t words = g.growth.index_words;
  uint64_t at = start_of(hash, words);
  Room room;
  for (unsigned probe = 0; probe < kProbes; ++probe, at = at + 1 < words ? at + 1 : 0) {
    uint64_t& slot = g.growth.index[at];
    uint64_t word = __atomic_load_n(&slot, __ATOMIC_ACQUIRE);
    if (word == 0) {
      if (room.place == kUnknown) room = write_frames(s, hash);
      if (room.place == kUnknown) return kNoStack;
      if (__atomic_compare_exchange_n(&slot, &word, room.word, false, __ATOMIC_RELEASE,
                                      __ATOMIC_ACQUIRE)) {
        count(g.growth.header->stacks);
        return static_cast<uint32_t>(at);
      }
    }
    if (!is_same(word, s, hash)) continue;
    if (room.place != kUnknown) give_room_back(room.place, room.words);
    return static_cast<uint32_t>(at);
  }
  if (room.place != kUnknown) give_room_back(room.place, room.words);
  return kNoStack;
}

}  // namespace

uint32_t stack_number(const Stack& stack, bool* whole) {
  Stack s = stack;
  const bool too_long = s.count > kMostStackFrames;
  if (too_long) s.count = kMostStackFrames, s.cut = true;
  const uint32_t number = s.count ? find_or_enter(s) : kNoStack;
  if (whole) *whole = number != kNoStack && !too_long;
  if (OVC_LIKELY(number != kNoStack)) return number;
  count(g.growth.header->stacks_cut);
  s.count = s.count ? 1 : 0, s.cut = true;
  return s.count ? find_or_enter(s) : kNoStack;
}

// Release and acquire: the stack that the key names stands before the key does.
uint32_t totals_row(uint32_t stack, uint32_t op, uint32_t kind) {
  const uint64_t key = totals_key(stack, op, kind), rows = g.growth.row_count;
  uint64_t at = start_of(static_cast<uint32_t>(mixed(key) >> 16), rows);
  for (unsigned probe = 0; probe < kProbes; ++probe, at = at + 1 < rows ? at + 1 : 0) {
    uint64_t& slot = g.growth.rows[at].key;
    uint64_t there = __atomic_load_n(&slot, __ATOMIC_ACQUIRE);
    if (there == 0 &&
        __atomic_compare_exchange_n(&slot, &there, key, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
      return static_cast<uint32_t>(at);
    if (there == key) return static_cast<uint32_t>(at);
  }
  return kNoRow;
}

}  // namespace ovcshim
