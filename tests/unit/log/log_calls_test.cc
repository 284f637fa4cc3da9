// SPDX-License-Identifier: MIT
//
// The call lane as it is read: order, time marks, chunks that change hands or make no sense.
#include <cstring>

#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"
#include "tools/log/log_reader.h"

using namespace ovc;
using namespace ovc::test;
using namespace ovcshim;

namespace {

std::vector<Call> calls_of(const LogReader& log) {
  std::vector<Call> list;
  log.for_each_call([&](const Call& call) {
    list.push_back(call);
    return true;
  });
  return list;
}

}  // namespace

TEST_CASE("an empty log has no calls") {
  LogBuilder b;
  const LogReader log(b.write());
  CHECK(calls_of(log).empty());
}

TEST_CASE("calls keep the order of their thread over groups and chunks") {
  LogBuilder b;
  LaneChunk first, second;
  for (uint64_t i = 0; i < 30; ++i)
    first.records.push_back({Op::kMalloc, 0x1000 + i * 16, i, 0x400});
  second.claim = 7, second.first_seq = 237, second.opened_tick = 9000,
  second.records = {{Op::kFree, 0x1000}};
  b.put_chunk(3, second);
  b.put_chunk(1, first);
  const LogReader log(b.write());
  const auto list = calls_of(log);
  REQUIRE(list.size() == 31);
  for (uint64_t i = 0; i < 30; ++i) {
    CHECK(list[i].seq == i);
    CHECK(list[i].size == i);
  }
  CHECK(list[11].earliest_tick == 1000);
  CHECK(list[11].latest_tick == 1100);
  CHECK(list[12].earliest_tick == 1100);
  CHECK(list[29].latest_tick == 9000);
  CHECK(list[30].seq == 237);
  CHECK(list[30].latest_tick == 0);
}

TEST_CASE("threads are merged by their time marks") {
  LogBuilder b;
  LaneChunk one, two;
  one.records.assign(20, {Op::kMalloc, 0x1000, 1, 0});
  two.tid = 101, two.claim = 1, two.opened_tick = 1050, two.records = {{Op::kMalloc, 0x2000, 2, 0}};
  b.put_chunk(0, one);
  b.put_chunk(1, two);
  const LogReader log(b.write());
  const auto list = calls_of(log);
  REQUIRE(list.size() == 21);
  CHECK(list[12].tid == 101);
  CHECK(list[13].tid == 100);
}

TEST_CASE("a hole is skipped but keeps its number") {
  LogBuilder b;
  LaneChunk chunk;
  LaneRecord hole;
  hole.hole = true;
  chunk.records = {{Op::kMalloc, 16, 1, 0}, hole, {Op::kMalloc, 32, 2, 0}};
  b.put_chunk(0, chunk);
  const LogReader log(b.write());
  const auto list = calls_of(log);
  REQUIRE(list.size() == 2);
  CHECK(list[1].seq == 2);
}

// aarch64 puts the heap above 2^47.
TEST_CASE("an address of 48 bits is whole") {
  LogBuilder b;
  LaneChunk chunk;
  chunk.records = {{Op::kReallocFrom, 0xaaaaee1582a0, 0, 0},
                   {Op::kRealloc, 0xfffffffffff8, 48, 0x400},
                   {Op::kMemalign, 0x7ffffffffff8, 8, 0x400, 6}};
  b.put_chunk(0, chunk);
  const LogReader log(b.write());
  const auto list = calls_of(log);
  REQUIRE(list.size() == 2);
  CHECK(list[0].old_address == 0xaaaaee1582a0);
  CHECK(list[0].address == 0xfffffffffff8);
  CHECK(list[1].address == 0x7ffffffffff8);
  CHECK(list[1].alignment == 64);
  CHECK_FALSE(list[1].failed);
}

TEST_CASE("realloc gets the old block from the record before it") {
  LogBuilder b;
  LaneChunk chunk;
  chunk.records = {{Op::kReallocFrom, 0x1000, 0, 0},
                   {Op::kRealloc, 0x2000, 48, 0x400},
                   {Op::kMemalign, 0x3000, 8, 0x400, 6}};
  b.put_chunk(0, chunk);
  const LogReader log(b.write());
  const auto list = calls_of(log);
  REQUIRE(list.size() == 2);
  CHECK(list[0].old_address == 0x1000);
  CHECK(list[0].address == 0x2000);
  CHECK(list[1].old_address == 0);
  CHECK(list[1].alignment == 64);
}

TEST_CASE("the old block of a realloc is unknown where the record before it is gone") {
  LogBuilder b;
  LaneChunk oldest,
      newest;  // the chunk before the oldest held its kReallocFrom; one that is not followed by its
               // realloc says nothing
  oldest.first_seq = 7;
  oldest.records = {{Op::kRealloc, 0x2000, 48, 0x400},
                    {Op::kReallocFrom, 0x2000, 0, 0},
                    {Op::kMalloc, 0x3000, 8, 0x400}};
  newest.claim = 1;
  newest.first_seq = 10;
  newest.records = {{Op::kRealloc, 0x4000, 48, 0x400}};
  b.put_chunk(0, oldest);
  b.put_chunk(1, newest);
  const LogReader log(b.write());
  const auto list = calls_of(log);
  REQUIRE(list.size() == 3);
  CHECK(list[0].old_address == ovcshim::kUnknown);
  CHECK(list[1].old_address == 0);
  CHECK(list[2].old_address == ovcshim::kUnknown);
}

TEST_CASE("a chunk with a record that is none is damaged; its other records are read") {
  LogBuilder b;
  LaneChunk chunk;
  chunk.records = {{Op::kMalloc, 16, 1, 0}, {Op::kTime, 0, 0, 0}, {Op::kMalloc, 32, 2, 0}};
  b.put_chunk(0, chunk);
  const LogReader log(b.write());
  CHECK(calls_of(log).size() == 2);
  CHECK(log.losses().call_chunks_damaged == 1);
}

TEST_CASE("a chunk that is just being claimed is not read") {
  LogBuilder b;
  LaneChunk chunk;
  chunk.records = {{Op::kMalloc, 16, 1, 0}};
  b.put_chunk(0, chunk);
  reinterpret_cast<ChunkHeader*>(b.bytes().data() + b.header().calls.offset)->ready = 0;
  const LogReader log(b.write());
  CHECK(calls_of(log).empty());
  CHECK(log.losses().call_chunks_damaged == 0);
}

TEST_CASE("a log without call lane") {
  LogBuilder b(64, 0);
  b.header().calls = {0, 0};
  const LogReader log(b.write());
  CHECK(calls_of(log).empty());
}
