// SPDX-License-Identifier: MIT
//
// Refused calls of a log that is followed. A verdict is the one that `ovc why` gives: the proof of
// a refused call is looked for in the whole log, so this is done for several calls at once, some
// time after they were seen, and never for more than a twentieth of the time.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "tools/causes/finding_text.h"
#include "tools/follow/follow_story.h"
#include "tools/log/call_text.h"
#include "tools/log/names.h"
#include "tools/text/json.h"
#include "tools/verdict/why_scan.h"

namespace ovc {

using namespace ovcshim;
using namespace std::chrono_literals;

namespace {

constexpr size_t kMostJudged = 200;  // at a time
constexpr auto kProofTakes = 500ms;  // reading the mappings of a process of 40 GiB
constexpr int kShareOfJudging = 20;
constexpr std::ptrdiff_t kLookedAhead = 64;  // an allocation stands soon after the calls it made

std::string verdict_text(const Verdict& v, uint64_t times) {
  std::string text{op_name(v.event.base.op)};
  if (has_size(v.event.base.op))
    text += fmt::format(" of {} bytes", grouped(requested_bytes(v.event)));
  text += fmt::format(" refused with {}", errno_name(v.event.base.err));
  if (times > 1) text += fmt::format(" {} times", grouped(times));
  text += ": " + (v.finding.cause == "unknown" ? "cause unknown, " + v.finding.summary
                                               : v.finding.summary);
  if (v.finding.short_by) text += ", short by " + short_text(v.finding);
  if (v.coped) text += "; the caller found another way";
  if (!v.purpose.empty()) text += fmt::format("  ({})", v.purpose);
  return text;
}

Json verdict_fields(const Verdict& v, uint64_t times) {
  const Finding& f = v.finding;
  Json fields{{"call", op_name(v.event.base.op)},
              {"errno", errno_name(v.event.base.err)},
              {"position", v.event.position}};
  fields["times"] = times;
  fields["cause"] = f.cause;
  fields["summary"] = f.summary;
  fields["charge_kb"] = f.charge ? Json(f.charge->kb) : Json();
  fields["short_by"] = f.short_by ? Json(*f.short_by) : Json();
  fields["short_unit"] = f.short_by ? Json(f.short_unit) : Json();
  fields["borderline"] = f.borderline;
  fields["caller_coped"] = v.coped;
  fields["purpose"] = v.purpose.empty() ? Json() : Json(v.purpose);
  fields["asked_by"] = v.callers;
  if (has_size(v.event.base.op)) fields["requested_bytes"] = requested_bytes(v.event);
  return fields;
}

}  // namespace

// The snapshot that proves a refusal is written after it, and an allocation after the calls that it
// made. Of a fork the snapshot is the last; of all others some time has to pass. What a refused
// call made inside itself belongs to its verdict.
void Story::judge(bool last) {
  const auto now = Clock::now();
  for (Waiting& call : refused_)
    call.proven |= proofs_.contains(call.position) && (call.position & kVitalBit);
  if (refused_.empty() || (!last && now < next_judgement_)) return;
  std::vector<uint64_t> positions;
  std::vector<Waiting> left;
  const auto is_ripe = [&](const Waiting& call) {
    return last || call.proven || now - call.since >= kProofTakes;
  };
  const std::vector<Waiting> waiting = std::exchange(refused_, {});
  for (auto at = waiting.begin(); at != waiting.end(); ++at) {
    const Waiting& call = *at;
    const auto end = waiting.end() - at > kLookedAhead ? at + kLookedAhead : waiting.end();
    const bool held_back = std::any_of(
        at, end, [&](const Waiting& outer) { return call.inside(outer) && !is_ripe(outer); });
    if (!is_ripe(call) || held_back) left.push_back(call);
    else if (positions.size() < kMostJudged) positions.push_back(call.position);
    else ++unjudged_;
  }
  refused_ = std::move(left);
  if (positions.empty()) return;
  tell_verdicts(judge_each(log_, WhyScan(log_), symbols_, positions));
  next_judgement_ = Clock::now() + kShareOfJudging * (Clock::now() - now);
}

// A fork gets a line of its own; of other calls those of one kind are told together.
void Story::tell_verdicts(const std::vector<Verdict>& verdicts) {
  using Group = std::tuple<uint32_t, Op, uint16_t, uint64_t, std::string_view, bool>;
  std::map<Group, std::pair<const Verdict*, uint64_t>> groups;
  for (const Verdict& v : verdicts) {
    const EventBase& b = v.event.base;
    ++seen_[{b.process, b.process_serial}].refused;
    if (is_fork_op(b.op)) tell_verdict(v, 1);
    else if (auto& [first, times] =
                 groups[{b.pid, b.op, b.err, b.caller, v.finding.cause, v.coped}];
             times++ == 0)
      first = &v;
  }
  for (const auto& [key, group] : groups) tell_verdict(*group.first, group.second);
}

void Story::tell_verdict(const Verdict& verdict, uint64_t times) {
  const EventBase& b = verdict.event.base;
  found_ |= !verdict.coped;
  Happening& line = tell(Kind::kRefused, b.begin_tick, b.pid, verdict.comm);
  line.wrong = !verdict.coped;
  line.times = times;
  line.text = verdict_text(verdict, times);
  line.fields = verdict_fields(verdict, times);
}

}  // namespace ovc
