// SPDX-License-Identifier: MIT
//
// A redis-server started in mode 2 whose BGSAVE is refused: CommitLimit 3,455,772 kB, Committed_AS
// 1,924,320 kB, 84 accountable mappings of 1,834,180 kB together, on 2 CPUs and 24,684,096 kB of
// RAM. Measured figures; the sizes of the single mappings are made up so that the 71st crosses the
// limit.
#pragma once
#include <vector>

#include "tests/unit/log_builder.h"

namespace ovc::test {

inline ovcshim::Fact fact(ovcshim::FactKey key, uint64_t value) {
  return {static_cast<uint32_t>(key), 0, value};
}

inline std::vector<ovcshim::Fact> worked_facts() {
  using enum ovcshim::FactKey;
  return {
      fact(kMemTotalKb, 24684096),   fact(kSwapTotalKb, 0),         fact(kHugetlbKb, 0),
      fact(kCommitLimitKb, 3455772), fact(kCommittedAsKb, 1924324), fact(kOvercommitMemory, 2),
      fact(kOvercommitRatio, 14),    fact(kOvercommitKbytes, 0),    fact(kUserReserveKb, 100409),
      fact(kAdminReserveKb, 8192),   fact(kMaxMapCount, 65530),     fact(kVmSizeKb, 1862016),
      fact(kCapEff, 0x1ffffffffff),  fact(kUserNsIdentity, 1),      fact(kSeccomp, 0),
      fact(kMapsSource, 1)};
}

inline std::vector<ovcshim::MappingEntry> worked_mappings() {
  using namespace ovcshim;
  constexpr uint32_t kAnon = kMapRead | kMapWrite | kMapAc | kMapFlagsKnown;
  std::vector<MappingEntry> mappings;
  constexpr uint64_t kStride = 32 << 20;
  uint64_t at = 0x7f09ee200000 - 71 * kStride;
  const auto add = [&](uint64_t kb, uint32_t flags) {
    mappings.push_back({at, at + kb * 1024, flags, 0, 0, 0}), at += kStride;
  };
  for (int i = 0; i < 70; ++i) add(20000, kAnon);
  add(24, kMapRead | kMapExec | kMapFile | kMapFlagsKnown);
  at = 0x7f09ee200000;
  add(163840, kAnon);
  at = 0x7f0a00000000;
  for (int i = 0; i < 12; ++i) add(20000, kAnon);
  add(30340, kAnon);
  add(8192, kMapRead | kMapWrite | kMapNr | kMapFlagsKnown);
  return mappings;
}

// The refused fork.
inline Event worked_fork() {
  Event fork = make_event(Op::kFork, 5000, 9000);
  fork.base.flags = ovcshim::kFailed;
  fork.base.err = 12;
  fork.base.result = -1;
  fork.base.before = {0, 1924320, 3455772, 465504, 300000, 458386};
  return fork;
}

}  // namespace ovc::test
