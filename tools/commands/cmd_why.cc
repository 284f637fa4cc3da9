// SPDX-License-Identifier: MIT
//
// `ovc why`: opens the log and those that belong to it, asks this machine what it still knows of
// the processes, prints.
#include <fmt/format.h>

#include <algorithm>

#include "tools/commands/commands.h"
#include "tools/log/log_family.h"
#include "tools/text/json.h"
#include "tools/text/output.h"
#include "tools/verdict/why_report.h"

namespace ovc {
namespace {

// Where something was found, the logs in which nothing was are not told of.
std::string family_text(const LogReader& log, const WhyReport& report, const LogFamily& family,
                        const std::vector<WhyReport>& theirs, bool found, bool all) {
  std::string text;
  const auto add = [&](const std::string& heading, const LogReader& of, const WhyReport& its) {
    if (found && !its.found()) return;
    text += (text.empty() ? "" : "\n") + heading + why_text(of, its, all);
  };
  add(heading(log), log, report);
  for (size_t i = 0; i < theirs.size(); ++i)
    add(heading(family.others[i]), *family.others[i].log, theirs[i]);
  return text;
}

// One object as of one log: what is not of the first names its log.
std::string family_json(const LogReader& log, const WhyReport& report, const LogFamily& family,
                        const std::vector<WhyReport>& theirs, bool found) {
  Json all = why_object(log, report);
  all["found"] = found;
  all["logs"] = Json::array({log.path()});
  for (size_t i = 0; i < theirs.size(); ++i) {
    const LogReader& other = *family.others[i].log;
    Json its = why_object(other, theirs[i]);
    all["logs"].push_back(other.path());
    for (const char* list : {"verdicts", "ends", "children", "forks_passed", "noreserve"})
      for (Json& entry : its[list]) {
        entry["log"] = other.path();
        all[list].push_back(std::move(entry));
      }
    for (Json& note : its["notes"]) all["notes"].push_back(std::move(note));
    for (const char* sum : {"other_forks_passed", "processes", "events"})
      all[sum] = all[sum].get<uint64_t>() + its[sum].get<uint64_t>();
  }
  for (const std::string& note : family.notes) all["notes"].push_back(note);
  return json_text(all, 2) + "\n";
}

}  // namespace

int why(const WhyOptions& options) {
  const LogReader log(options.log.empty() ? newest_log() : options.log);
  const LogFamily family = family_of(log);
  SeenElsewhere seen, seen_here;
  for (const Process& process : log.processes()) seen_here.insert(process.slot.pid);
  for (const Relative& relative : family.others)
    for (const Process& process : relative.log->processes()) seen.insert(process.slot.pid);
  HostNow now = host_now();
  now.waited_for = options.waited_for;
  const WhyReport report = why_report(log, now, seen);
  std::vector<WhyReport> theirs;
  for (const Relative& relative : family.others)
    theirs.push_back(why_report(*relative.log, now, seen_here));
  const bool found = report.found() || std::any_of(theirs.begin(), theirs.end(),
                                                   [](const auto& r) { return r.found(); });
  Out out;
  if (options.json) out.text() += family_json(log, report, family, theirs, found);
  else {
    out.text() += theirs.empty() ? why_text(log, report, options.all)
                                 : family_text(log, report, family, theirs, found, options.all);
    for (const std::string& note : family.notes) out.text() += "note: " + note + "\n";
  }
  out.flush();
  return found ? 1 : 0;
}

}  // namespace ovc
