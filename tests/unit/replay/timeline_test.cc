// SPDX-License-Identifier: MIT
//
// In which order records are shown, and what is said of them.
#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"
#include "tests/unit/timeline_text.h"

using namespace ovc;
using namespace ovc::test;
using namespace ovcshim;

using Lines = std::vector<std::string>;

TEST_CASE("an event stands between the calls its thread made before and after it") {
  LogBuilder b;
  LaneChunk chunk;
  for (uint64_t i = 0; i < 4; ++i) chunk.records.push_back({Op::kMalloc, 0x1000, i, 0});
  b.put_chunk(0, chunk);
  Event event = make_event(Op::kMunmap, 1050, 1060);
  event.base.call_seq = 2;
  b.put(event);
  const LogReader log(b.write());
  CHECK(timeline_of(log) == Lines{"malloc(0) = 0x1000", "malloc(1) = 0x1000", "munmap(NULL, 0) = 0",
                                  "malloc(2) = 0x1000", "malloc(3) = 0x1000"});
}

TEST_CASE("a call inside libc stands beneath the call that encloses it") {
  LogBuilder b;
  Event inner = make_event(Op::kMunmap, 1002, 1004);
  inner.base.flags = kInsideLibc;
  b.put(inner);
  b.put(make_event(Op::kFork, 1000, 1010));
  const LogReader log(b.write());
  CHECK(timeline_of(log) == Lines{"fork() = 0", "  munmap(NULL, 0) = 0"});
}

TEST_CASE("an exec that its image's start follows has succeeded") {
  LogBuilder b;
  Event exec = make_event(Op::kExecve, 1000, 0);
  exec.base.flags = kIntent;
  exec.text = "/bin/true";
  set_args(exec, {1, 1});
  b.put(exec);
  SECTION("start") {
    b.put(make_event(Op::kStart, 1100, 1100));
    const LogReader log(b.write());
    CHECK(timeline_of(log)[0] == "execve(\"/bin/true\", LD_PRELOAD kept) = 0 (new image)");
  }
  SECTION("end of the log") {
    const LogReader log(b.write());
    CHECK(timeline_of(log)[0] ==
          "execve(\"/bin/true\", LD_PRELOAD kept) = ? (had not returned when the log ends)");
  }
}

TEST_CASE("an intent and its late completion are shown once") {
  LogBuilder b;
  Event intent = make_event(Op::kWait4, 1000, 0);
  intent.base.flags = kIntent;
  b.put(intent);
  Event late = make_event(Op::kWait4, 1000, 1500);
  late.base.flags = kLateCompletion;
  late.base.result = 5;
  late.base.args[2] = 9;
  b.put(late);
  const LogReader log(b.write());
  CHECK(timeline_of(log) == Lines{"wait4(0, [killed by SIGKILL], 0) = 5"});
}
