// SPDX-License-Identifier: MIT
//
// `ovc check` for programs: every figure exact, the names of `ovc why`, null where something is not
// known.
#include "tools/causes/finding_json.h"
#include "tools/commands/check_report.h"
#include "tools/text/json.h"

namespace ovc {
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
