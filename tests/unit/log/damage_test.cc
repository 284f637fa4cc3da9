// SPDX-License-Identifier: MIT
//
// Logs with random bytes in them: read to their end or refused, never a crash, a hang or an escape
// sequence.
#include <random>

#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"
#include "tests/unit/timeline_text.h"
#include "tools/verdict/stats.h"

using namespace ovc;
using namespace ovc::test;
using namespace ovcshim;

TEST_CASE("10,000 damaged logs are read to their end or refused") {
  LogBuilder b(32, 4);
  b.put(make_module(1, 0x400000, 0x500000, 0x400000, "0123456789abcdefghij", "/bin/none"));
  b.put(make_snapshot());
  for (const Op op :
       {Op::kStart, Op::kMmap, Op::kFork, Op::kWait4, Op::kExecve, Op::kMremap, Op::kWaitid}) {
    Event event = make_event(op);
    event.text = "/bin/\x1b[31mx";
    event.frames = {0x400100, 0x400200};
    b.put(event);
  }
  LaneChunk chunk;
  for (uint64_t i = 0; i < 200; ++i) chunk.records.push_back({Op::kMalloc, 0x1000, i, 0x400100});
  b.put_chunk(0, chunk);
  b.process(0).use = static_cast<uint32_t>(SlotUse::kLive);
  b.process(0).pid = 100;
  const std::vector<unsigned char> sound = b.bytes();
  std::mt19937 random(7);
  const auto below = [&](uint64_t n) {
    return std::uniform_int_distribution<uint64_t>(0, n - 1)(random);
  };
  size_t refused = 0;
  for (int round = 0; round < 10000; ++round) {
    b.bytes() = sound;
    const FileHeader header = b.header();
    for (uint64_t flips = 1 + below(8); flips > 0; --flips) {
      const uint64_t area = below(4);
      const uint64_t offset = area == 0   ? below(sizeof(FileHeader))
                              : area == 1 ? header.events.offset + below(16 * kSlotBytes)
                              : area == 2 ? header.calls.offset + below(kChunkBytes)
                                          : below(sound.size());
      b.bytes()[offset] = static_cast<unsigned char>(below(3) == 0 ? 0xff : below(256));
    }
    try {
      const LogReader log(b.write());
      Symbols symbols(log);
      const auto lines = timeline_of(log);
      for (const std::string& line : lines) REQUIRE(line.find('\x1b') == std::string::npos);
      gather_stats(log, symbols);
      log.for_each_call([](const Call&) { return true; });
    } catch (const Error&) { ++refused; }
  }
  CHECK(refused > 100);
  CHECK(refused < 9000);
}
