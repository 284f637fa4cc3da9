// SPDX-License-Identifier: MIT
//
// How a process ended, decided from every kind of evidence that a log can hold.
#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"
#include "tools/verdict/process_end.h"

using namespace ovc;
using namespace ovc::test;

namespace {

constexpr uint32_t kPid = 100, kParent = 50;

Event asked(Op op, uint64_t tick, uint64_t status = 0) {
  Event event = make_event(op, tick, 0);
  event.base.flags = ovcshim::kIntent;
  set_args(event, {status, ovcshim::kUnknown});
  return event;
}

Event told(uint64_t tick, int status, uint32_t pid = kPid) {
  Event event = make_event(Op::kWaitpid, 1, tick);
  event.base.pid = event.base.tid = kParent;
  event.base.result = pid;
  set_args(event, {pid, 0, static_cast<uint64_t>(status)});
  return event;
}

Event told_by_waitid(uint64_t tick, uint64_t code, uint64_t status) {
  Event event = make_event(Op::kWaitid, 1, tick);
  event.base.result = 0;
  set_args(event, {1, kPid, 0, code, status, kPid});
  return event;
}

ProcessEnd end_of(std::initializer_list<Event> events, uint64_t from = 0,
                  uint64_t to = UINT64_MAX) {
  ProcessEnds ends;
  for (const Event& event : events) ends.note(event);
  return ends.of(kPid, from, to);
}
std::string text_of(std::initializer_list<Event> events) { return end_text(end_of(events)); }

constexpr int exited(int status) { return status << 8; }

}  // namespace

TEST_CASE("one kind of evidence each") {
  CHECK(text_of({}) == "no exit recorded");
  CHECK(text_of({asked(Op::kExit, 10, 3)}) == "exited, 3");
  CHECK(text_of({asked(Op::kUnderscoreExit, 10, 256)}) == "exited, 0");
  CHECK(text_of({asked(Op::kQuickExit, 10, 2)}) == "exited, 2");
  CHECK(text_of({asked(Op::kAbort, 10)}) == "called abort");
  CHECK(text_of({make_event(Op::kEnd, 10, 10)}) == "ended normally");
  CHECK(text_of({told(10, exited(4))}) == "exited, 4");
  CHECK(text_of({told(10, SIGTERM)}) == "killed by SIGTERM");
  CHECK(text_of({told_by_waitid(10, CLD_EXITED, 6)}) == "exited, 6");
  CHECK(text_of({told_by_waitid(10, CLD_DUMPED, SIGSEGV)}) == "killed by SIGSEGV");
  CHECK(text_of({told_by_waitid(10, CLD_STOPPED, SIGSTOP)}) == "no exit recorded");
  CHECK(text_of({told(10, W_STOPCODE(SIGSTOP))}) == "no exit recorded");
}

TEST_CASE("the parent of daemon(3) has left with 0") {
  Event daemon = make_event(Op::kDaemon, 10, 20);
  daemon.base.result = 101;
  CHECK(text_of({daemon}) == "exited, 0");
  daemon.base.flags = ovcshim::kFailed;
  CHECK(text_of({daemon}) == "no exit recorded");
}

TEST_CASE("what the kernel told the parent counts, the earliest time too") {
  const ProcessEnd crashed = end_of({asked(Op::kExit, 10, 0), told(50, SIGSEGV)});
  CHECK(end_text(crashed) == "killed by SIGSEGV");
  CHECK(crashed.tick == 10);
  CHECK(crashed.seen_by == "wait");
  CHECK(end_text(end_of({asked(Op::kAbort, 10), told(50, exited(1))})) == "exited, 1");
}

TEST_CASE("abort and the SIGABRT that the parent was told of are one event with its own name") {
  const ProcessEnd end = end_of({asked(Op::kAbort, 10), told(50, SIGABRT | 0x80)});
  CHECK(end.kind == EndKind::kAborted);
  CHECK(end.seen_by == "abort");
  CHECK(is_suspicious(end));
}

TEST_CASE("the last that was asked for counts, a status more than none") {
  CHECK(text_of({asked(Op::kExit, 10, 3), make_event(Op::kEnd, 20, 20)}) == "exited, 3");
  CHECK(text_of({asked(Op::kExit, 10, 3), asked(Op::kUnderscoreExit, 20, 4)}) == "exited, 4");
  CHECK(text_of({asked(Op::kExit, 10, 3), asked(Op::kAbort, 20)}) == "called abort");
  CHECK(text_of({asked(Op::kAbort, 10), asked(Op::kUnderscoreExit, 20, 9)}) == "exited, 9");
}

TEST_CASE("a pid that comes again is another process") {
  CHECK(end_text(end_of({told(10, SIGKILL), told(90, exited(0))}, 0, 50)) == "killed by SIGKILL");
  CHECK(end_text(end_of({told(10, SIGKILL), told(90, exited(0))}, 50)) == "exited, 0");
}

TEST_CASE("which signals are suspicious") {
  const int suspicious = GENERATE(SIGKILL, SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGSYS);
  CHECK(is_suspicious(end_of({told(10, suspicious)})));
  const int plain = GENERATE(SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGALRM, SIGUSR1, SIGQUIT);
  CHECK_FALSE(is_suspicious(end_of({told(10, plain)})));
  CHECK_FALSE(is_suspicious(ProcessEnd{}));
  CHECK_FALSE(is_suspicious(end_of({told(10, exited(134))})));
}
