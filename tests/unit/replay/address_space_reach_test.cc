// SPDX-License-Identifier: MIT
//
// What a call changes lies within its reach: for each call of random programs the totals of the
// reach differ by as much as those of the whole address space.
#include <fmt/format.h>

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "tests/unit/catch.h"
#include "tools/replay/address_space.h"

using namespace ovc;

namespace {

int64_t minus(uint64_t a, uint64_t b) { return static_cast<int64_t>(a) - static_cast<int64_t>(b); }

std::array<int64_t, 4> difference(const SpaceTotals& before, const SpaceTotals& after) {
  return {minus(after.size, before.size), minus(after.charged.low, before.charged.low),
          minus(after.charged.high, before.charged.high),
          minus(after.shared_promised, before.shared_promised)};
}

}  // namespace

TEST_CASE("what a call changes lies within its reach", "[ledger][property]") {
  const auto folder = std::filesystem::temp_directory_path();
  uint64_t calls = 0, changes = 0;
  for (int seed = 1; seed <= 8; ++seed) {
    const std::string log_path =
        (folder / fmt::format("ovc-reach.{}.{}.ovc", getpid(), seed)).string();
    const std::string command = fmt::format(
        "OVCSHIM_LOG={} LD_PRELOAD={}/libovcshim.so {}/programs/random_mappings {} 200 /dev/null",
        log_path, OVC_BINARY_DIR, OVC_BINARY_DIR, seed);
    REQUIRE(std::system(command.c_str()) == 0);
    const LogReader log(log_path);
    std::filesystem::remove(log_path);  // it stays mapped
    std::map<ProcessId, AddressSpace> spaces;
    log.for_each_event([&](const Event& event) {
      const bool granted = event.base.op >= Op::kMmap && event.base.op <= Op::kMadvise &&
                           event.returned() && !event.failed();
      if (!granted) return true;
      AddressSpace& space = spaces
                                .try_emplace({event.base.process, event.base.process_serial},
                                             host_rules(log.header()))
                                .first->second;
      const auto reach = space.reach(event);
      const SpaceTotals near_before = space.totals_in(reach), before = space.totals();
      space.apply(event);
      const auto change = difference(before, space.totals());
      CAPTURE(seed, event.position, static_cast<int>(event.base.op));
      CHECK(difference(near_before, space.totals_in(reach)) == change);
      ++calls, changes += change != std::array<int64_t, 4>{};
      return true;
    });
  }
  INFO(calls << " calls, " << changes << " changes");
  CHECK(changes > 500);
}
