// SPDX-License-Identifier: MIT
//
// `ovc plan` for people and for programs.
#include <fmt/format.h>

#include "tools/causes/finding_json.h"
#include "tools/causes/finding_text.h"
#include "tools/commands/check_report.h"
#include "tools/commands/plan_report.h"
#include "tools/text/json.h"

namespace ovc {
namespace {

constexpr std::string_view kIndent = "              ";  // beneath the text of Lines

std::string title(const PlanReport& r) {
  const char* verdict = r.borderline ? "may pass or be refused: borderline"
                        : r.passes   ? "would pass"
                                     : "would be refused";
  const std::string when =
      r.refused_ns   ? fmt::format("as it was when refused at {}", clock_text(*r.refused_ns, 3))
      : r.granted_ns ? fmt::format("as it was when it passed at {}", clock_text(*r.granted_ns, 3))
                     : "as it is now";
  const std::string grown =
      r.growth_kb ? fmt::format(", grown by {} kB", grouped(r.growth_kb)) : "";
  return fmt::format("a fork of {} (pid {}), {}{}: {}\n", escaped(r.comm), r.pid, when, grown,
                     verdict);
}

std::string settings_text(const PlanReport& r) {
  const HostRules& rules = r.fork.rules;
  std::string text = fmt::format("vm.overcommit_memory = {}", *rules.mode);
  if (rules.overcommit_kbytes.value_or(0) != 0)
    text += fmt::format(", overcommit_kbytes {}", grouped(*rules.overcommit_kbytes));
  else if (rules.ratio) text += fmt::format(", overcommit_ratio {}", *rules.ratio);
  if (rules.ram_kb) text += fmt::format(", RAM {} kB", grouped(*rules.ram_kb));
  if (rules.swap_kb) text += fmt::format(", swap {} kB", grouped(*rules.swap_kb));
  std::string given;
  for (const auto& option : r.given) given += (given.empty() ? "" : ", ") + option;
  return given.empty() ? text : text + "  (assumed: " + given + ")";
}

void add_arithmetic(Lines& lines, const PlanReport& r) {
  Charge charge = r.charge;
  charge.kb = r.fork.charge_kb;
  lines.add("charge", charge_text(charge));
  if (!r.mode2) return;
  lines.add("headroom", headroom_text(*r.mode2));
  const bool is_short = r.mode2->short_kb > 0;
  lines.add(is_short ? "short by" : "to spare",
            fmt::format("{} kB  (the kernel's own counter may be off by {}){}",
                        signed_grouped(is_short ? r.mode2->short_kb : -r.mode2->short_kb),
                        signed_grouped(r.mode2->band_kb), r.borderline ? ": borderline" : ""));
}

void add_growth(Lines& lines, const PlanReport& r) {
  if (r.fork.rules.mode == kModeAlways) lines.add("growth", "no limit: mode 1 never checks");
  if (r.single_growth && *r.single_growth >= 0)
    lines.add("growth", fmt::format("mode 0 does not check the sum; the largest single mapping may "
                                    "grow by {} kB, to RAM + swap",
                                    signed_grouped(*r.single_growth)));
  else if (r.single_growth)
    lines.add("growth",
              fmt::format("the largest single mapping must shrink by {} kB, to RAM + swap",
                          signed_grouped(-*r.single_growth)));
  if (r.fork.rules.mode == kModeNever && !r.growth)
    lines.add("growth", "not even a charge of one page would pass");
  if (!r.growth) return;
  if (*r.growth >= 0)
    lines.add("growth",
              fmt::format("the process may grow by {} kB of charged memory and still fork",
                          signed_grouped(*r.growth)));
  else
    lines.add("growth", fmt::format("the process must free {} kB of charged memory to fork",
                                    signed_grouped(-*r.growth)));
  lines.add("growth",
            "each kB counts twice, in Committed_AS and in the charge of the fork; the user reserve "
            "changes with it");
  if (is_redis(r.comm))
    lines.add(
        "growth",
        fmt::format(
            "maxmemory: at most used_memory (INFO memory) {} {} kB, less the allocator's overhead",
            *r.growth >= 0 ? "plus" : "minus",
            signed_grouped(*r.growth >= 0 ? *r.growth : -*r.growth)));
}

void add_smallest(std::string& out, Lines& lines, const PlanReport& r) {
  if (!r.smallest || !r.surely) return;
  lines.add("smallest",
            "settings that let it fork, each alone; `surely from` includes the error of the "
            "kernel's own counter");
  Table table({"", "now", "passes from", "surely from"}, "lrrr");
  const HostRules& rules = r.fork.rules;
  const auto text = [](const std::optional<uint64_t>& value, const char* unit) {
    return value ? grouped(*value) + unit : std::string("-");
  };
  const auto row = [&](const char* name, auto now, auto smallest, auto surely, const char* unit) {
    if (smallest) table.row({name, text(now, unit), text(smallest, unit), text(surely, unit)});
  };
  row("overcommit_ratio", rules.ratio, r.smallest->ratio, r.surely->ratio, " %");
  row("overcommit_kbytes", rules.overcommit_kbytes, r.smallest->kbytes, r.surely->kbytes, " kB");
  row("swap", rules.swap_kb, r.smallest->swap_kb, r.surely->swap_kb, " kB");
  row("RAM, at this ratio", rules.ram_kb, r.smallest->ram_kb, r.surely->ram_kb, " kB");
  table.write(out, kIndent);
}

std::string verdict_of(const ForkCase& fork) {
  const auto passing = passes(fork);
  if (!passing) return "not known";
  const auto verdict = fork.rules.mode == kModeNever ? mode2_of(fork) : std::nullopt;
  if (!verdict || fork.charge_kb == 0) return *passing ? "passes" : "refused";
  return *passing ? fmt::format("passes, {} kB to spare", signed_grouped(-verdict->short_kb))
                  : fmt::format("refused, short by {} kB", signed_grouped(verdict->short_kb));
}

void add_reserve(Lines& lines, const PlanReport& r) {
  const ReserveEffect& effect = r.reserve;
  if (effect.noreserve_kb != 0)
    lines.add("noreserve",
              fmt::format("charge {} kB if the {} kB now MAP_NORESERVE were charged, as when "
                          "mapped in mode 2: {}",
                          grouped(effect.all_accounted.charge_kb), grouped(effect.noreserve_kb),
                          verdict_of(effect.all_accounted)));
  if (effect.could_be_kb != 0)
    lines.add("noreserve",
              fmt::format("charge {} kB if the {} kB of anonymous memory (not heap and stack) were "
                          "MAP_NORESERVE, which modes 0 and 1 honour: {}",
                          grouped(effect.all_noreserve.charge_kb), grouped(effect.could_be_kb),
                          verdict_of(effect.all_noreserve)));
}

// The commit rules are one thing, the memory that is really used another.
void add_save(Lines& lines, const PlanReport& r) {
  const SaveTexts& texts = r.save_texts;
  if (!texts.save.empty()) lines.add("save", texts.save);
  if (!texts.growth.empty()) lines.add("save", texts.growth);
  for (const auto* list : {&texts.advice, &texts.notes})
    for (const std::string& text : *list) lines.add("save", text);
}

void add_largest(std::string& out, Lines& lines, const PlanReport& r) {
  if (r.largest.empty()) return;
  lines.add("dontfork",
            "with madvise(MADV_DONTFORK) on this mapping and those above it the charge falls to:");
  Table table({"MAPPING", "kB", "KIND", "CHARGE kB", "PASSES"}, "rrlrl");
  for (const Exclusion& e : r.largest)
    table.row({fmt::format("{:x}", e.mapping.start), grouped(e.kb),
               std::string(mapping_kind_text(e.mapping)), grouped(e.charge_left_kb),
               std::string(yes_no(e.passes))});
  table.write(out, kIndent);
}

Json smallest_json(const SmallestSettings& s) {
  return {{"commit_limit_kb", s.limit_kb},
          {"overcommit_ratio", or_null(s.ratio)},
          {"overcommit_kbytes", or_null(s.kbytes)},
          {"swap_kb", or_null(s.swap_kb)},
          {"ram_kb", or_null(s.ram_kb)}};
}

Json settings_json(const HostRules& rules) {
  return {{"overcommit_memory", or_null(rules.mode)},
          {"overcommit_ratio", or_null(rules.ratio)},
          {"overcommit_kbytes", or_null(rules.overcommit_kbytes)},
          {"ram_kb", or_null(rules.ram_kb)},
          {"swap_kb", or_null(rules.swap_kb)},
          {"commit_limit_kb", or_null(rules.limit_kb)}};
}

Json case_json(uint64_t changed_kb, const ForkCase& fork) {
  return {{"kb", changed_kb}, {"charge_kb", fork.charge_kb}, {"passes", or_null(passes(fork))}};
}

}  // namespace

std::string plan_text(const PlanReport& r) {
  std::string out = title(r);
  Lines lines(out);
  lines.add("settings", settings_text(r));
  add_arithmetic(lines, r);
  add_growth(lines, r);
  add_smallest(out, lines, r);
  add_reserve(lines, r);
  add_save(lines, r);
  add_largest(out, lines, r);
  for (const auto& note : r.notes) lines.add("note", note);
  return out;
}

std::string plan_json(const PlanReport& r) {
  Json json = {{"pid", r.pid},
               {"comm", r.comm},
               {"refused", r.refused_ns ? Json(iso_text(*r.refused_ns)) : Json(nullptr)},
               {"granted", r.granted_ns ? Json(iso_text(*r.granted_ns)) : Json(nullptr)}};
  json["settings"] = settings_json(r.fork.rules);
  json["grown_by_kb"] = r.growth_kb;
  json["passes"] = r.passes;
  json["borderline"] = r.borderline;
  json["charge_kb"] = r.fork.charge_kb;
  json["largest_request_kb"] = r.fork.biggest_kb;
  json["mode2"] = r.mode2 ? mode2_json(*r.mode2) : Json(nullptr);
  json["may_grow_kb"] = or_null(r.growth);
  json["largest_mapping_may_grow_kb"] = or_null(r.single_growth);
  json["smallest"] = r.smallest ? smallest_json(*r.smallest) : Json(nullptr);
  json["smallest_surely"] = r.surely ? smallest_json(*r.surely) : Json(nullptr);
  json["if_noreserve_were_accounted"] = case_json(r.reserve.noreserve_kb, r.reserve.all_accounted);
  json["if_accounted_were_noreserve"] = case_json(r.reserve.could_be_kb, r.reserve.all_noreserve);
  json["save"] = r.save ? save_json(*r.save, r.save_texts) : Json(nullptr);
  json["notes"] = r.notes;
  json["without_largest"] = Json::array();
  for (const Exclusion& e : r.largest) {
    Json entry = mapping_json(e.mapping);
    entry.update({{"charge_left_kb", e.charge_left_kb}, {"passes", or_null(e.passes)}});
    json["without_largest"].push_back(std::move(entry));
  }
  return json_text(json, 2) + "\n";
}

}  // namespace ovc
