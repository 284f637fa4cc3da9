// SPDX-License-Identifier: MIT
//
// What the records of one kind of call tell alike: families, the break, ends of children.
#include "tools/log/call_families.h"

#include <sys/wait.h>

#include <csignal>

#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"

using namespace ovc;
using namespace ovc::test;

namespace {

Event granted(Op op, int64_t result, std::initializer_list<uint64_t> args, uint16_t flags = 0) {
  Event event = make_event(op);
  event.base.result = result;
  event.base.flags = flags;
  set_args(event, args);
  return event;
}

}  // namespace

TEST_CASE("every call is of the family that the table names", "[families]") {
  for (const OpInfo& info : all_ops()) {
    CAPTURE(info.name);
    CHECK(in_family(info.op, info.family));
    CHECK(is_malloc_op(info.op) == (info.family == Family::kMalloc));
    CHECK(is_exec(info.op) == (info.family == Family::kExec));
    CHECK(is_wait(info.op) == (info.family == Family::kWait));
    CHECK((!is_memory_op(info.op) || info.family == Family::kMemory));
  }
  CHECK_FALSE(is_memory_op(Op::kRemapFilePages));
  CHECK_FALSE(in_family(static_cast<Op>(255), Family::kMalloc));
}

TEST_CASE("where brk and sbrk leave the break", "[families]") {
  CHECK(break_after(granted(Op::kBrk, 0, {0x5000}).base) == 0x5000);
  CHECK(break_after(granted(Op::kBrk, 0x6000, {0x5000}, ovcshim::kInsideLibc).base) == 0x6000);
  CHECK(break_after(granted(Op::kSbrk, 0x5000, {0x1000}).base) == 0x6000);
  CHECK(break_after(granted(Op::kSbrk, 0x5000, {static_cast<uint64_t>(-0x1000)}).base) == 0x4000);
}

TEST_CASE("what a wait tells of a child's end", "[families]") {
  const auto by_pid = waited_for(granted(Op::kWaitpid, 7, {7, 0, SIGKILL}));
  CHECK(by_pid.pid == 7);
  CHECK(by_pid.status == SIGKILL);
  CHECK_FALSE(waited_for(granted(Op::kWait4, 7, {7, 0, ovcshim::kUnknown})).status);
  CHECK(waited_for(granted(Op::kWait4, 7, {7, 0, ovcshim::kUnknown})).pid == 7);
  CHECK(waited_for(granted(Op::kWaitpid, 7, {7, WUNTRACED, SIGSTOP << 8 | 0x7f})).pid == 0);
  CHECK(waited_for(granted(Op::kWaitpid, 0, {7, WNOHANG, 0})).pid == 0);
  CHECK(waited_for(granted(Op::kWaitid, 0, {P_PID, 7, 0, CLD_EXITED, 3, 7})).status == 3 << 8);
  CHECK(waited_for(granted(Op::kWaitid, 0, {P_PID, 7, 0, CLD_DUMPED, SIGSEGV, 7})).status ==
        SIGSEGV);
  CHECK(waited_for(granted(Op::kWaitid, 0, {P_PID, 7, 0, CLD_STOPPED, SIGSTOP, 7})).pid == 0);
  CHECK(waited_for(granted(Op::kWaitpid, 7, {7, 0, 0}, ovcshim::kIntent)).pid == 0);
}
