// SPDX-License-Identifier: MIT
//
// `ovc check` for monitoring.
#include <fmt/format.h>

#include <algorithm>

#include "tools/commands/check_report.h"
#include "tools/text/openmetrics.h"

namespace ovc {
namespace {

using Value = std::optional<double>;

struct HostFamily {
  std::string_view name, unit, help;
  Value (*value)(const CheckReport&);
};
struct ProcessFamily {
  std::string_view name, unit, help;
  Value (*value)(const CheckRow&);
};

Value bytes(std::optional<uint64_t> kb) {
  return kb ? Value(static_cast<double>(*kb) * 1024) : std::nullopt;
}
Value bytes(int64_t kb) { return static_cast<double>(kb) * 1024; }
Value number(std::optional<uint64_t> value) {
  return value ? Value(static_cast<double>(*value)) : std::nullopt;
}
Value truth(std::optional<bool> value) { return value ? Value(*value ? 1 : 0) : std::nullopt; }
bool has_bounds(const CheckRow& row) {
  return row.outlook.answer != Answer::kUnknown || row.process.listed;
}

// clang-format off
constexpr HostFamily kHost[] = {
    {"ovc_overcommit_mode", "", "vm.overcommit_memory: 0 guess, 1 always, 2 never.", [](const CheckReport& r) { return number(r.host.mode); }},
    {"ovc_commit_limit_bytes", "bytes", "CommitLimit of /proc/meminfo.", [](const CheckReport& r) { return bytes(r.host.limit_kb); }},
    {"ovc_committed_bytes", "bytes", "Committed_AS of /proc/meminfo.", [](const CheckReport& r) { return bytes(r.host.committed_kb); }},
    {"ovc_commit_error_bytes", "bytes", "How far the kernel's own counter, compared in mode 2, may be from Committed_AS.",
     [](const CheckReport& r) { return bytes(counter_band_kb(r.host, kModeNever)); }},
};
constexpr ProcessFamily kProcess[] = {
    {"ovc_fork_passes", "", "Would a fork pass now: 1 yes, 0 no or borderline; absent if not known.", [](const CheckRow& r) {
       return r.outlook.answer == Answer::kUnknown ? Value() : truth(r.outlook.answer == Answer::kPass); }},
    {"ovc_fork_charge_min_bytes", "bytes", "What a fork is charged, at least.", [](const CheckRow& r) {
       return has_bounds(r) ? bytes(std::optional(r.outlook.estimated ? 0 : r.outlook.commit.charge.kb)) : Value(); }},
    {"ovc_fork_charge_max_bytes", "bytes", "What a fork is charged, at most; the same if smaps was read.", [](const CheckRow& r) {
       return has_bounds(r) ? bytes(std::optional(r.outlook.commit.charge.kb)) : Value(); }},
    {"ovc_fork_largest_request_bytes", "bytes", "The largest mapping that a fork is charged for, which mode 0 compares.",
     [](const CheckRow& r) { return r.outlook.estimated ? Value() : bytes(r.outlook.commit.charge.biggest_kb); }},
    {"ovc_fork_noreserve_bytes", "bytes", "MAP_NORESERVE memory, which a fork is not charged for.",
     [](const CheckRow& r) { return r.outlook.estimated ? Value() : bytes(std::optional(r.process.sums.noreserve_kb)); }},
    {"ovc_fork_headroom_bytes", "bytes", "Headroom of this process by the rule of mode 2.",
     [](const CheckRow& r) { return r.outlook.commit.mode2 ? bytes(r.outlook.commit.mode2->headroom_kb) : Value(); }},
    {"ovc_save_copies_max_bytes", "bytes", "What writes may copy, at most, while a child of a fork lives.",
     [](const CheckRow& r) { return bytes(r.save.most_kb); }},
    {"ovc_save_free_bytes", "bytes", "What is free for that in the tightest memory group above the process, or on the host.",
     [](const CheckRow& r) { return bytes(r.save.free_kb); }},
    {"ovc_save_survives", "", "Is that enough if every page is written: 1 yes, 0 not surely; absent if not known.", [](const CheckRow& r) {
       return r.save.answer == Survival::kUnknown ? Value() : truth(r.save.answer == Survival::kSurely); }},
    {"ovc_stuck_children", "", "Its children (or itself) that wait for a lock which nobody can give back.",
     [](const CheckRow& r) { return Value(static_cast<double>(r.stuck.size())); }},
    {"ovc_stuck_children_seconds", "seconds", "How long the oldest of them has been alive; absent if there is none.", [](const CheckRow& r) {
       double oldest = 0;
       for (const StuckChild& child : r.stuck) oldest = std::max(oldest, child.alive_seconds);
       return r.stuck.empty() ? Value() : Value(oldest); }},
    {"ovc_check_seconds", "seconds", "Time that reading the mappings took.",
     [](const CheckRow& r) { return Value(static_cast<double>(r.process.read_ns) / 1e9); }},
};
// clang-format on

std::string labels(const CheckRow& row, std::string_view more = {}) {
  return fmt::format("{{pid=\"{}\",comm=\"{}\"{}}}", row.process.pid,
                     metric_label(row.process.comm), more);
}

void add_sample(std::string& out, std::string_view name, const std::string& labels,
                const Value& value) {
  if (value) append_metric_sample(out, name, labels, *value);
}

void add_modes(std::string& out, const CheckReport& report) {
  constexpr std::string_view kName = "ovc_fork_passes_in_mode";
  append_metric_head(
      out, kName, "",
      "Would a fork pass the commit rule with this vm.overcommit_memory; absent if not known.");
  for (const CheckRow& row : report.rows) {
    const WouldPass& pass = row.outlook.commit.would_pass;
    unsigned mode = 0;
    for (const auto& passes : {pass.mode0, pass.mode1, pass.mode2}) {
      const bool proven = passes && (!row.outlook.estimated || *passes);
      add_sample(out, kName, labels(row, fmt::format(",mode=\"{}\"", mode++)),
                 proven ? truth(passes) : Value());
    }
  }
}

}  // namespace

std::string check_openmetrics(const CheckReport& report) {
  std::string out;
  for (const HostFamily& family : kHost) {
    const Value value = family.value(report);
    if (!value) continue;
    append_metric_head(out, family.name, family.unit, family.help);
    add_sample(out, family.name, "", value);
  }
  for (const ProcessFamily& family : kProcess) {
    append_metric_head(out, family.name, family.unit, family.help);
    for (const CheckRow& row : report.rows)
      add_sample(out, family.name, labels(row), family.value(row));
  }
  add_modes(out, report);
  return out + "# EOF\n";
}

}  // namespace ovc
