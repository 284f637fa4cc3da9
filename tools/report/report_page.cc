// SPDX-License-Identifier: MIT
//
// See report_page.h: the charts' document, and the page put together.
#include "tools/report/report_page.h"

#include <fmt/format.h>

#include "tools/causes/finding_text.h"
#include "tools/log/names.h"
#include "tools/report/report_ids.h"
#include "tools/text/html.h"
#include "tools/text/json.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr size_t kMostVerdicts = 60;

Json or_nothing(const std::optional<uint64_t>& value) { return value ? Json(*value) : Json(); }

Json lines_json(const Told& told) {
  Json rows = Json::array();
  for (const auto& [label, text] : told.lines) {
    if (label != "asked by" && label != "cause" && label != "charge" && label != "headroom" &&
        label != "short by")
      continue;
    Json row = Json::array();
    row.push_back(label);
    row.push_back(text);
    rows.push_back(std::move(row));
  }
  return rows;
}

Json verdicts_json(const LogReader& log, const ReportData& data) {
  Json list = Json::array();
  for (size_t i = 0; i < data.why.verdicts.size(); ++i) {
    const Verdict& v = data.why.verdicts[i];
    const Told told = tell(log, v);
    Json json = {
        {"title", told.title}, {"op", op_name(v.event.base.op)}, {"cause", v.finding.cause}};
    json["rows"] = i < kMostVerdicts ? lines_json(told) : Json::array();
    json["id"] = verdict_id(i);
    json["coped"] = v.coped;
    if (v.finding.mode2) {
      json["committed"] = v.finding.mode2->committed_kb;
      json["allowed"] = v.finding.mode2->allowed_kb;
      json["asked"] = v.finding.mode2->request_kb;
    }
    list.push_back(std::move(json));
  }
  return list;
}

Json forks_json(const ReportData& data) {
  Json list = Json::array();
  for (const ForkRow& f : data.forks) {
    const std::string asked = f.purpose.empty() ? f.asked_by : f.purpose + ": " + f.asked_by;
    list.push_back({{"t", data.clock->us(f.tick)},
                    {"pid", f.pid},
                    {"name", f.comm},
                    {"call", f.call},
                    {"asked", asked},
                    {"took", f.took_ns ? Json(*f.took_ns) : Json()},
                    {"charge", or_nothing(f.charge_kb)},
                    {"observed", or_nothing(f.observed_kb)},
                    {"before", or_nothing(f.before_kb)},
                    {"after", or_nothing(f.after_kb)},
                    {"errno", f.failed ? Json(errno_name(f.err)) : Json()},
                    {"child", f.child},
                    {"end", f.end},
                    {"id", fork_id(f)}});
  }
  return list;
}

Json mappings_json(const ReportData& data) {
  Json list = Json::array();
  for (const MappingMark& m : data.mappings)
    list.push_back({{"t", data.clock->us(m.tick)},
                    {"op", m.op},
                    {"kb", m.kb},
                    {"charge", or_nothing(m.charge_kb)},
                    {"pid", m.pid},
                    {"name", m.comm},
                    {"by", m.caller}});
  return list;
}

Json lives_json(const ReportData& data) {
  Json list = Json::array();
  for (const Life& life : data.lives.rows)
    list.push_back({{"pid", life.pid},
                    {"name", escaped(life.name)},
                    {"detail", escaped(life.detail)},
                    {"made", escaped(life.made_by)},
                    {"fate", escaped(life.fate)},
                    {"kind", life.kind},
                    {"from", data.clock->us(life.from_tick)},
                    {"to", life.end_tick ? Json(data.clock->us(life.end_tick)) : Json()},
                    {"last", data.clock->us(life.last_tick)},
                    {"forks", life.forks},
                    {"refused", life.refused_forks},
                    {"depth", life.depth},
                    {"others", life.others}});
  return list;
}

Json space_json(const Space& space) {
  Json rows = Json::array();
  for (const SpaceRow& row : space.rows) {
    if (row.charge.high == 0) continue;  // the table has them
    rows.push_back({{"start", row.merged ? std::string() : fmt::format("{:x}", row.start)},
                    {"kb", row.kb},
                    {"low", row.charge.low},
                    {"high", row.charge.high},
                    {"fork", row.at_fork_kb},
                    {"what", row.what},
                    {"owner", row.owner},
                    {"made", row.made_by},
                    {"merged", row.merged}});
  }
  Json json = {{"pid", space.pid}, {"name", escaped(space.name)}, {"rows", rows}};
  json["charged"] = {{"low", space.charged.low}, {"high", space.charged.high}};
  json["exact"] = space.exact;
  if (space.refused) {
    const Finding& f = space.refused->finding;
    if (f.mode2) json["headroom"] = f.mode2->headroom_kb;
    if (f.charge && f.charge->refused_at)
      json["refused_at"] = fmt::format("{:x}", f.charge->refused_at->mapping.start);
    if (f.charge) json["asked"] = f.charge->kb;
  }
  return json;
}

int64_t day_us(int64_t posix_ns) {
  const std::string clock = clock_text(posix_ns, 6);  // local time, as everywhere in ovc
  const auto two = [&](size_t at) { return int64_t{clock[at] - '0'} * 10 + (clock[at + 1] - '0'); };
  if (clock.size() != 15 || clock[0] == '?') return 0;
  const int64_t seconds = (two(0) * 60 + two(3)) * 60 + two(6);
  return seconds * 1000000 + two(9) * 10000 + two(11) * 100 + two(13);
}

}  // namespace

Json report_charts(const LogReader& log, ReportData& data) {
  Json json;
  json["clock"] = day_us(data.clock->posix_ns_of(0));
  json["span"] = data.clock->end_us();
  const auto modes = data.readings->modes();
  json["mode"] = modes.empty() ? Json() : Json(modes.back().value);
  json["rehearsed"] = rehearsed_mode(log.header()).has_value();
  json["rehearsed_limit"] = or_nothing(data.rehearsed_limit_kb);
  json["readings"] = data.readings->json();
  json["verdicts"] = verdicts_json(log, data);
  Json refusals = Json::array();
  for (const RefusalMark& mark : data.refusals)
    refusals.push_back({{"t", data.clock->us(mark.tick)}, {"v", mark.verdict}});
  json["refusals"] = refusals;
  json["forks"] = forks_json(data);
  json["mappings"] = mappings_json(data);
  json["lives"] = lives_json(data);
  json["at_end"] = data.spaces.at_end;
  json["spaces"] = Json::array();
  for (const Space& space : data.spaces.list) json["spaces"].push_back(space_json(space));
  json["stacks"] = data.stacks->json();
  json["stacks_at_end"] = data.spaces.at_end || data.stacks->kept_at_end();
  return json;
}

std::string report_page(const LogReader& log, ReportData& data) {
  auto values = report_sections(log, data);
  values["style"] = kReportStyle;
  values["script"] = kReportScript;
  values["style_hash"] = kReportStyleHash;
  values["script_hash"] = kReportScriptHash;
  values["data"] = json_in_html(report_charts(log, data));
  return fill_template(kReportTemplate, values);
}

}  // namespace ovc
