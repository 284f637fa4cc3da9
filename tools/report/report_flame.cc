// SPDX-License-Identifier: MIT
//
// See report_flame.h.
#include "tools/report/report_flame.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "tools/causes/causes.h"
#include "tools/log/call_families.h"
#include "tools/log/names.h"
#include "tools/text/json.h"

namespace ovc {

using namespace ovcshim;

namespace {

constexpr size_t kLongestName = 160;

std::string shortened(std::string name) {
  if (name.size() <= kLongestName) return name;
  size_t end = kLongestName;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80)
    --end;  // not inside a character
  return name.substr(0, end) + "...";
}

std::string key_of_stack(Op op, uint32_t image, const std::vector<uint64_t>& frames) {
  const auto number = static_cast<uint16_t>(op);
  std::string key(reinterpret_cast<const char*>(&image), sizeof image);
  key.append(reinterpret_cast<const char*>(&number), sizeof number);
  if (!frames.empty())
    key.append(reinterpret_cast<const char*>(frames.data()), frames.size() * sizeof frames[0]);
  return key;
}

}  // namespace

ChargeStacks::ChargeStacks(const LogReader& log, Symbols& symbols)
    : log_(log),
      symbols_(symbols),
      rules_(host_rules(log.header())),
      growth_(log),
      programs_(log),
      totals_(growers(log)) {
  if (totals_) add_totals();
}

void ChargeStacks::add_totals() {
  for (const StackSum& stack : totals_->stacks) {
    const Bounds charged = stack.charged();
    unproven_kb_ += charged.high - charged.low;
    if (charged.low == 0) continue;
    Sum& sum = sum_of(stack);
    sum.granted_kb += charged.low, sum.calls += stack.mapping_calls;
    granted_kb_ += charged.low;
  }
}

bool ChargeStacks::keep_totals() {
  if (!totals_) return false;
  kept_totals_ = true;
  for (const StackSum& stack : totals_->stacks) {
    if (stack.now.low == 0) continue;
    sum_of(stack).kept_kb += stack.now.low;
    kept_kb_ += stack.now.low;
  }
  return true;
}

// brk's charge is the way from where the break was. sbrk and the brk beneath it tell of the same
// way: the second adds nothing.
std::optional<uint64_t> ChargeStacks::charge_of(const Event& event) {
  const EventBase& b = event.base;
  if (b.op != Op::kBrk && b.op != Op::kSbrk) return charge_kb(event, rules_);
  const uint64_t now = break_after(b);
  const auto [known, fresh] = breaks_.try_emplace({b.process, b.process_serial}, now);
  const uint64_t before = known->second;
  known->second = now;
  if (fresh || now <= before) return 0;
  return round_to_pages_kb(now, rules_) - round_to_pages_kb(before, rules_);
}

std::string ChargeStacks::program_of(const Event& event) const {
  const auto process = log_.process(event.base.process, event.base.process_serial);
  return process ? process->comm() : "a process";
}

ChargeStacks::Sum& ChargeStacks::sum_of(Op op, uint32_t image,
                                        const std::vector<uint64_t>& frames) {
  std::string key = key_of_stack(op, image, frames);
  const auto found = sums_.find(key);
  if (found != sums_.end()) return found->second;
  if (sums_.size() >= kMostStacks) return other_;
  Sum& sum = sums_[std::move(key)];
  sum.op = op, sum.image = image, sum.frames = frames;
  return sum;
}

ChargeStacks::Sum& ChargeStacks::sum_of(const Event& event) {
  Sum& sum = sum_of(event.base.op, event.base.image, event.frames);
  if (sum.program.empty()) sum.program = program_of(event);
  return sum;
}

ChargeStacks::Sum& ChargeStacks::sum_of(const StackSum& stack) {
  const auto known = growth_.stack(stack.stack);
  if (!known) return nameless_;
  Sum& sum = sum_of(stack.op, known->image, known->frames);
  if (sum.program.empty()) sum.program = programs_.of(known->image);
  return sum;
}

void ChargeStacks::note(const Event& event) {
  const EventBase& b = event.base;
  const bool charges = is_memory_op(b.op) || b.op == Op::kShmget;
  const bool is_in_totals = totals_ && b.op != Op::kShmget;
  if (!charges || is_in_totals || event.failed() || !event.returned()) return;
  const auto kb = charge_of(event);
  if (!kb) ++unproven_;
  else if (*kb != 0) add_granted(event, *kb);
}

void ChargeStacks::add_granted(const Event& event, uint64_t kb) {
  Sum& sum = sum_of(event);
  sum.granted_kb += kb;
  ++sum.calls;
  granted_kb_ += kb;
}

void ChargeStacks::add_kept(const LedgerProcess& process, const AddressSpace& space) {
  for (const Mapping& mapping : space.mappings())
    for (const Piece& piece : mapping.pieces) {
      if (piece.charged != Sure::kYes) continue;
      kept_kb_ += piece.kb();
      const uint64_t position = piece.charged_by != kUnknown ? piece.charged_by : piece.made_by;
      const auto event = position == kUnknown ? std::nullopt : log_.event_at(position);
      if (event) {
        sum_of(*event).kept_kb += piece.kb();
        continue;
      }
      listed_.kept_kb += piece.kb();
      if (listed_.program.empty()) listed_.program = process.comm;
    }
}

std::vector<const ChargeStacks::Sum*> ChargeStacks::largest(size_t most) const {
  std::vector<const Sum*> list;
  for (const auto& [key, sum] : sums_)
    if (sum.granted_kb != 0 || sum.kept_kb != 0) list.push_back(&sum);
  const auto larger = [](const Sum* a, const Sum* b) {
    const uint64_t of_a = std::max(a->granted_kb, a->kept_kb),
                   of_b = std::max(b->granted_kb, b->kept_kb);
    return of_a != of_b
               ? of_a > of_b
               : std::tie(a->image, a->op, a->frames) < std::tie(b->image, b->op, b->frames);
  };
  std::sort(list.begin(), list.end(), larger);
  if (list.size() > most) list.resize(most);
  return list;
}

// Outermost first; the shim's own frames are left out, the call stands last.
std::vector<std::string> ChargeStacks::names(const Sum& sum) {
  std::vector<std::string> list;
  list.emplace_back(op_name(sum.op));
  for (const Frame& frame : symbols_.stack(sum.image, sum.frames, Detail::kNames)) {
    if (frame.module.starts_with("libovcshim")) continue;
    // An object without names is one step of the way, however many frames it has there.
    const bool nameless = frame.function.empty() && !frame.module.empty();
    std::string name = nameless ? fmt::format("code without names ({})", frame.module)
                       : frame.function.empty() ? frame.text()
                                                : frame.function;
    if (!frame.function.empty() && !frame.module.empty())
      name += fmt::format(" ({})", frame.module);
    name = shortened(escaped(name));
    if (!nameless || list.back() != name) list.push_back(std::move(name));
  }
  std::reverse(list.begin(), list.end());
  return list;
}

void ChargeStacks::add(Node& root, const Sum& sum) {
  std::vector<std::string> path = names(sum);
  path.insert(path.begin(), shortened(escaped(sum.program)));
  Node* node = &root;
  for (const std::string& name : path) {
    auto& child = node->children[name];
    if (!child) child = std::make_unique<Node>();
    node = child.get();
    node->granted_kb += sum.granted_kb;
    node->kept_kb += sum.kept_kb;
  }
}

// What is too small to be seen stands together in one node.
Json ChargeStacks::node_json(const std::string& name, const Node& node, uint64_t least_granted,
                             uint64_t least_kept) {
  std::vector<std::pair<std::string_view, const Node*>> shown;
  uint64_t small_granted = 0, small_kept = 0;
  for (const auto& [child_name, child] : node.children) {
    const bool small = child->granted_kb < least_granted && child->kept_kb < least_kept;
    if (small || nodes_ >= kMostNodes) {
      small_granted += child->granted_kb, small_kept += child->kept_kb;
      continue;
    }
    ++nodes_;
    shown.emplace_back(child_name, child.get());
  }
  std::stable_sort(shown.begin(), shown.end(), [](const auto& a, const auto& b) {
    return std::max(a.second->granted_kb, a.second->kept_kb) >
           std::max(b.second->granted_kb, b.second->kept_kb);
  });
  Json children = Json::array();
  for (const auto& [child_name, child] : shown)
    children.push_back(node_json(std::string(child_name), *child, least_granted, least_kept));
  if (small_granted != 0 || small_kept != 0)
    children.push_back({"(smaller ones)", small_granted, small_kept, Json::array()});
  return {name, node.granted_kb, node.kept_kb, children};
}

Json ChargeStacks::json() {
  Node root;
  root.granted_kb = granted_kb_, root.kept_kb = kept_kb_;
  uint64_t granted = 0, kept = 0;
  for (const Sum* sum : largest(kMostResolved)) {
    add(root, *sum);
    granted += sum->granted_kb, kept += sum->kept_kb;
  }
  const auto add_leaf = [&](const char* name, uint64_t granted_kb, uint64_t kept_kb) {
    if (granted_kb == 0 && kept_kb == 0) return;
    auto leaf = std::make_unique<Node>();
    leaf->granted_kb = granted_kb, leaf->kept_kb = kept_kb;
    root.children[name] = std::move(leaf);
  };
  add_leaf("(before the recording began, or by no recorded call)", 0, listed_.kept_kb);
  add_leaf("(no room for the stack)", nameless_.granted_kb, nameless_.kept_kb);
  add_leaf("(other stacks)", granted_kb_ - granted - nameless_.granted_kb,
           kept_kb_ - kept - listed_.kept_kb - nameless_.kept_kb);
  return node_json("all", root, granted_kb_ / 2000, kept_kb_ / 2000);
}

std::vector<ChargeStacks::Row> ChargeStacks::rows(size_t most) {
  std::vector<Row> list;
  for (const Sum* sum : largest(most)) {
    std::vector<std::string> path = names(*sum);
    std::reverse(path.begin(), path.end());
    path.push_back(shortened(escaped(sum->program)));
    std::string text;
    for (const std::string& name : path) text += (text.empty() ? "" : " <- ") + name;
    list.push_back({text, sum->granted_kb, sum->kept_kb, sum->calls});
  }
  return list;
}

}  // namespace ovc
