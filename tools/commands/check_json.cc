// SPDX-License-Identifier: MIT
//
// `ovc check` for programs: every figure exact, the names of `ovc why`, null where something is not
// known.
#include "tools/causes/finding_json.h"
#include "tools/commands/check_report.h"
#include "tools/text/json.h"

namespace ovc {

Json former_json(const FormerSaves& saves) {
  return {{"purpose", saves.of.purpose.empty() ? Json(nullptr) : Json(saves.of.purpose)},
          {"ended", saves.ended},
          {"failed", saves.failed},
          {"killed", saves.killed},
          {"longest_life_ns", saves.of.longest_ns()},
          {"child_page_faults", or_null(saves.own_faults)},
          {"parent_page_faults", or_null(saves.parent_faults)},
          {"copied_at_most_kb", or_null(saves.most_kb)}};  // at 4 kB a fault
}

Json save_json(const SaveOutlook& o, const SaveTexts& texts) {
  const auto kb = [](const std::optional<uint64_t>& bytes) {
    return bytes && *bytes < ovcshim::kInfinite ? Json(*bytes / 1024) : Json(nullptr);
  };
  Json json = {{"verdict", o.answer_name()},
               {"copies_at_most_kb", or_null(o.most_kb)},
               {"private_pages_kb", or_null(o.pages_kb)},
               {"in_swap_kb", or_null(o.swapped_kb)},
               {"free_kb", or_null(o.free_kb)},
               {"short_at_most_kb", o.short_kb},
               {"limit_that_survives_kb", or_null(o.limit_kb)},
               {"less_data_kb", or_null(o.less_kb)},
               {"more_data_kb", or_null(o.more_kb)},
               {"thp_always", o.thp_always}};
  json["group"] = o.group ? Json{{"path", o.group->path},
                                 {"limit_kb", o.group->limit / 1024},
                                 {"used_kb", kb(o.group->used)},
                                 {"file_cache_kb", o.group->cache / 1024},
                                 {"most_ever_kb", kb(o.group->most)}}
                          : Json(nullptr);
  json["slowed_down"] = o.slows ? Json{{"path", o.slows->path},
                                       {"memory_high_kb", o.slows->limit / 1024},
                                       {"after_kb", o.slows_after_kb}}
                                : Json(nullptr);
  json["killed_together"] = o.killed_together.empty() ? Json(nullptr) : Json(o.killed_together);
  json["groups_above_visible"] = !o.groups_hidden;
  json["notes"] = texts.notes;
  json["advice"] = texts.advice;
  return json;
}

namespace {

Json limit_json(const LimitCheck& check) {
  return {{"cause", check.cause},        {"verdict", answer_name(check.answer)},
          {"used", or_null(check.used)}, {"limit", or_null(check.limit)},
          {"unit", check.unit},          {"what", check.what}};
}

Json sums_json(const MappingSums& sums) {
  return {{"noreserve_kb", sums.noreserve_kb},
          {"dontfork_kb", sums.dont_copy_kb},
          {"shared_kb", sums.shared_kb},
          {"huge_pages_kb", sums.huge_kb}};
}

Json stuck_json(const StuckChild& child) {
  return {{"pid", child.pid},
          {"parent_pid", child.parent},
          {"alive_seconds", child.alive_seconds},
          {"futex", hex_text(child.wait.futex)}};
}

// Both bounds, equal where the charge is exact.
Json charge_range_json(const CheckRow& row) {
  const uint64_t most = row.outlook.commit.charge.kb;
  return {{"at_least_kb", row.outlook.estimated ? 0 : most}, {"at_most_kb", most}};
}

Json row_json(const CheckRow& row) {
  const ForkOutlook& outlook = row.outlook;
  const Finding& f = outlook.finding;
  const LiveProcess& p = row.process;
  const bool exact = !outlook.estimated;
  Json json = {{"pid", p.pid}, {"comm", p.comm}, {"verdict", answer_name(outlook.answer)}};
  json["reason"] = outlook.answer == Answer::kUnknown ? Json(outlook.reason) : Json(nullptr);
  json["cause"] = f.cause.empty() ? Json(nullptr) : Json(f.cause);
  json["summary"] = f.summary.empty() ? Json(nullptr) : Json(f.summary);
  json["exact"] = exact;
  json["charge"] = exact ? charge_json(outlook.commit.charge) : Json(nullptr);
  json["charge_range"] = charge_range_json(row);
  json["not_charged"] = exact ? sums_json(p.sums) : Json(nullptr);
  json["largest"] = row.biggest ? mapping_json(*row.biggest) : Json(nullptr);
  json["mode0_limit_kb"] = or_null(outlook.commit.mode0_limit_kb);
  json["mode2"] = outlook.commit.mode2 ? mode2_json(*outlook.commit.mode2) : Json(nullptr);
  json["borderline"] = outlook.answer == Answer::kBorderline;
  json["would_pass"] = exact ? would_pass_json(outlook.commit.would_pass) : Json(nullptr);
  json["limits"] = Json::array();
  for (const LimitCheck& check : outlook.limits) json["limits"].push_back(limit_json(check));
  json["all_groups_visible"] = p.groups.all_visible;
  json["save"] = save_json(row.save, save_texts(row.save, row.process));
  json["former_saves"] = Json::array();
  for (const FormerSaves& saves : row.former) json["former_saves"].push_back(former_json(saves));
  json["stuck_children"] = Json::array();
  for (const StuckChild& child : row.stuck) json["stuck_children"].push_back(stuck_json(child));
  json["notes"] = f.notes;
  json["advice"] = f.advice;
  json["read"] = {{"mappings", p.listed ? Json(p.sums.mappings) : Json(nullptr)},
                  {"ns", p.read_ns}};
  return json;
}

}  // namespace

Json check_json(const CheckReport& report) {
  Json json = {{"overcommit_memory", or_null(report.host.mode)},
               {"commit_limit_kb", or_null(report.host.limit_kb)},
               {"committed_as_kb", or_null(report.host.committed_kb)},
               {"source", report.depth == Depth::kExact ? "smaps" : "maps"},
               {"processes", Json::array()}};
  for (const CheckRow& row : report.rows) json["processes"].push_back(row_json(row));
  json["skipped"] = report.skipped;
  json["gone"] = report.gone;
  return json;
}

}  // namespace ovc
