// SPDX-License-Identifier: MIT
//
// `ovc check` for people: details of one process in the words and columns of `ovc why`, or a line
// for each of many.
#include <fmt/format.h>

#include "tools/causes/finding_text.h"
#include "tools/commands/check_report.h"

namespace ovc {
namespace {

std::string mode_text(const HostRules& rules) {
  return rules.mode ? fmt::format("vm.overcommit_memory = {}", *rules.mode)
                    : "vm.overcommit_memory not known";
}

std::string title(const CheckRow& row) {
  const std::string who = fmt::format("{} (pid {})", escaped(row.process.comm), row.process.pid);
  const std::string mode = mode_text(row.process.fork.rules);
  switch (row.outlook.answer) {
    case Answer::kPass: return fmt::format("a fork of {} would pass now ({})\n", who, mode);
    case Answer::kFail: return fmt::format("a fork of {} would be refused now ({})\n", who, mode);
    case Answer::kBorderline:
      return fmt::format("a fork of {} may pass or be refused now: borderline ({})\n", who, mode);
    case Answer::kUnknown: break;
  }
  return fmt::format("whether a fork of {} would pass now is not known ({})\n", who, mode);
}

std::string cause_text(const CheckRow& row) {
  if (row.outlook.answer == Answer::kUnknown) return "unknown: " + row.outlook.reason;
  return row.outlook.finding.summary;
}

std::string bounds_text(const CheckRow& row) {
  const std::string most = grouped(row.outlook.commit.charge.kb);
  const uint64_t own_kb = row.process.listed
                              ? row.process.sums.private_kb
                              : row.process.fork.fact(ovcshim::FactKey::kVmSizeKb).value_or(0);
  if (row.outlook.commit.charge.kb < own_kb)
    return fmt::format("between 0 and {} kB, Committed_AS of the whole host", most);
  if (!row.process.listed) return fmt::format("between 0 and {} kB, its whole address space", most);
  return fmt::format(
      "between 0 and {} kB, all private mappings; of it heap and stack, {} kB, are charged unless "
      "MADV_DONTFORK",
      most, grouped(row.process.sums.heap_and_stack_kb));
}

std::string not_charged_text(const MappingSums& sums) {
  struct Part {
    uint64_t kb;
    std::string_view what;
  };
  const Part parts[] = {{sums.noreserve_kb, "MAP_NORESERVE"},
                        {sums.dont_copy_kb, "MADV_DONTFORK"},
                        {sums.shared_kb, "shared"},
                        {sums.huge_kb, "huge pages"}};
  std::string text;
  for (const Part& part : parts)
    if (part.kb != 0)
      text += fmt::format("{}{} kB {}", text.empty() ? "" : ", ", grouped(part.kb), part.what);
  return text;
}

std::string largest_text(const CheckRow& row) {
  std::string text = mapping_text(*row.biggest);
  if (const auto limit = row.outlook.commit.mode0_limit_kb)
    text += fmt::format("; mode 0 refuses only a single mapping larger than RAM + swap, {} kB",
                        grouped(*limit));
  return text;
}

// The amount alone; of an estimate it is the one that the highest charge leaves.
std::string spare_kb_text(const CheckRow& row) {
  const int64_t short_kb = row.outlook.finding.mode2->short_kb;
  const char* bound = !row.outlook.estimated ? "" : short_kb > 0 ? "at most " : "at least ";
  return fmt::format("{}{} kB", bound, signed_grouped(short_kb > 0 ? short_kb : -short_kb));
}

void add_mode2(Lines& lines, const CheckRow& row) {
  const Finding& f = row.outlook.finding;
  const bool is_short = f.mode2->short_kb > 0;
  if (row.process.fork.rules.mode != kModeNever) {
    lines.add("in mode 2",
              fmt::format("{}{}{}; headroom {}", is_short ? "short by " : "", spare_kb_text(row),
                          is_short ? "" : " to spare", headroom_text(*f.mode2)));
    return;
  }
  lines.add("headroom", headroom_text(*f.mode2));
  lines.add(is_short ? "short by" : "to spare",
            fmt::format("{}  (the kernel's own counter may be off by {}){}", spare_kb_text(row),
                        signed_grouped(f.mode2->band_kb), f.borderline ? ": borderline" : ""));
}

void add_commit(Lines& lines, const CheckRow& row) {
  const Finding& f = row.outlook.finding;
  lines.add("charge", row.outlook.estimated ? bounds_text(row) : charge_text(*f.charge));
  const std::string free = row.outlook.estimated ? "" : not_charged_text(row.process.sums);
  if (!free.empty()) lines.add("not charged", free);
  if (row.biggest) lines.add("largest", largest_text(row));
  if (f.mode2) add_mode2(lines, row);
  if (!row.outlook.estimated) lines.add("would pass", would_pass_text(*f.would_pass));
}

std::string limit_text(const LimitCheck& check) {
  std::string text = escaped(check.what);
  if (check.limit && check.used)
    text = fmt::format("{} of {} {}: {}", grouped(*check.used), grouped(*check.limit), check.unit,
                       text);
  if (check.answer == Answer::kFail && check.cause == "security-module") return text + ": denied";
  if (check.answer == Answer::kFail) return text + (check.limit ? ": full" : ": dead");
  return check.answer == Answer::kUnknown && check.cause != "memcg" ? text + ": not known" : text;
}

void add_limits(Lines& lines, const CheckRow& row) {
  for (const LimitCheck& check : row.outlook.limits)
    lines.add(check.cause == "memcg" ? "memory" : "tasks", limit_text(check));
  if (!row.process.groups.all_visible)
    lines.add("tasks", "limits of parent control groups are not visible here");
}

std::string read_text(const CheckReport& report, const LiveProcess& process) {
  const bool exact = report.depth == Depth::kExact;
  if (!process.listed) return "statm and status only: " + process.reason;
  return fmt::format(
      "{} mappings from {} in {}{}", grouped(process.sums.mappings), exact ? "smaps" : "maps",
      duration_text(process.read_ns),
      exact ? "; the process's mmap and munmap calls were blocked for that long" : "");
}

void add_save(Lines& lines, const SaveTexts& texts) {
  if (!texts.save.empty()) lines.add("save", texts.save);
  for (const std::string& note : texts.notes) lines.add("save", note);
}

void add_children(Lines& lines, const CheckRow& row) {
  for (const FormerSaves& saves : row.former)
    lines.add("former", escaped(former_text(saves, row.save.thp_always)));
  for (const StuckChild& child : row.stuck)
    lines.add("stuck",
              fmt::format("{} for {}: it waits for a lock ({:#x}) that nobody can give "
                          "back; kill -9 {}",
                          child.pid == row.process.pid ? "this process"
                                                       : fmt::format("its child {}", child.pid),
                          duration_text(static_cast<int64_t>(child.alive_seconds * 1e9)),
                          child.wait.futex, child.pid));
}

void add_details(std::string& out, const CheckReport& report, const CheckRow& row) {
  out += title(row);
  const Finding& f = row.outlook.finding;
  Lines lines(out);
  if (row.outlook.answer != Answer::kPass) lines.add("cause", cause_text(row));
  add_commit(lines, row);
  add_limits(lines, row);
  SaveTexts save = save_texts(row.save, row.process);
  if (row.outlook.answer == Answer::kFail && !save.save.empty())
    save.save.insert(0, "once a fork passes: ");
  add_save(lines, save);
  add_children(lines, row);
  if (!f.meaning.empty()) lines.add("meaning", f.meaning);
  if (!f.rule.empty()) lines.add("rule", f.rule);
  for (const auto& note : f.notes) lines.add("note", note);
  for (const auto& advice : f.advice) lines.add("to do", advice);
  for (const auto& advice : save.advice) lines.add("to do", advice);
  lines.add("read", read_text(report, row.process));
}

std::string why_text(const CheckRow& row) {
  if (row.outlook.answer == Answer::kUnknown) return row.outlook.reason;
  return std::string(row.outlook.finding.cause);
}

// A charge that is not exact is the most it can be.
std::vector<std::string> cells(const CheckRow& row) {
  const WouldPass& pass = row.outlook.commit.would_pass;
  const auto& verdict = row.outlook.commit.mode2;
  const bool unknown = row.outlook.answer == Answer::kUnknown && !row.process.listed;
  const auto mode = [&](const std::optional<bool>& passes) {
    return std::string(!passes || unknown || (row.outlook.estimated && *passes == false) ? "?"
                       : *passes                                                         ? "yes"
                                                                                         : "no");
  };
  const std::string least = row.outlook.estimated ? "<= " : "",
                    more = row.outlook.estimated ? ">= " : "";
  std::vector<std::string> list = {std::to_string(row.process.pid), escaped(row.process.comm),
                                   std::string(answer_name(row.outlook.answer))};
  list.push_back(unknown ? "?" : least + grouped(row.outlook.commit.charge.kb));
  list.push_back(row.outlook.estimated ? "?" : grouped(row.process.sums.noreserve_kb));
  for (const auto& passes : {pass.mode0, pass.mode1, pass.mode2}) list.push_back(mode(passes));
  list.push_back(!verdict || unknown ? "?" : more + signed_grouped(-verdict->short_kb));
  list.push_back(why_text(row));
  return list;
}

std::string heading(const HostRules& rules) {
  std::string text = mode_text(rules);
  if (rules.limit_kb && rules.committed_kb)
    text += fmt::format("; CommitLimit {} kB, Committed_AS {} kB", grouped(*rules.limit_kb),
                        grouped(*rules.committed_kb));
  if (const auto band = counter_band_kb(rules, kModeNever); band && rules.mode == kModeNever)
    text += fmt::format(" (the kernel's own counter may be off by {})", grouped(*band));
  return text + '\n';
}

std::string counts_text(const CheckReport& report) {
  std::string text = counted(grouped(report.rows.size()), "processes");
  for (const Answer answer : {Answer::kFail, Answer::kBorderline, Answer::kPass, Answer::kUnknown})
    if (const uint64_t n = report.count(answer))
      text += fmt::format(", {} {}", grouped(n), answer_name(answer));
  if (report.skipped)
    text += fmt::format("; {} kernel threads and zombies skipped", grouped(report.skipped));
  if (report.gone) text += fmt::format("; {} exited meanwhile", grouped(report.gone));
  int64_t ns = 0;
  for (const CheckRow& row : report.rows) ns += row.process.read_ns;
  return fmt::format("{}; {} read in {}\n", text, report.depth == Depth::kExact ? "smaps" : "maps",
                     duration_text(ns));
}

}  // namespace

std::string check_text(const CheckReport& report) {
  std::string out;
  if (report.details && !report.rows.empty()) {
    add_details(out, report, report.rows.front());
    return out;
  }
  out += heading(report.host);
  Table table({"PID", "COMM", "FORK", "CHARGE kB", "NORESERVE kB", "MODE 0", "MODE 1", "MODE 2",
               "SPARE IN 2 kB", "WHY"},
              "rllrrlllrl");
  for (const CheckRow& row : report.rows) table.row(cells(row));
  if (!table.empty()) table.write(out);
  return out + counts_text(report);
}

}  // namespace ovc
