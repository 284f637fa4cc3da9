// SPDX-License-Identifier: MIT
//
// Replays the address space of a recorded process up to a moment: from the newest complete list of
// mappings, or from its parent's at the fork, through every recorded call. Says what the result
// rests on and what is not known.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/log/log_reader.h"
#include "tools/replay/address_space.h"
#include "tools/replay/list_among_calls.h"

namespace ovc {

// What a replay begins with.
enum class LedgerBase : uint8_t { kNone, kImageStart, kList, kFork };

// The kernel's figures while no recorded call was under way, beside the replay's. In kB.
struct SizeCheck {
  uint64_t tick = 0;
  uint64_t kernel_kb = 0, ledger_kb = 0;            // VmSize
  uint64_t kernel_data_kb = 0, ledger_data_kb = 0;  // VmData and VmStk; 0, 0: not read
  bool agrees() const { return kernel_kb == ledger_kb && kernel_data_kb == ledger_data_kb; }
  // All that is missing is private and writable: the stack has grown, or system calls were made
  // directly.
  uint64_t unseen_private_kb() const {
    const bool same = kernel_kb - ledger_kb == kernel_data_kb - ledger_data_kb;
    return same && kernel_kb > ledger_kb ? kernel_kb - ledger_kb : 0;
  }
};

// A complete list beside what the replay had come to when it was taken. Figures in kB, of
// accountable memory.
struct ListCheck {
  uint64_t tick = 0, end_tick = 0, kernel_kb = 0;  // read from `tick` to `end_tick`
  Bounds ledger;
};

struct LedgerState {
  explicit LedgerState(const HostRules& rules) : space(rules) {}
  AddressSpace space;
  LedgerBase base = LedgerBase::kNone;
  uint64_t base_tick = 0, last_tick = 0;  // of the base, of the last call applied
  uint64_t calls = 0;                     // applied since the base
  uint64_t image_calls = 0;               // since the image began, or since the fork
  std::optional<SizeCheck> size;          // newest
  std::vector<ListCheck> lists;           // of this image, the first one included
  uint32_t image = 0;                     // whose module list the base belongs to
  std::optional<uint64_t>
      modules_tick;  // the loader brought objects at about this time, and no list shows them
  bool stack_followed = false;  // VmStk is known for the moment
  bool calls_missing = false;   // calls since the base were overwritten
  uint64_t stack_grown_kb = 0;  // followed since the newest list: no call asked for it
  uint64_t lists_unusable = 0;  // calls that were made meanwhile leave it open, or incomplete
  uint64_t listed_until = 0;    // the end of the newest list: calls that began before may be in it

  // Nothing that is known speaks against it: the sums are the kernel's.
  bool exact() const;
};

struct LedgerProcess {
  uint32_t index = 0, serial = 0, pid = 0;
  std::string comm, exe;  // raw
  uint64_t first_tick = 0, end_tick = 0;
};

class Ledger {
 public:
  explicit Ledger(const LogReader& log);
  const std::vector<LedgerProcess>& processes() const { return processes_; }  // by first tick
  // The process's address space when every call that had returned by `tick` had been made.
  LedgerState at(const LedgerProcess& process, uint64_t tick) const;
  // The same for many moments (ascending) in one pass: each(index of the moment, state).
  void at_each(const LedgerProcess& process, const std::vector<uint64_t>& ticks,
               const std::function<void(size_t, const LedgerState&)>& each) const;
  // Each granted memory call of the process, and the totals of what it may have changed
  // (AddressSpace::reach), before and after it.
  void for_each_call(const LedgerProcess& process,
                     const std::function<void(uint64_t position, const SpaceTotals& before,
                                              const SpaceTotals& after)>& each) const;
  // Complete lists of mappings that the process left.
  size_t lists_of(const LedgerProcess& process) const;
  // Memory calls by children that shared their parent's memory (vfork): they belong to no process
  // of the log.
  uint64_t foreign_calls() const { return foreign_calls_; }
  // Values of vm.overcommit_memory differ between readings: what was mapped between them may be
  // either.
  bool mode_changed() const { return mode_changed_; }

 private:
  enum class Kind : uint8_t { kCall, kLeave, kList, kImage, kEnd, kModules, kOther };
  struct Entry {
    uint64_t key, begin, end, position;
    Kind kind;
    uint32_t image;
    uint64_t age_ticks, vm_pages, data_pages;  // the reading before it; kUnknown if there is none
    uint64_t calls_from_here = 0;  // earliest begin of the calls not yet replayed at this place
  };
  struct List {
    std::vector<uint64_t> parts;
    uint64_t total = 0, listed = 0;
    bool complete = false;
  };
  using ProcessKey = std::pair<uint32_t, uint32_t>;
  using ListKey = std::pair<uint64_t, uint64_t>;  // position of what it is about, begin tick

  void take(const Event& event);
  void take_list(const Event& event);
  void sort(std::vector<Entry>& entries) const;
  void collect_processes();
  std::optional<uint64_t> mode_at(uint64_t tick) const;
  LedgerState begin(const LedgerProcess& process, uint64_t tick, unsigned depth) const;
  LedgerState replay(const LedgerProcess& process, uint64_t tick, unsigned depth) const;
  void step(LedgerState& state, const Entry& entry, const std::vector<Entry>& entries) const;
  void apply_list(LedgerState& state, const Entry& entry, const std::vector<Entry>& entries) const;
  void compare(LedgerState& state, const Entry& entry, Bounds thought) const;
  void apply_end(LedgerState& state, const Entry& entry) const;
  void check_size(LedgerState& state, const Entry& entry) const;
  std::optional<PartedList> read_list(const List& list) const;
  CallsMeanwhile calls_during(const Entry& list, const std::vector<Entry>& entries) const;

  const LogReader& log_;
  HostRules rules_;
  std::map<ProcessKey, std::vector<Entry>> entries_;  // by key
  std::map<ListKey, List> lists_;
  std::map<uint64_t, ListKey> list_at_;  // by position of the last part
  std::vector<LedgerProcess> processes_;
  std::vector<std::pair<uint64_t, uint64_t>> modes_;  // tick, mode
  uint64_t foreign_calls_ = 0;
  bool mode_changed_ = false;
};

// How much of the accountable memory that the kernel's lists say was gained, recorded calls account
// for. In kB; the first list of the image to the newest. nullopt with fewer than two lists.
struct Coverage {
  uint64_t first_tick = 0, first_end_tick = 0, last_tick = 0;
  int64_t kernel_kb = 0, low_kb = 0, high_kb = 0;
  // Of a gain, when what the calls gained is known to the kB.
  std::optional<double> percent() const;
};
std::optional<Coverage> coverage(const LedgerState& state);

}  // namespace ovc
