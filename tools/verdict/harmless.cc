// SPDX-License-Identifier: MIT
#include "tools/verdict/harmless.h"

#include <linux/mman.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "tools/log/call_families.h"

#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

namespace ovc {
namespace {

using ovcshim::kFailed;
using ovcshim::kInsideLibc;

constexpr size_t kLength = 1, kProt = 2, kFlags = 3, kFd = 4, kOffset = 5;
constexpr uint64_t kHugeSizeBits = uint64_t{0x3f} << MAP_HUGE_SHIFT;
constexpr unsigned kMostSteps = 64;  // of a search for a size that is granted
constexpr int64_t kSoonNs = 10'000'000;

bool is_allocator_name(std::string_view function) {
  constexpr std::string_view kNames[] = {"malloc",       "calloc",         "realloc",
                                         "reallocarray", "posix_memalign", "aligned_alloc",
                                         "memalign",     "valloc",         "pvalloc"};
  return std::find(std::begin(kNames), std::end(kNames), function) != std::end(kNames);
}

std::optional<Event> next_call(const LogReader& log, const WhyScan& scan, const Event& event) {
  const CallSpan* next = scan.next_of(event);
  return next ? log.event_at(next->position) : std::nullopt;
}

bool same_object(const Event& a, const Event& b) {
  const auto &x = a.base.args, &y = b.base.args;
  return x[kProt] == y[kProt] && x[kFd] == y[kFd] && x[kOffset] == y[kOffset];
}

// The flags say that the answer is all that was wanted: can this file be mapped so, is this address
// free.
std::string_view only_asked(const Event& event) {
  const auto& b = event.base;
  if (b.op != Op::kMmap) return "";
  if ((b.args[kFlags] & MAP_TYPE) == MAP_SHARED_VALIDATE && b.err == EOPNOTSUPP)
    return "MAP_SHARED_VALIDATE asks whether the file takes these flags; it does not";
  if ((b.args[kFlags] & MAP_FIXED_NOREPLACE) && b.err == EEXIST)
    return "MAP_FIXED_NOREPLACE asks whether the address is free; it is not";
  return "";
}

// Without huge pages a size need not be rounded up.
bool is_same_with_fewer_flags(const Event& event, const Event& again) {
  const auto &now = event.base.args, &then = again.base.args;
  if (again.base.op != Op::kMmap || !same_object(event, again)) return false;
  const bool huge = now[kFlags] & MAP_HUGETLB;
  if (huge && then[kFlags] == (now[kFlags] & ~(MAP_HUGETLB | kHugeSizeBits)))
    return then[kLength] <= now[kLength] && then[kLength] > now[kLength] / 2;
  const bool shared = (now[kFlags] & MAP_TYPE) == MAP_SHARED_VALIDATE;
  const uint64_t kept = shared ? (now[kFlags] & ~uint64_t{MAP_TYPE}) | MAP_SHARED : now[kFlags];
  const uint64_t type = shared ? MAP_SHARED : now[kFlags] & MAP_TYPE;
  if ((then[kFlags] & MAP_TYPE) != type) return false;
  const bool fewer = (then[kFlags] & ~(kept | now[kFlags])) == 0 && then[kFlags] != now[kFlags];
  return fewer && then[kLength] == now[kLength];
}

// Of one place in the program, all the way up the stack: a loop that tries.
bool is_same_place(const Event& event, const Event& again) {
  return event.base.caller == again.base.caller && event.frames == again.frames &&
         event.base.args[kFlags] == again.base.args[kFlags] && same_object(event, again);
}

// Each time at most halved, until it was granted.
bool searches_for_size(const LogReader& log, const WhyScan& scan, const Event& event) {
  if (event.base.op != Op::kMmap || event.base.err != ENOMEM) return false;
  Event at = event;
  for (unsigned step = 0; step < kMostSteps; ++step) {
    const auto again = next_call(log, scan, at);
    if (!again || again->base.op != Op::kMmap || !is_same_place(at, *again)) return false;
    const uint64_t before = at.base.args[kLength], now = again->base.args[kLength];
    if (now >= before || now < before / 2) return false;
    if (log.ticks_to_ns(static_cast<int64_t>(again->base.begin_tick - at.base.end_tick)) > kSoonNs)
      return false;
    if (!again->failed()) return true;
    at = *again;
  }
  return false;
}

// mremap without MREMAP_MAYMOVE asks whether there is room behind the mapping.
bool moved_instead(const Event& event, const Event& again) {
  const auto& b = event.base;
  if (b.op != Op::kMremap || (b.args[3] & MREMAP_MAYMOVE) || b.err != ENOMEM) return false;
  const auto& then = again.base;
  if (then.op == Op::kMmap) return then.args[kLength] >= b.args[2];
  return then.op == Op::kMremap && then.args[0] == b.args[0] && then.args[2] >= b.args[2] &&
         (then.args[3] & MREMAP_MAYMOVE);
}

// A kernel or a filter without clone3 (ENOSYS): clone does the same.
bool used_older_call(const Event& event, const Event& again) {
  return event.base.op == Op::kClone && event.base.err == ENOSYS && is_fork_op(again.base.op);
}

std::string_view found_another_way(const LogReader& log, const WhyScan& scan, const Event& event) {
  const auto again = next_call(log, scan, event);
  if (!again) return "";
  if (!again->failed()) {
    if (is_same_with_fewer_flags(event, *again))
      return event.base.args[kFlags] & MAP_HUGETLB
                 ? "the same mapping of ordinary pages was granted"
                 : "the same mapping with fewer flags was granted";
    if (moved_instead(event, *again)) return "there was no room to grow in place: it was moved";
    if (used_older_call(event, *again)) return "the older call that does the same was granted";
  }
  return searches_for_size(log, scan, event) ? "the same mapping was granted in a smaller size"
                                             : "";
}

}  // namespace

std::string_view harmless(const LogReader& log, const WhyScan& scan, Symbols& symbols,
                          const Event& event) {
  if (event.base.flags & (ovcshim::kInjected | ovcshim::kRehearsed)) {
    if (const CallSpan* outer = scan.around(event); !outer || outer->failed) return "";
  }
  constexpr std::string_view kGranted = "the allocation it was part of was granted";
  if (const auto asked = only_asked(event); !asked.empty()) return asked;
  if (const auto how = found_another_way(log, scan, event); !how.empty()) return how;
  if (const CallSpan* outer = scan.around(event)) return outer->failed ? "" : kGranted;
  if (!(event.base.flags & kInsideLibc)) return "";
  // Small allocations leave no event, but their name is on the stack.
  for (const Frame& frame : symbols.stack(event.base.image, event.frames, Detail::kNames))
    if (is_allocator_name(frame.function)) return kGranted;
  return "";
}

}  // namespace ovc
