// SPDX-License-Identifier: MIT
//
// See late_store.h. The bytes of the store are put back to what they were while another thread
// runs: no two run at once.
#include "tests/trust/model/late_store.h"

#include <cstring>
#include <vector>

#include "tests/trust/model/scheduler.h"

namespace model {
namespace {

struct Late {
  unsigned char* at = nullptr;  // nullptr: none is under way
  uint32_t tid = 0;
  bool hidden = false;  // the others are running
  std::vector<unsigned char> before, after;
} late;
constexpr uint64_t kNone = UINT64_MAX;
uint64_t wanted = kNone, seen = 0;  // of the stores that may be late, which one is
bool met = false;                   // it was, in some execution

bool overlaps(const unsigned char* at, uint64_t bytes) {
  return late.at && at < late.at + late.before.size() && late.at < at + bytes;
}

void show(bool shown) {
  if (!late.at || late.hidden == !shown) return;
  if (!shown) std::memmove(late.after.data(), late.at, late.after.size());
  std::memmove(late.at, shown ? late.after.data() : late.before.data(), late.after.size());
  late.hidden = !shown;
}

void land() {
  show(true);
  late.at = nullptr;
}

}  // namespace

Result explore_each_late(const std::function<void()>& reset, const std::vector<Fiber>& fibers,
                         const std::function<std::string()>& judge, Bounds bounds, Break broken) {
  Result all;
  all.complete = true;
  met = true;
  for (wanted = 0; met && all.violation.empty(); ++wanted) {
    met = false;
    const Result each = explore(reset, fibers, judge, bounds, broken);
    all.executions += each.executions, all.points += each.points;
    all.complete &= each.complete;
    all.violation = each.violation;
  }
  wanted = kNone;
  return all;
}

void reset_late() {
  late.at = nullptr, late.hidden = false;
  seen = 0;
}

void release_fence() {
  if (late.at && late.tid == running_tid() && broken() != Break::kNoFence) land();
}

void before_store(const volatile void* to, uint64_t bytes, bool release) {
  if (wanted == kNone) return;
  auto* at = const_cast<unsigned char*>(static_cast<const volatile unsigned char*>(to));
  const bool mine = late.at && late.tid == running_tid();
  if (overlaps(at, bytes) || (mine && release && broken() != Break::kNoRelease)) land();
  if (release || late.at || seen++ != wanted) return;
  met = true;
  late.at = at, late.tid = running_tid();
  late.before.assign(at, at + bytes);
  late.after.resize(bytes);
}

void release_late_of(uint32_t tid) {
  if (late.at && late.tid == tid) land();
}

void before_switch(uint32_t from, uint32_t to) {
  if (late.at && from == late.tid) show(false);
  if (late.at && to == late.tid) show(true);
}

}  // namespace model
