// SPDX-License-Identifier: MIT
//
// The verdicts for programs: every figure exact, stable names, null where something is not known.
#include "tools/causes/finding_json.h"
#include "tools/log/call_text.h"
#include "tools/log/names.h"
#include "tools/text/json.h"
#include "tools/text/output.h"
#include "tools/verdict/why_report.h"

namespace ovc {
namespace {

Json figures_json(const std::vector<Figure>& figures) {
  Json list = Json::array();
  for (const auto& figure : figures)
    list.push_back({{"label", figure.label},
                    {"value", json_figure(figure.value)},
                    {"unit", figure.unit},
                    {"source", figure.source}});
  return list;
}

Json steps_json(const std::vector<InnerStep>& steps) {
  Json list = Json::array();
  for (const auto& step : steps) {
    Json entry = {{"op", op_name(step.event.base.op)},
                  {"position", step.event.position},
                  {"args", arguments_json(step.event)}};
    entry["charge_kb"] = or_null(step.charge_kb);
    entry["errno"] = step.event.failed() ? Json(errno_name(step.event.base.err)) : Json(nullptr);
    entry["cause"] = step.cause.empty() ? Json(nullptr) : Json(step.cause);
    list.push_back(std::move(entry));
  }
  return list;
}

Json finding_json(const Finding& f) {
  Json json = {
      {"cause", f.cause}, {"summary", f.summary}, {"meaning", f.meaning}, {"rule", f.rule}};
  json["charge"] = f.charge ? charge_json(*f.charge) : Json(nullptr);
  json["mode2"] = f.mode2 ? mode2_json(*f.mode2) : Json(nullptr);
  json["short_by"] = or_null(f.short_by);
  json["short_unit"] = f.short_by ? Json(f.short_unit) : Json(nullptr);
  json["error_band"] = or_null(f.band);
  json["borderline"] = f.borderline;
  json["would_pass"] = f.would_pass ? would_pass_json(*f.would_pass) : Json(nullptr);
  json["figures"] = figures_json(f.figures);
  json["suspects"] = Json::array();
  for (const auto& suspect : f.suspects)
    json["suspects"].push_back(
        {{"cause", suspect.cause}, {"text", suspect.text}, {"proven", false}});
  json["inside"] = steps_json(f.steps);
  json["notes"] = f.notes;
  json["advice"] = f.advice;
  return json;
}

Json held_json(const std::optional<Held>& held) {
  if (!held) return nullptr;
  Json list = Json::array();
  for (const HeldBy& h : held->largest)
    list.push_back({{"kb", h.kb}, {"op", op_name(h.op)}, {"callers", h.callers}});
  return list;
}

Json verdict_json(const LogReader& log, const Verdict& v) {
  const auto& base = v.event.base;
  Json json = {{"op", op_name(base.op)},
               {"errno", errno_name(base.err)},
               {"comm", v.comm},
               {"pid", base.pid},
               {"tid", base.tid}};
  json["count"] = v.count;
  json["first"] = iso_text(log.posix_ns(base.begin_tick));
  json["last"] = iso_text(log.posix_ns(v.last_tick));
  json["positions"] = v.positions;
  json["caller"] = hex_text(base.caller);
  json["asked_by"] = v.callers;
  json["purpose"] = v.purpose.empty() ? Json(nullptr) : Json(v.purpose);
  json["requested_bytes"] = has_size(base.op) ? Json(requested_bytes(v.event)) : Json(nullptr);
  json["args"] = arguments_json(v.event);
  json["caller_coped"] = v.coped;
  json["held_by"] = held_json(v.held);
  json["coped_how"] = v.coped ? Json(v.coped_how) : Json(nullptr);
  json.update(finding_json(v.finding));
  return json;
}

const char* seen_by(const Ending& e) { return e.by_wait ? "wait" : e.by_run ? "run" : "abort"; }

Json ending_json(const LogReader& log, const Ending& e) {
  return {{"end", e.id},
          {"comm", e.comm},
          {"pid", e.pid},
          {"signal", e.signal ? Json(signal_name(static_cast<unsigned>(e.signal))) : Json(nullptr)},
          {e.exact ? "time" : "last_sign_of_life", iso_text(log.posix_ns(e.tick))},
          {"count", e.count},
          {"last", iso_text(log.posix_ns(e.last_tick))},
          {"seen_by", e.id == "no-exit-recorded" ? Json(nullptr) : Json(seen_by(e))},
          {"asked_by", e.callers},
          {"sent_by", e.sent_by.empty() ? Json(nullptr) : Json(e.sent_by)},
          {"reason", e.reason.empty() ? Json(nullptr) : Json(e.reason)},
          {"notes", e.notes}};
}

Json child_json(const LogReader& log, const ChildStory& s) {
  const Copy& newest = s.of.copies.back();
  const Told told = tell(log, s);
  Json json = {{"story", s.id}, {"found", s.found}, {"title", told.title}};
  json["comm"] = s.of.comm;
  json["parent_pid"] = s.of.parent_pid;
  json["pid"] = newest.pid;
  json["purpose"] = s.of.purpose.empty() ? Json(nullptr) : Json(s.of.purpose);
  json["asked_by"] = s.of.functions;
  json["siblings_ended"] = s.ended;
  json["longest_life_ns"] = s.longest_ns;
  json["failed"] = s.id == "children-failed" ? s.of.copies.size() : 0;
  json["status"] = s.id == "children-failed" ? Json(s.status) : Json(nullptr);
  json["errno"] = s.err ? Json(errno_name(s.err)) : Json(nullptr);
  json["alive_ns"] = s.alive_ns ? Json(s.alive_ns) : Json(nullptr);
  json["futex"] = s.wait ? Json(hex_text(s.wait->futex)) : Json(nullptr);
  json["facts"] = Json::array();
  for (const auto& [label, text] : told.lines)
    json["facts"].push_back({{"label", label}, {"text", text}});
  return json;
}

Json fork_json(const LogReader& log, const ForkGroup& group) {
  return {{"comm", group.comm},
          {"pid", group.pid},
          {"processes", group.processes},
          {"count", group.count},
          {"last", group.last_tick ? Json(iso_text(log.posix_ns(group.last_tick))) : Json(nullptr)},
          {"asked_by", group.callers},
          {"purpose", group.purpose.empty() ? Json(nullptr) : Json(group.purpose)}};
}

Json noreserve_json(const NoReserveUse& use) {
  return {{"comm", use.comm},
          {"pid", use.pid},
          {"noreserve_kb", use.noreserve_kb},
          {"calls", use.calls},
          {"accounted_kb", use.accounted_kb},
          {"overcommit_memory_then", or_null(use.mode_then)}};
}

}  // namespace

Json why_object(const LogReader& log, const WhyReport& report) {
  Json json = {{"log", log.path()},
               {"found", report.found()},
               {"verdicts", Json::array()},
               {"ends", Json::array()}};
  json["ends_not_recorded"] = Json::array();
  json["not_seen"] = unseen_lines(report);
  json["failed_but_no_refusal"] = Json::array();
  json["forks_passed"] = Json::array();
  json["noreserve"] = Json::array();
  for (const auto& verdict : report.verdicts)
    json["verdicts"].push_back(verdict_json(log, verdict));
  for (const auto& ending : report.endings) json["ends"].push_back(ending_json(log, ending));
  json["ends_asked_for"] = Json::array();
  json["children"] = Json::array();
  for (const auto& ending : report.asked_endings)
    json["ends_asked_for"].push_back(ending_json(log, ending));
  for (const ChildStory& story : report.children)
    json["children"].push_back(child_json(log, story));
  for (const auto& ending : report.quiet_endings)
    json["ends_not_recorded"].push_back(ending_json(log, ending));
  for (const OtherFailure& f : report.other_failures)
    json["failed_but_no_refusal"].push_back(
        {{"op", op_name(f.op)}, {"errno", errno_name(f.err)}, {"count", f.count}});
  for (const auto& group : report.forks) json["forks_passed"].push_back(fork_json(log, group));
  json["other_forks_passed"] = report.other_forks;
  for (const auto& use : report.noreserve) json["noreserve"].push_back(noreserve_json(use));
  json["notes"] = report.notes;
  json["overcommit_memory_now"] = or_null(report.mode_now);
  json["processes"] = report.processes;
  json["events"] = report.events;
  return json;
}

std::string why_json(const LogReader& log, const WhyReport& report) {
  return json_text(why_object(log, report), 2) + "\n";
}

}  // namespace ovc
