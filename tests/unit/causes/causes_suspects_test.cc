// SPDX-License-Identifier: MIT
//
// What an `unknown` lists: never nothing, the most likely first.
#include <sys/resource.h>

#include "tests/unit/catch.h"
#include "tests/unit/cause_case.h"

using namespace ovc;
using namespace ovc::test;

namespace {

bool suspects(const Finding& f, std::string_view part) {
  return std::any_of(f.suspects.begin(), f.suspects.end(), [&](const Suspect& suspect) {
    return suspect.text.find(part) != std::string::npos;
  });
}

}  // namespace

TEST_CASE("a filter that is in force is the first suspect, the kernel's own reasons follow") {
  Case c(Op::kMmap, EPERM, {0, 4096, kRw, MAP_SHARED, 7, 0});
  c.with(FactKey::kSeccomp, 2);
  const Finding f = c.verdict();
  CHECK(f.cause == "unknown");
  REQUIRE(f.suspects.size() >= 2);
  CHECK(f.suspects.front().cause == "seccomp");
  CHECK(suspects(f, "sealed"));
}

TEST_CASE("an errno that no limit explains: what the kernel itself needs, and its figure") {
  Case c(Op::kFork, ENOMEM);
  c.with(FactKey::kMemAvailableKb, 4321);
  const Finding f = c.verdict();
  CHECK(f.cause == "unknown");
  CHECK(suspects(f, "MemAvailable 4,321 kB"));
  Case exec(Op::kExecve, ENOMEM);
  CHECK(suspects(exec.with(FactKey::kMemAvailableKb, 4321).verdict(), "MemAvailable 4,321 kB"));
}

TEST_CASE("without a proof in the log the limits of that kind of call are named") {
  Case c = mmap_case(kGib);
  c.evidence.snapshot.reset();
  CHECK(suspects(c.verdict(), "RLIMIT_AS"));
  Case fork(Op::kFork, EAGAIN);
  fork.evidence.snapshot.reset();
  CHECK(suspects(fork.verdict(), "pids.max"));
  CHECK_FALSE(Case(Op::kShmat, EIO).verdict().suspects.empty());
}

TEST_CASE("a lock that is not proven: the limit, mappings, and pages that cannot come") {
  Case c(Op::kMlock, ENOMEM, {0x7f0000000000, 1 << 20});
  c.with(FactKey::kRlimitMemlock, 65536).with(FactKey::kVmLckKb, 0).with(FactKey::kCapEff, 0);
  CHECK(c.cause() == "rlimit-memlock");
  c.with(FactKey::kRlimitMemlock, 1 << 30).with(FactKey::kMapsCount, 65531);
  const Finding f = c.verdict();
  CHECK(f.cause == "unknown");
  CHECK(suspects(f, "vm.max_map_count"));
  CHECK(suspects(f, "PROT_NONE"));
}

TEST_CASE("a lock proven by the mappings around it") {
  Case c(Op::kMlock, ENOMEM, {0x10000, 0x2000});
  c.with(FactKey::kRlimitMemlock, ovcshim::kInfinite).with(FactKey::kVmLckKb, 0);
  c.mappings({mapping(0x10000, 8, kAnonAc)});
  CHECK(c.cause() == "unknown");
  c.mappings({mapping(0x10000, 4, kAnonAc), mapping(0x11000, 4, ovcshim::kMapFlagsKnown)});
  CHECK(c.verdict().summary.find("PROT_NONE") != std::string::npos);
  c.mappings({mapping(0x10000, 4, kAnonAc)});
  CHECK(c.verdict().summary.find("not mapped throughout") != std::string::npos);
  c.mappings({mapping(0x10000, 40, kAnonAc)}).with(FactKey::kMaxMapCount, 1);
  CHECK(c.cause() == "max-map-count");
  c.mappings({mapping(0x10000, 40, kAnonAc | ovcshim::kMapLo)});
  CHECK(c.cause() != "max-map-count");  // it is locked already: nothing is split
}
