// SPDX-License-Identifier: MIT
//
// Who asked for commit charge: the charge of calls that passed, summed by stack, as a tree from the
// program down to the call. Two sums: all that was ever charged, and what is still charged at one
// moment. From the log's exact totals by stack; of a log without them from its records.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "tools/replay/holders.h"
#include "tools/replay/image_names.h"
#include "tools/replay/ledger.h"
#include "tools/rules/commit_rules.h"
#include "tools/symbols/symbols.h"
#include "tools/text/json_fwd.h"
#include "tools/text/output.h"

namespace ovc {

class ChargeStacks {
 public:
  ChargeStacks(const LogReader& log, Symbols& symbols);

  void note(const Event& event);  // a memory call; what its record does not prove is counted apart
  void add_granted(const Event& event,
                   uint64_t kb);  // a fork, whose charge is known from elsewhere
  void add_kept(const LedgerProcess& process, const AddressSpace& space);
  // Where records were overwritten: what is held at the end. False: the log has no totals.
  bool keep_totals();

  uint64_t granted_kb() const { return granted_kb_; }
  uint64_t kept_kb() const { return kept_kb_; }
  uint64_t unproven_calls() const { return unproven_; }
  bool kept_at_end() const { return kept_totals_; }  // by keep_totals
  bool from_totals() const { return totals_.has_value(); }
  uint64_t unproven_kb() const { return unproven_kb_; }  // of the totals
  uint64_t missing_calls() const { return totals_ ? totals_->rows_missing : 0; }

  struct Row {  // of the table beside the chart
    std::string stack;
    uint64_t granted_kb, kept_kb, calls;
  };
  std::vector<Row> rows(size_t most);  // largest first
  Json json();                         // [name, granted kB, kept kB, [children]]

 private:
  struct Sum {
    uint64_t granted_kb = 0, kept_kb = 0, calls = 0;
    Op op = Op::kNone;
    uint32_t image = 0;
    std::vector<uint64_t> frames;
    std::string program;
  };
  struct Node {
    uint64_t granted_kb = 0, kept_kb = 0;
    std::map<std::string, std::unique_ptr<Node>> children;
  };
  static constexpr size_t kMostStacks = 50000, kMostResolved = 2000, kMostNodes = 2500;
  void add_totals();
  Sum& sum_of(const Event& event);
  Sum& sum_of(Op op, uint32_t image, const std::vector<uint64_t>& frames);
  Sum& sum_of(const StackSum& stack);
  std::optional<uint64_t> charge_of(const Event& event);
  std::vector<const Sum*> largest(size_t most) const;
  std::vector<std::string> names(const Sum& sum);
  std::string program_of(const Event& event) const;
  void add(Node& root, const Sum& sum);
  Json node_json(const std::string& name, const Node& node, uint64_t least_granted,
                 uint64_t least_kept);

  const LogReader& log_;
  Symbols& symbols_;
  HostRules rules_;
  GrowthLog growth_;
  ImageNames programs_;
  std::optional<Growers> totals_;
  bool kept_totals_ = false;
  uint64_t unproven_kb_ = 0;
  std::unordered_map<std::string, Sum> sums_;  // by the bytes of image, call and stack
  std::map<ProcessId, uint64_t> breaks_;       // the program break last seen
  Sum listed_, other_,
      nameless_;  // known from lists only; stacks beyond the bound, or of the log's
  uint64_t granted_kb_ = 0, kept_kb_ = 0, unproven_ = 0;
  size_t nodes_ = 0;
};

}  // namespace ovc
