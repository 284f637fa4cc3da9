// SPDX-License-Identifier: MIT
#include "tests/trust/kill/same_call.h"

#include <algorithm>

namespace kill_test {

using namespace ovcshim;
using ovc::Call;
using ovc::Event;

namespace {

unsigned args_compared(Op op) {
  switch (op) {
    case Op::kMmap:
    case Op::kMremap: return 4;
    case Op::kMprotect: return 3;
    case Op::kMalloc: return 1;
    case Op::kFork: return 0;
    default: return 2;
  }
}

}  // namespace

bool is_realloc(Op op) { return op == Op::kRealloc || op == Op::kReallocarray; }

uint64_t size_of(const Entry& e) {
  switch (e.op) {
    case Op::kMalloc: return e.args[0];
    case Op::kFree: return 0;
    default: return e.args[1];
  }
}

bool is_malloc_family(Op op) { return op >= Op::kMalloc && op <= Op::kPvalloc; }
bool is_lane_call(const Entry& e) {
  return is_malloc_family(e.op) && size_of(e) < kBigRequestBytes;
}

bool same_call(const Entry& e, const Call& c, bool known) {
  if (c.op != e.op || c.size != size_of(e)) return false;
  if (e.op == Op::kFree) return c.address == e.args[0];
  if (is_realloc(e.op) && c.old_address != e.args[0] && c.old_address != kUnknown) return false;
  if ((e.op == Op::kAlignedAlloc || e.op == Op::kPosixMemalign) && c.alignment != e.args[0])
    return false;
  const uint64_t address = e.op == Op::kPosixMemalign ? e.args[2] : static_cast<uint64_t>(e.result);
  return !known || c.address == address;
}

bool same_event(const Entry& e, const Event& log, bool known) {
  const EventBase& b = log.base;
  if (b.op != e.op || !std::equal(e.args, e.args + args_compared(e.op), b.args)) return false;
  if (!known) return true;
  if (!log.returned() || log.failed() != (e.err != 0) || b.err != e.err || b.result != e.result)
    return false;
  return e.op != Op::kPosixMemalign || b.args[2] == e.args[2];
}

}  // namespace kill_test
