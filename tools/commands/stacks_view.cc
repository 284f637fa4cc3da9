// SPDX-License-Identifier: MIT
#include "tools/commands/stacks_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "tools/commands/small_requests_view.h"
#include "tools/log/names.h"
#include "tools/replay/holders.h"
#include "tools/text/json.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

constexpr size_t kNamesInTree = 48;
constexpr uint64_t kLeastShare = 100;  // of the tree: what holds less than 1 % is not shown

std::string range_text(const Bounds& kb) {
  return kb.exact() ? grouped(kb.high) : fmt::format("{}-{}", grouped(kb.low), grouped(kb.high));
}

class StacksText {
 public:
  StacksText(const LogReader& log, const Growers& found, size_t limit)
      : growth_(log), symbols_(log), found_(found), limit_(limit) {}

  std::string write() {
    text_ = fmt::format("charged memory by stack, kB: {} now, {} ever{}\n", range_text(found_.now),
                        range_text(found_.gross),
                        found_.exact ? "" : "; not exact: the log's tables were full");
    write_flat();
    write_tree();
    return std::move(text_);
  }

 private:
  struct Node {
    Bounds now;
    std::map<std::string, Node> below;
  };

  // Places in one function that look alike in words are one line.
  std::vector<std::pair<StackSum, std::string>> merged() {
    std::vector<std::pair<StackSum, std::string>> lines;
    std::map<std::pair<Op, std::string>, size_t> known;
    for (const StackSum& sum : found_.stacks) {
      if (sum.gross.high == 0 && sum.now.high == 0 && sum.failed == 0) continue;
      std::string text = line_of_askers(growth_, symbols_, sum.stack, sum.op);
      const auto [place, fresh] = known.try_emplace({sum.op, text}, lines.size());
      if (fresh) {
        lines.emplace_back(sum, std::move(text));
        continue;
      }
      StackSum& line = lines[place->second].first;
      line.now.low += sum.now.low, line.now.high += sum.now.high;
      line.gross.low += sum.gross.low, line.gross.high += sum.gross.high;
      line.calls += sum.calls, line.failed += sum.failed;
    }
    std::stable_sort(lines.begin(), lines.end(), [](const auto& a, const auto& b) {
      return std::pair(a.first.now.high, a.first.gross.high) >
             std::pair(b.first.now.high, b.first.gross.high);
    });
    return lines;
  }

  void write_flat() {
    Table table({"NOW", "EVER", "CALLS", "FAILED", "CALL", "WHO"}, "rrrrll");
    const auto lines = merged();
    const size_t shown = limit_ == 0 ? lines.size() : std::min(limit_, lines.size());
    for (size_t i = 0; i < shown; ++i) {
      const auto& [sum, text] = lines[i];
      table.row({range_text(sum.now), range_text(sum.gross), grouped(sum.calls),
                 sum.failed ? grouped(sum.failed) : "", std::string(op_name(sum.op)), text});
    }
    table.write(text_, "");
    if (shown < lines.size())
      text_ += fmt::format("{} more: ovc stats --stacks -n 0\n", grouped(lines.size() - shown));
  }

  void write_tree() {
    Node root;
    for (const StackSum& sum : found_.stacks) {
      if (sum.now.high == 0) continue;
      std::vector<std::string> path = askers_of(growth_, symbols_, sum.stack, sum.op, kNamesInTree);
      std::reverse(path.begin(), path.end());
      path.emplace_back(op_name(sum.op));
      add(root, path, sum.now);
    }
    if (root.now.high == 0) return;
    text_ += "\nthe same now, from the outermost function\n";
    write_below(root, root.now.high / kLeastShare, 0);
  }

  static void add(Node& root, const std::vector<std::string>& path, const Bounds& now) {
    Node* node = &root;
    node->now.low += now.low, node->now.high += now.high;
    for (const std::string& name : path) {
      node = &node->below[name];
      node->now.low += now.low, node->now.high += now.high;
    }
  }

  // A chain of functions with one way on is one line.
  void write_below(const Node& node, uint64_t least, size_t depth) {
    std::vector<std::pair<const std::string*, const Node*>> list;
    for (const auto& [name, below] : node.below)
      if (below.now.high >= least) list.emplace_back(&name, &below);
    std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
      return a.second->now.high > b.second->now.high;
    });
    for (const auto& [name, below] : list) {
      std::string line = escaped(*name);
      const Node* last = below;
      while (last->below.size() == 1 && last->below.begin()->second.now == last->now) {
        line += " -> " + escaped(last->below.begin()->first);
        last = &last->below.begin()->second;
      }
      text_ += fmt::format("{:>15} {:{}}{}\n", range_text(below->now), "", 2 * depth, line);
      write_below(*last, least, depth + 1);
    }
  }

  GrowthLog growth_;
  Symbols symbols_;
  const Growers& found_;
  size_t limit_;
  std::string text_;
};

Json range_json(const Bounds& kb) { return {{"low", kb.low}, {"high", kb.high}}; }

}  // namespace

std::string stacks_text(const LogReader& log, size_t limit) {
  const auto found = growers(log);
  if (!found)
    return "this log has no totals by stack: an older shim wrote it, or it is too small\n";
  return StacksText(log, *found, limit).write() + small_requests_text(log, limit);
}

Json stacks_json(const LogReader& log) {
  const auto found = growers(log);
  if (!found) return nullptr;
  const GrowthLog growth(log);
  Symbols symbols(log);
  Json stacks = Json::array();
  for (const StackSum& sum : found->stacks)
    stacks.push_back({{"op", op_name(sum.op)},
                      {"charged_now_kb", range_json(sum.now)},
                      {"charged_ever_kb", range_json(sum.gross)},
                      {"granted_uncharged_kb", sum.uncharged_kb},
                      {"calls", sum.calls},
                      {"failed", sum.failed},
                      {"asked_bytes", sum.asked_bytes},
                      {"failed_bytes", sum.failed_bytes},
                      {"functions", names_of(growth, symbols, sum.stack, kNamesInTree)}});
  return {{"charged_now_kb", range_json(found->now)},
          {"charged_ever_kb", range_json(found->gross)},
          {"ever_without_stack_kb", found->nameless_kb},
          {"exact", found->exact},
          {"stacks", stacks},
          {"small_requests", small_requests_json(log)}};
}

}  // namespace ovc
