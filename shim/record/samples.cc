// SPDX-License-Identifier: MIT
//
// See samples.h. Same rules as event.cc.
#include "shim/record/samples.h"

#include "shim/record/call_stack.h"
#include "shim/record/event.h"
#include "shim/record/process.h"

namespace ovcshim {
namespace {

// A short program is spared the walks and the pages that they touch.
constexpr int32_t kSparedBytes = 4 << 20;

// The process that began this image, until its first thread asks; inherited by plain memory.
constinit uint32_t g_spared_pid = 0;

// -log2(u / 2^32) for u in [1, 2^32), in 2^-20: the integer part by counting, the rest bit by bit,
// by squaring.
uint64_t minus_log2(uint64_t u) {
  const auto width = 63u - static_cast<unsigned>(__builtin_clzl(u));
  uint64_t mantissa = u << (31 - width), log = uint64_t{width} << 20;  // [2^31, 2^32)
  for (uint64_t bit = 1 << 19; bit; bit >>= 1) {
    mantissa = mantissa * mantissa >> 31;
    if (mantissa >> 32) mantissa >>= 1, log += bit;
  }
  return (uint64_t{32} << 20) - log;
}

// Bytes before the next sampled one. Drawn so that each byte asked for has the same chance,
// whatever came before it: no rhythm of the program can hide from it. (Exponential: mean * -ln(u).)
int32_t next_gap(const Hot& hot) {
  constexpr uint64_t kLn2 = 45426;  // in 2^-16
  const uint64_t drawn =
      mixed(mixed(tick_now()) ^ reinterpret_cast<uint64_t>(&hot) ^ g_private->pid) >> 32 | 1;
  return static_cast<int32_t>((minus_log2(drawn) * kLn2 >> 16) * kSampleBytes >> 20);
}

int32_t first_gap(const Hot& hot) {
  uint32_t pid = g_private->pid;
  const bool spared = __atomic_compare_exchange_n(&g_spared_pid, &pid, 0, false, __ATOMIC_RELAXED,
                                                  __ATOMIC_RELAXED);
  return next_gap(hot) + (spared ? kSparedBytes : 0);
}

// How many sampled bytes lie in the `size` that were asked for last.
uint64_t samples_due(Hot& hot, uint64_t size) {
  int32_t left = __atomic_load_n(&hot.until_sample, __ATOMIC_RELAXED);
  if (!hot.samples) hot.samples = 1, left = first_gap(hot) - static_cast<int32_t>(size);
  uint64_t due = 0;
  for (; left < 0; ++due) left += next_gap(hot) + 1;
  __atomic_store_n(&hot.until_sample, left, __ATOMIC_RELAXED);
  return due;
}

// The exact totals of the calls that map memory come first: samples take half of the room for
// stacks, a quarter more for callers alone.
enum class Room { kNone, kCaller, kWhole };
Room room_for_stack() {
  const GrowthHeader& h = *g.growth.header;
  const uint64_t words = __atomic_load_n(&h.arena_cursor, __ATOMIC_RELAXED),
                 stacks = __atomic_load_n(&h.stacks, __ATOMIC_RELAXED);
  const auto below = [&](uint64_t quarters) {
    return words < g.growth.arena_words / 4 * quarters &&
           stacks < g.growth.index_words / 4 * quarters;
  };
  return below(2) ? Room::kWhole : below(3) ? Room::kCaller : Room::kNone;
}

uint32_t stack_of(uint64_t caller, const FrameState& frame, Room room) {
  Scratch* scratch = room == Room::kWhole ? take_scratch() : nullptr;
  Stack stack = stack_of_call(frame, caller, scratch, Objects::kAsKnown);
  if (stack.count == 0) stack = {g_lineage.image, &caller, 1, true};  // OVCSHIM_STACK_DEPTH=0
  const uint32_t number = stack_number(stack);
  if (scratch) give_back(scratch);
  return number;
}

void add_samples(uint32_t stack, Op op, uint64_t due) {
  const uint32_t row = totals_row(stack, static_cast<uint32_t>(op), kKindSampled);
  if (row == kNoRow) return count(g.growth.header->samples_lost, due);
  CallTotals& totals = g.growth.rows[row];
  count(totals.calls, due);
  count(totals.asked_bytes, due * kSampleBytes);
  __atomic_store_n(&totals.last_tick, tick_now(), __ATOMIC_RELAXED);
}

}  // namespace

void spare_first_requests() { g_spared_pid = g_private->pid; }

OVC_COLD void take_sample(Hot& hot, Op op, uint64_t size, uint64_t caller) {
  const uint64_t due = samples_due(hot, size);
  if (due == 0 || !g.growth.header || g.growth.row_count == 0) return;
  GrowthHeader& header = *g.growth.header;
  __atomic_store_n(&header.sample_bytes, kSampleBytes, __ATOMIC_RELAXED);
  count(header.samples, due);
  const Room room = room_for_stack();
  if (room == Room::kNone) return count(header.samples_lost, due);
  add_samples(stack_of(caller, here(), room), op, due);
}

}  // namespace ovcshim
