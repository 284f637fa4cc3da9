// SPDX-License-Identifier: MIT
//
// Who made the processes grow, from what the log never overwrites: each stack with what its calls
// asked for, were granted, and hold now. What is charged is decided by tools/rules alone.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/log/log_growth.h"
#include "tools/replay/ledger.h"
#include "tools/rules/commit_rules.h"
#include "tools/symbols/symbols.h"

namespace ovc {

// Whether memory of this kind (MemoryKind) counts in the commit limit. nullopt: the log does not
// tell.
std::optional<bool> kind_is_charged(uint32_t kind, const HostRules& rules);
// Likewise: whether a mapping of it promises a shared object all its memory.
std::optional<bool> kind_is_promised(uint32_t kind, const HostRules& rules);

// Calls of one kind from one place. kB unless a name says otherwise; "charged" is of memory that
// counts in the commit limit, "maybe" where that is not known.
struct StackSum {
  uint32_t stack = ovcshim::kNoStack;
  Op op = Op::kNone;
  Bounds now;                  // charged and still there, or until its process ended
  Bounds gross;                // ever charged
  uint64_t uncharged_kb = 0;   // granted and not charged: NORESERVE, shared, read-only, reserved
  Bounds promised;             // charged at once for shared memory that the calls made
  uint64_t mapped_kb = 0;      // address space, what replaced other mappings included
  uint64_t mapping_calls = 0;  // granted ones of kinds that brought any of it
  uint64_t calls = 0, failed = 0, asked_bytes = 0, failed_bytes = 0;

  Bounds charged() const { return {gross.low + promised.low, gross.high + promised.high}; }
};

struct Growers {
  std::vector<StackSum> stacks;  // what holds most first, then by what they were granted
  Bounds now, gross;             // of all
  uint64_t nameless_kb = 0;   // of gross.high: the stack had no room, at most the caller is known
  bool exact = true;          // every call found room in the log's tables
  uint64_t rows_missing = 0;  // calls that are in no sum
};
// Of all processes; of one with `only`. nullopt: a log without the area.
std::optional<Growers> growers(const LogReader& log, const ProcessId* only = nullptr);

// The rules that hold for the whole log; without the mode if it was changed meanwhile.
HostRules rules_of_all(const LogReader& log);

// What owners hold of what the kernel's first and newest list of the process say was gained.
std::optional<Coverage> listed_coverage(const ovcshim::ProcessSpace& space, const HostRules& rules);

// The functions outside libc, innermost first, as `ovc why` names them; raw. Empty: no stack.
std::vector<std::string> names_of(const GrowthLog& growth, Symbols& symbols, uint32_t stack,
                                  size_t most);
// The same without libc's function of the call's own name, which says nothing more.
std::vector<std::string> askers_of(const GrowthLog& growth, Symbols& symbols, uint32_t stack, Op op,
                                   size_t most);
// They in a line, innermost first, to be shown; or that there was no room for the stack.
std::string line_of_askers(const GrowthLog& growth, Symbols& symbols, uint32_t stack, Op op);
std::vector<std::string> askers(Symbols& symbols, uint32_t image, std::span<const uint64_t> frames,
                                Op op, size_t most);
// As names_of, of frames that are at hand.
std::vector<std::string> caller_names(Symbols& symbols, uint32_t image,
                                      std::span<const uint64_t> frames, size_t most);

// Who held the most when a snapshot was taken: none of less than a hundredth.
struct HeldBy {
  uint64_t kb = 0;
  Op op = Op::kNone;
  std::vector<std::string> callers;  // raw
};
struct Held {
  std::vector<HeldBy> largest;
  uint64_t all_kb = 0;
};
std::optional<Held> held_at(const LogReader& log, Symbols& symbols, const Event& snapshot,
                            const HostRules& rules, size_t most);

}  // namespace ovc
