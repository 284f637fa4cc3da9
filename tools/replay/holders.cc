// SPDX-License-Identifier: MIT
#include "tools/replay/holders.h"

#include <algorithm>
#include <map>
#include <utility>

#include "tools/log/call_families.h"
#include "tools/log/names.h"
#include "tools/symbols/function_name.h"
#include "tools/text/output.h"

namespace ovc {

using namespace ovcshim;

namespace {

constexpr size_t kFramesNamed = 8;
constexpr uint64_t kWorthTelling = 100;  // a holder of a hundredth of all that is held

Bounds& operator+=(Bounds& sum, const Bounds& more) {
  sum.low += more.low, sum.high += more.high;
  return sum;
}

Bounds charged_part(std::optional<bool> charged, uint64_t kb) {
  return {charged.value_or(false) ? kb : 0, charged.value_or(true) ? kb : 0};
}

std::vector<std::pair<ProcessSpace, uint32_t>> spaces_of(const LogReader& log,
                                                         const GrowthLog& growth,
                                                         const ProcessId* only) {
  std::vector<std::pair<ProcessSpace, uint32_t>> found;
  for (const Process& process : log.processes()) {
    const ProcessId id{process.index, process.slot.serial};
    if (only && *only != id) continue;
    if (const auto space = growth.space(id.first, id.second)) found.emplace_back(*space, id.first);
  }
  return found;
}

// brings(op): calls that bring or hold memory; malloc's and fork's rows only count.
bool brings_memory(Op op) { return is_memory_op(op); }

class Adder {
 public:
  explicit Adder(const HostRules& rules) : rules_(rules) {}
  void add(const TotalsRow& row, uint64_t now_kb) {
    StackSum& sum = sums_[{row.stack, row.op}];
    sum.stack = row.stack, sum.op = row.op;
    const auto charged = kind_is_charged(row.kind, rules_);
    const uint64_t granted_kb = brings_memory(row.op) ? row.granted_bytes / 1024 : 0;
    sum.now += charged_part(charged, now_kb);
    sum.gross += charged_part(charged, granted_kb);
    if (charged == false) sum.uncharged_kb += granted_kb;
    if (row.op == Op::kMmap)
      sum.promised += charged_part(kind_is_promised(row.kind, rules_), granted_kb);
    if (row.op != Op::kMprotect) sum.mapped_kb += granted_kb;
    if (granted_kb != 0) sum.mapping_calls += row.calls - std::min(row.failed, row.calls);
    sum.calls += row.calls, sum.failed += row.failed;
    sum.asked_bytes += row.asked_bytes, sum.failed_bytes += row.failed_bytes;
  }
  std::vector<StackSum> sorted() const {
    std::vector<StackSum> list;
    for (const auto& [key, sum] : sums_) list.push_back(sum);
    std::stable_sort(list.begin(), list.end(), [](const StackSum& a, const StackSum& b) {
      return std::pair(a.now.high, a.gross.high) > std::pair(b.now.high, b.gross.high);
    });
    return list;
  }

 private:
  const HostRules& rules_;
  std::map<std::pair<uint32_t, Op>, StackSum> sums_;
};

MappingKind mapping_of(uint32_t kind, const HostRules& rules) {
  return {.shared = (kind & kKindShared) != 0,
          .writable = (kind & kKindEverWritable) != 0,
          .file = (kind & kKindFile) != 0,
          .noreserve = (kind & kKindNoreserve) && !rules.noreserve_ignored,
          .hugetlb = (kind & kKindHuge) != 0,
          .droppable = (kind & kKindDroppable) != 0};
}

bool is_cut(const GrowthLog& growth, uint32_t number) {
  const auto stack = growth.stack(number);
  return !stack || (stack->cut && stack->frames.size() == 1);
}

}  // namespace

std::optional<bool> kind_is_promised(uint32_t kind, const HostRules& rules) {
  if (kind & kKindUnknown) return std::nullopt;
  if (!(kind & kKindShared) || (kind & kKindFile)) return false;
  const MappingRow* row = mapping_row(mapping_of(kind, rules), rules);
  return row ? std::optional(row->cost == Cost::kLength) : std::nullopt;
}

std::optional<bool> kind_is_charged(uint32_t kind, const HostRules& rules) {
  if (kind & kKindUnknown) return std::nullopt;
  const bool file = kind & kKindFile;
  const MappingKind mapping = mapping_of(kind, rules);
  if (mapping.shared) return false;  // what is charged for it is the object's, not the process's
  const MappingRow* row = mapping_row(mapping, rules);
  if (!row) return std::nullopt;
  if (row->cost != Cost::kLength) return false;
  if (kind & kKindWritable) return true;
  // It lost its write permission: the charge may go, if it was never written to.
  const ChangeRow* lost =
      change_row(Change::kLoseWrite,
                 {.accounted = true, .writable = true, .file = file, .touched = false}, rules);
  if (!lost || lost->effect == Effect::kRelease) return std::nullopt;
  return true;
}

HostRules rules_of_all(const LogReader& log) {
  HostRules rules = host_rules(log.header());
  if (rules.noreserve_ignored) return rules;
  const auto tells_mode = [](Op op) { return op == Op::kStart || op == Op::kMappings; };
  log.for_each_event(
      [&](const Event& event) {
        const auto mode = event.fact(FactKey::kOvercommitMemory);
        if (mode && rules.mode && *mode != *rules.mode) rules.mode.reset();
        return rules.mode.has_value();
      },
      {}, tells_mode);
  return rules;
}

std::optional<Growers> growers(const LogReader& log, const ProcessId* only) {
  const GrowthLog growth(log);
  if (!growth.is_there()) return std::nullopt;
  const HostRules rules = rules_of_all(log);
  Growers found;
  std::map<uint32_t, uint64_t> now;
  for (const auto& [space, index] : spaces_of(log, growth, only)) {
    const OwnedPages owned = growth.owned(space);
    found.exact = found.exact && owned.exact;
    for (const auto& [row, kb] : owned.kb) now[row] += kb;
  }
  Adder adder(rules);
  for (const TotalsRow& row : growth.rows()) {
    const auto held = now.find(row.number);
    if (!only || held != now.end()) adder.add(row, held == now.end() ? 0 : held->second);
  }
  found.stacks = adder.sorted();
  for (const StackSum& sum : found.stacks) {
    found.now += sum.now, found.gross += sum.gross;
    if (sum.gross.high != 0 && is_cut(growth, sum.stack)) found.nameless_kb += sum.gross.high;
  }
  found.rows_missing = growth.header().rows_missing;
  found.exact = found.exact && found.rows_missing == 0;
  return found;
}

std::optional<Coverage> listed_coverage(const ProcessSpace& space, const HostRules& rules) {
  const ListedCharge &first = space.first, &last = space.newest;
  if (first.tick == 0 || last.tick <= first.tick) return std::nullopt;
  Coverage c{first.tick, first.tick,
             last.tick,  static_cast<int64_t>(last.charged_kb - first.charged_kb),
             0,          0};
  constexpr uint32_t kEver = kKindEverWritable;
  constexpr std::pair<OwnedSum, uint32_t> kSums[] = {
      {kOwnedPlain, kEver | kKindWritable},
      {kOwnedNoreserve, kEver | kKindWritable | kKindNoreserve},
      {kOwnedReadOnly, kEver},
  };
  for (const auto& [sum, kind] : kSums) {
    const auto gained = static_cast<int64_t>(last.owned_kb[sum] - first.owned_kb[sum]);
    const auto charged = kind_is_charged(kind, rules);
    if (charged.value_or(false) || (!charged && gained < 0)) c.low_kb += gained;
    if (charged.value_or(false) || (!charged && gained > 0)) c.high_kb += gained;
  }
  return c;
}

std::vector<std::string> caller_names(Symbols& symbols, uint32_t image,
                                      std::span<const uint64_t> frames, size_t most) {
  std::vector<std::string> named, all;
  bool tells = false;
  for (const auto& frame : symbols.stack(image, frames, Detail::kNames)) {
    if (frame.module.starts_with("libovcshim"))
      continue;  // our wrapper around the call beneath which this one was made
    const std::string function = without_arguments(frame.function);
    if (all.size() < most) all.push_back(function.empty() ? frame.text() : function);
    if (function.empty()) continue;
    if (named.size() < most) named.push_back(function);
    tells |= !is_plumbing(frame.module) && frame.function != "_start";
  }
  return tells ? named : all;
}

std::vector<std::string> names_of(const GrowthLog& growth, Symbols& symbols, uint32_t stack,
                                  size_t most) {
  const auto known = growth.stack(stack);
  return known ? caller_names(symbols, known->image, known->frames, most)
               : std::vector<std::string>();
}

std::vector<std::string> askers(Symbols& symbols, uint32_t image, std::span<const uint64_t> frames,
                                Op op, size_t most) {
  std::vector<std::string> names = caller_names(symbols, image, frames, most + 1);
  if (!names.empty() && names.front() == op_name(op)) names.erase(names.begin());
  if (names.size() > most) names.pop_back();
  return names;
}

std::vector<std::string> askers_of(const GrowthLog& growth, Symbols& symbols, uint32_t stack, Op op,
                                   size_t most) {
  const auto known = growth.stack(stack);
  return known ? askers(symbols, known->image, known->frames, op, most)
               : std::vector<std::string>();
}

std::string line_of_askers(const GrowthLog& growth, Symbols& symbols, uint32_t stack, Op op) {
  constexpr size_t kNames = 6;
  std::string line;
  for (const std::string& name : askers_of(growth, symbols, stack, op, kNames))
    line += (line.empty() ? "" : " <- ") + escaped(name);
  return line.empty() ? "no room for its stack" : line;
}

std::optional<Held> held_at(const LogReader& log, Symbols& symbols, const Event& snapshot,
                            const HostRules& rules, size_t most) {
  const auto all = snapshot.fact(FactKey::kHeldKb);
  const GrowthLog growth(log);
  if (!all || !growth.is_there() || snapshot.fact(FactKey::kHoldersCut)) return std::nullopt;
  Held held{{}, *all};
  // Places in one function that look alike in words are one holder.
  std::map<std::pair<Op, std::vector<std::string>>, uint64_t> by_callers;
  for (uint32_t i = 0; i < 8; ++i) {
    const auto key = [i](FactKey first) {
      return static_cast<FactKey>(static_cast<uint32_t>(first) + i);
    };
    const auto number = snapshot.fact(key(FactKey::kHolderRow)),
               kb = snapshot.fact(key(FactKey::kHolderKb));
    const auto row = number && kb && *number < UINT32_MAX
                         ? growth.row(static_cast<uint32_t>(*number))
                         : std::nullopt;
    if (row && kind_is_charged(row->kind, rules) == true)
      by_callers[{row->op, askers_of(growth, symbols, row->stack, row->op, kFramesNamed)}] += *kb;
  }
  for (const auto& [key, kb] : by_callers) held.largest.push_back({kb, key.first, key.second});
  std::stable_sort(held.largest.begin(), held.largest.end(),
                   [](const HeldBy& a, const HeldBy& b) { return a.kb > b.kb; });
  // The allocators' small change has another name in every run and is of no use to anybody.
  const auto is_small = [&](const HeldBy& h) { return h.kb < *all / kWorthTelling; };
  std::erase_if(held.largest, is_small);
  if (held.largest.size() > most) held.largest.resize(most);
  return held;
}

}  // namespace ovc
