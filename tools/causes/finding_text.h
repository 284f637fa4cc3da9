// SPDX-License-Identifier: MIT
//
// The words for a fork's charge and the commit arithmetic, shared by every command that prints a
// verdict: same facts, same line, whether they were recorded (`ovc why`) or read just now (`ovc
// check`).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tools/causes/causes.h"

namespace ovc {

// Lines of "  label       text" appended to a string; a label that repeats is left blank.
class Lines {
 public:
  explicit Lines(std::string& out) : out_(out) {}
  void add(std::string_view label, std::string_view text);

 private:
  std::string& out_;
  std::string_view last_;
};

std::string signed_grouped(int64_t value);                              // "-1,234"
std::string counted(const std::string& number, std::string_view unit);  // "1 task", "2 tasks"
// "request 5 kB, limit 4 kB"; "" of none.
std::string figures_text(const std::vector<Figure>& figures);
std::string_view yes_no(const std::optional<bool>& answer);  // "yes", "no", "not known"
std::string mapping_text(
    const ovcshim::MappingEntry& mapping);      // "7f09ee200000 (163,840 kB, anonymous)"
std::string charge_text(const Charge& charge);  // "1,234 kB over 5 mappings; refused at ..."
std::string headroom_text(
    const Mode2Verdict& verdict);                // "987 kB = CommitLimit ... - Committed_AS ..."
std::string short_text(const Finding& finding);  // of a finding with short_by
std::string would_pass_text(const WouldPass& pass);  // "mode 0: yes   mode 1: ..."

// All that a verdict says in words: two with the same cause can say different things.
std::string statement(const Finding& finding);
bool same_figures(const Finding& a, const Finding& b);

}  // namespace ovc
