// SPDX-License-Identifier: MIT
#include "shim/unwind/walk_memo.h"

#include <atomic>

namespace ovcshim {
#if defined(__x86_64__)
namespace {

using Word = std::atomic<uint64_t>;

// A register that a CFA may be told by, beside the stack pointer.
constexpr unsigned kKept = 6;

struct alignas(64) Entry {
  Word version;  // generation << 32 | sequence; odd: a writer is at work
  Word pc, sp;
  Word head;  // words | registers it rests on << 32
  Word registers[kKept];
  struct {
    Word at, value;
  } words[WalkNote::kMost];
};
static_assert(sizeof(Entry) == 512);

// A walk has a few places: the calls of one function begin at the same stack pointer.
constexpr unsigned kSetBits = 3, kWays = 4;
constexpr uint64_t kSequenceMask = 0xffffffff;
alignas(4096) constinit Entry entries[1u << kSetBits][kWays]{};

auto& set_of(const FrameState& s) {
  return entries[((s.sp ^ s.pc << 20) * 0x9e3779b97f4a7c15u) >> (64 - kSetBits)];
}

uint64_t load(const Word& word) { return word.load(std::memory_order_relaxed); }

bool is_of(const Entry& entry, uint32_t generation, const FrameState& s) {
  return load(entry.version) >> 32 == generation && load(entry.pc) == s.pc &&
         load(entry.sp) == s.sp;
}

// The one to be written over: the same walk's, one of older rules, else each in its turn.
Entry& place_for(uint32_t generation, const FrameState& s) {
  auto& set = set_of(s);
  uint64_t written = 0;
  Entry* old = nullptr;
  for (Entry& entry : set) {
    if (is_of(entry, generation, s)) return entry;
    if (load(entry.version) >> 32 != generation) old = &entry;
    written += (load(entry.version) & kSequenceMask) / 2;
  }
  return old ? *old : set[written % kWays];
}

constexpr unsigned kNumbers[kKept] = {kRbp, kRbx, kR12, kR13, kR14, kR15};
uint64_t initial(const FrameState& s, unsigned i) {
  const uint64_t values[kKept] = {s.fp, s.rbx, s.r12, s.r13, s.r14, s.r15};
  return values[i];
}

bool same_registers(const Entry& entry, const FrameState& s, uint64_t rests_on) {
  for (unsigned i = 0; i < kKept; ++i)
    if ((rests_on >> kNumbers[i] & 1) && load(entry.registers[i]) != initial(s, i)) return false;
  return true;
}
// Others are never told a CFA by in plain steps, or the walk would have ended.
bool are_kept(uint32_t rests_on) {
  for (const unsigned number : kNumbers) rests_on &= ~(1u << number);
  return rests_on == 0;
}

// The fence pairs with that of remember_walk: who saw a word of a newer writer sees its odd
// version.
unsigned recall_from(const Entry& entry, uint32_t generation, const FrameState& state,
                     StackReader& stack, uint64_t* out, unsigned max) {
  const uint64_t before = entry.version.load(std::memory_order_acquire);
  if (before >> 32 != generation || (before & 1)) return 0;
  const uint64_t head = load(entry.head);
  if (load(entry.pc) != state.pc || load(entry.sp) != state.sp) return 0;
  if (head >> 32 && !same_registers(entry, state, head >> 32)) return 0;
  unsigned frames = 1;
  out[0] = state.pc;
  for (unsigned i = 0; i < static_cast<uint32_t>(head) && i < WalkNote::kMost; ++i) {
    const uint64_t at = load(entry.words[i].at);
    uint64_t now;
    if (!stack.read(at & ~uint64_t{1}, now) || now != load(entry.words[i].value)) return 0;
    if (!(at & 1)) continue;
    if (frames == max) return 0;
    out[frames++] = now;
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  return load(entry.version) == before ? frames : 0;
}

}  // namespace

unsigned recall_walk(uint32_t generation, const FrameState& state, StackReader& stack,
                     uint64_t* out, unsigned max) {
  for (const Entry& entry : set_of(state))
    if (is_of(entry, generation, state))
      return recall_from(entry, generation, state, stack, out, max);
  return 0;
}

void remember_walk(uint32_t generation, const FrameState& state, const WalkNote& note) {
  if (!note.is_whole() || !are_kept(note.initial())) return;
  Entry& entry = place_for(generation, state);
  uint64_t seen = load(entry.version);
  if (seen & 1) return;
  const uint64_t busy = uint64_t{generation} << 32 | ((seen + 1) & kSequenceMask);
  // Acquire pairs with the previous writer's release: the words below follow that writer's.
  if (!entry.version.compare_exchange_strong(seen, busy, std::memory_order_acquire,
                                             std::memory_order_relaxed))
    return;
  std::atomic_thread_fence(std::memory_order_release);
  const auto store = [](Word& word, uint64_t to) { word.store(to, std::memory_order_relaxed); };
  store(entry.pc, state.pc), store(entry.sp, state.sp);
  store(entry.head, note.count() | uint64_t{note.initial()} << 32);
  for (unsigned i = 0; i < kKept; ++i) store(entry.registers[i], initial(state, i));
  for (unsigned i = 0; i < note.count(); ++i)
    store(entry.words[i].at, note.word(i).at), store(entry.words[i].value, note.word(i).value);
  entry.version.store(uint64_t{generation} << 32 | ((seen + 2) & kSequenceMask),
                      std::memory_order_release);
}

#else

// Where return addresses are in registers a walk rests on more than these words.
unsigned recall_walk(uint32_t, const FrameState&, StackReader&, uint64_t*, unsigned) { return 0; }
void remember_walk(uint32_t, const FrameState&, const WalkNote&) {}

#endif

}  // namespace ovcshim
