// SPDX-License-Identifier: MIT
//
// Evidence for tests of causes: a refused call on a calm host; each case changes what it is about.
#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/worked_example.h"
#include "tools/causes/causes.h"

namespace ovc::test {

using ovcshim::FactKey;

inline constexpr uint64_t kMib = 1 << 20, kGib = 1 << 30, kTib = uint64_t{1} << 40;
inline constexpr uint64_t kRw = PROT_READ | PROT_WRITE, kPrivateAnon = MAP_PRIVATE | MAP_ANONYMOUS;
inline constexpr uint32_t kAnonAc =
    ovcshim::kMapRead | ovcshim::kMapWrite | ovcshim::kMapAc | ovcshim::kMapFlagsKnown;

// A host in mode 0 with plenty of everything; cases change what they are about.
inline std::vector<ovcshim::Fact> calm_facts() {
  using enum FactKey;
  return {fact(kMemTotalKb, 8000000),
          fact(kSwapTotalKb, 0),
          fact(kHugetlbKb, 0),
          fact(kCommitLimitKb, 4000000),
          fact(kCommittedAsKb, 1000000),
          fact(kOvercommitMemory, 0),
          fact(kOvercommitRatio, 50),
          fact(kOvercommitKbytes, 0),
          fact(kUserReserveKb, 131072),
          fact(kAdminReserveKb, 8192),
          fact(kMaxMapCount, 65530),
          fact(kVmSizeKb, 100000),
          fact(kVmDataKb, 50000),
          fact(kVmLckKb, 0),
          fact(kCapEff, 0),
          fact(kUserNsIdentity, 1),
          fact(kSeccomp, 0),
          fact(kUid, 1000),
          fact(kThreads, 4),
          fact(kPidsGroup, 1),
          fact(kTasksTotal, 300),
          fact(kThreadsMax, 60000),
          fact(kPidMax, 32768),
          fact(kSchedPolicy, 0),
          fact(kPidNs, 0xEFFFFFFC),
          fact(kPidForChildrenNs, 0xEFFFFFFC),
          fact(kMapsSource, 1),
          fact(kRlimitAs, ovcshim::kInfinite),
          fact(kRlimitData, ovcshim::kInfinite),
          fact(kRlimitNproc, ovcshim::kInfinite),
          fact(kMapsCount, 100),
          fact(kMmapMinAddr, 65536)};
}

inline void set(Event& event, FactKey key, uint64_t value) {
  const auto same = [&](const ovcshim::Fact& f) { return f.key == static_cast<uint32_t>(key); };
  const auto found = std::find_if(event.facts.begin(), event.facts.end(), same);
  if (found == event.facts.end()) event.facts.push_back(fact(key, value));
  else found->value = value;
}

struct Case {
  Evidence evidence;

  Case(Op op, uint16_t err, std::initializer_list<uint64_t> args = {}) {
    evidence.event = make_event(op);
    evidence.event.base.flags = ovcshim::kFailed;
    evidence.event.base.err = err;
    evidence.event.base.result = -1;
    set_args(evidence.event, args);
    evidence.snapshot = make_event(Op::kSnapshot);
    evidence.snapshot->facts = calm_facts();
    evidence.rules.kernel = {6, 18};
    evidence.rules.cpus = 2;
  }
  Case& with(FactKey key, uint64_t value) { return set(*evidence.snapshot, key, value), *this; }
  Case& baseline(FactKey key, uint64_t value) {
    if (!evidence.baseline) evidence.baseline = make_event(Op::kStart);
    set(*evidence.baseline, key, value);
    return *this;
  }
  Case& mappings(std::vector<ovcshim::MappingEntry> list) {
    evidence.mappings = std::move(list);
    evidence.mappings_complete = true;
    return *this;
  }
  Case& kernel(unsigned major, unsigned minor) {
    return evidence.rules.kernel = {major, minor}, *this;
  }
  Case& took(int64_t ns) { return evidence.duration_ns = ns, *this; }
  Case& flag(uint16_t flags) { return evidence.event.base.flags |= flags, *this; }
  Finding verdict() {
    if (evidence.snapshot) evidence.rules = with_facts(evidence.rules, evidence.snapshot->facts);
    return diagnose(evidence);
  }
  std::string_view cause() { return verdict().cause; }
};

inline ovcshim::MappingEntry mapping(uint64_t start, uint64_t kb, uint32_t flags) {
  return {start, start + kb * 1024, flags, 0, 0, 0};
}

inline Case mmap_case(uint64_t len, uint64_t prot = kRw, uint64_t flags = kPrivateAnon,
                      uint16_t err = ENOMEM) {
  return {Op::kMmap, err, {0, len, prot, flags, UINT64_MAX, 0}};
}

inline bool has_text(const std::vector<std::string>& lines, std::string_view part) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.find(part) != line.npos; });
}

}  // namespace ovc::test
