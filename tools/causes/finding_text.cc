// SPDX-License-Identifier: MIT
//
// See finding_text.h.
#include "tools/causes/finding_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/text/output.h"

namespace ovc {
namespace {

std::string ordinal(uint64_t n) {
  const uint64_t tens = n % 100;
  const char* ending = tens >= 11 && tens <= 13 ? "th"
                       : n % 10 == 1            ? "st"
                       : n % 10 == 2            ? "nd"
                       : n % 10 == 3            ? "rd"
                                                : "th";
  return fmt::format("{}{}", n, ending);
}

std::string mode2_with_text(const WouldPass& pass) {
  if (pass.mode2 != false) return std::string(yes_no(pass.mode2));
  const LimitSettings& with = pass.mode2_with;
  std::string text;
  if (pass.by_kbytes && with.overcommit_kbytes)
    text = fmt::format("with overcommit_kbytes >= {}", grouped(*with.overcommit_kbytes));
  else if (with.ratio) text = fmt::format("with overcommit_ratio >= {}", *with.ratio);
  if (with.more_swap_mib)
    text += fmt::format("{}{} MiB more swap", text.empty() ? "with " : ", or ",
                        grouped(*with.more_swap_mib));
  return text.empty() ? "no" : text;
}

std::string amount(const Figure& figure) {
  if (figure.unit == "address") return fmt::format("{:x}", figure.value);
  if (figure.value == ovcshim::kInfinite) return "unlimited";
  return counted(grouped(figure.value), figure.unit);
}

}  // namespace

void Lines::add(std::string_view label, std::string_view text) {
  out_ += fmt::format("  {:<11} {}\n", label == last_ ? "" : label, text);
  last_ = label;
}

std::string signed_grouped(int64_t value) {
  return value < 0 ? "-" + grouped(uint64_t{0} - static_cast<uint64_t>(value))
                   : grouped(static_cast<uint64_t>(value));
}

std::string mapping_text(const ovcshim::MappingEntry& mapping) {
  const uint64_t kb = (mapping.end - mapping.start) / 1024;
  return fmt::format("{:x} ({} kB, {})", mapping.start, grouped(kb), mapping_kind_text(mapping));
}

std::string charge_text(const Charge& charge) {
  std::string text = grouped(charge.kb) + " kB";
  if (charge.mappings > 1) text += fmt::format(" over {} mappings", charge.mappings);
  if (!charge.refused_at) return text;
  return text + fmt::format("; refused at the {}, {}", ordinal(charge.refused_at->index),
                            mapping_text(charge.refused_at->mapping));
}

std::string headroom_text(const Mode2Verdict& v) {
  std::string text = fmt::format("{} kB = CommitLimit {} - Committed_AS {} - user reserve {}",
                                 signed_grouped(v.headroom_kb), signed_grouped(v.limit_kb),
                                 signed_grouped(v.committed_kb), signed_grouped(v.user_reserve_kb));
  if (v.admin_reserve_kb != 0)
    text += fmt::format(" - admin reserve {}", signed_grouped(v.admin_reserve_kb));
  return text;
}

std::string counted(const std::string& number, std::string_view unit) {
  if (number == "1" && unit.ends_with('s') && unit != "times")
    unit.remove_suffix(unit.ends_with("sses") ? 2 : 1);
  return unit.empty() ? number : fmt::format("{} {}", number, unit);
}

std::string figures_text(const std::vector<Figure>& figures) {
  std::string text;
  for (const auto& figure : figures)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", figure.label, amount(figure));
  return text;
}

std::string short_text(const Finding& f) {
  std::string text = *f.short_by > 0 ? counted(signed_grouped(*f.short_by), f.short_unit)
                                     : fmt::format("nothing: {} {} to spare",
                                                   signed_grouped(-*f.short_by), f.short_unit);
  if (f.band)
    text += fmt::format("  (the kernel's own counter may be off by {})", signed_grouped(*f.band));
  if (f.borderline) text += ": borderline";
  return text;
}

std::string_view yes_no(const std::optional<bool>& answer) {
  return !answer ? "not known" : *answer ? "yes" : "no";
}

std::string would_pass_text(const WouldPass& pass) {
  return fmt::format("mode 0: {}   mode 1: {}   mode 2: {}", yes_no(pass.mode0), yes_no(pass.mode1),
                     mode2_with_text(pass));
}

std::string statement(const Finding& finding) {
  std::string text =
      fmt::format("{}\n{}\n{}\n{}", finding.cause, finding.summary, finding.meaning, finding.rule);
  for (const auto& suspect : finding.suspects)  // without its figures
    text += fmt::format("\n{} {}", suspect.cause, suspect.text.substr(0, suspect.text.find(':')));
  for (const auto& note : finding.notes) text += '\n' + note;
  return text;
}

bool same_figures(const Finding& a, const Finding& b) {
  const auto same = [](const Figure& x, const Figure& y) {
    return x.label == y.label && x.value == y.value;
  };
  return a.short_by == b.short_by &&
         std::equal(a.figures.begin(), a.figures.end(), b.figures.begin(), b.figures.end(), same);
}

}  // namespace ovc
