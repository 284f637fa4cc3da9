// SPDX-License-Identifier: MIT
//
// `ovc show`: the records, one line each, like strace, with what each call asked to be charged and
// the commit state it met.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <span>
#include <vector>

#include "tools/commands/commands.h"
#include "tools/commands/filter.h"
#include "tools/log/call_text.h"
#include "tools/log/log_reader.h"
#include "tools/log/names.h"
#include "tools/replay/timeline.h"
#include "tools/rules/commit_rules.h"
#include "tools/symbols/symbols.h"
#include "tools/text/json.h"
#include "tools/text/output.h"
#include "tools/verdict/why_report.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr uint64_t kOldReadingNs =
    1'000'000;                              // a younger reading is as good as one taken at the call
constexpr int64_t kLongCallNs = 1'000'000;  // durations from here on are shown of every call

class Show {
 public:
  Show(const ShowOptions& options, const LogReader& log)
      : options_(options),
        log_(log),
        symbols_(log),
        filter_(options, log),
        rules_(host_rules(log.header())) {}

  int run() {
    Timeline timeline(log_, symbols_);
    const auto on_event = [this](const Event& event, const EventPlace& place) {
      return show(event, place);
    };
    const auto on_call = [this](const Call& call, uint64_t tick) { return show(call, tick); };
    timeline.walk(on_event, filter_.wants_calls() ? Timeline::EachCall(on_call) : nullptr);
    out_.flush();
    return failures_ || is_harm_shown() ? 1 : 0;
  }

 private:
  // The same answer as that of `ovc why`: what is shown and is a refusal, unless it did no harm.
  bool is_harm_shown() {
    if (refused_.empty()) return false;
    constexpr size_t kAtOnce = 100;  // of a storm the first tells
    const WhyScan scan(log_);
    const std::span<const uint64_t> all(refused_);
    for (size_t at = 0; at < all.size(); at += kAtOnce) {
      const auto some = all.subspan(at, std::min(kAtOnce, all.size() - at));
      for (const Verdict& v : judge_each(log_, scan, symbols_, some))
        if (!v.coped) return true;
    }
    return false;
  }

  bool show(const Event& event, const EventPlace& place) {
    if (!filter_.accepts(event)) return true;
    if (is_refusal(event)) refused_.push_back(event.position);
    options_.json ? write_json(event, place) : write_line(event, place);
    out_.done();
    return true;
  }

  bool show(const Call& call, uint64_t tick) {
    if (!filter_.accepts(call, tick)) return true;
    failures_ += call.failed;
    options_.json ? write_json(call, tick) : write_line(call, tick);
    out_.done();
    return true;
  }

  // "14:23:33.819402  7143/7143 "; the mark says that the moment is known to the next time mark
  //                   only. Calls between two
  // marks all begin with the same text.
  void append_when_and_who(uint64_t tick, char mark, uint32_t pid, uint32_t tid) {
    const Head head{tick, pid, tid, mark};
    if (head != head_) {
      head_ = head;
      head_text_.clear();
      append_clock(head_text_, log_.posix_ns(tick));
      head_text_ += mark;
      head_text_ += ' ';
      append_number(head_text_, pid);
      head_text_ += '/';
      append_number(head_text_, tid);
      head_text_ += ' ';
    }
    out_.text() += head_text_;
  }

  void write_line(const Event& event, const EventPlace& place) {
    std::string& line = out_.text();
    append_when_and_who(event.base.begin_tick, ' ', event.base.pid, event.base.tid);
    line.append(2 * place.depth, ' ');
    if (event.base.flags & kInsideLibc) line += "libc: ";
    append_call(line, event);
    append_result(line, event, place.fate);
    append_took(event);
    append_commit(event);
    const bool is_call = event.base.op < Op::kCallOps;
    if (is_call && !options_.stacks) append_caller(event, place);
    line += '\n';
    if (is_call && options_.stacks) append_stack(event);
  }

  void append_took(const Event& event) {
    if (!event.returned() || event.base.op >= Op::kCallOps) return;
    const int64_t ns =
        log_.ticks_to_ns(static_cast<int64_t>(event.base.end_tick - event.base.begin_tick));
    const OpInfo* info = op_info(event.base.op);
    if (ns < kLongCallNs && !(info && info->family == Family::kFork)) return;
    out_.text() += "  took ";
    append_duration(out_.text(), ns);
  }

  void append_commit(const Event& event) {
    std::string& line = out_.text();
    const auto charge = charge_kb(event, rules_);
    if (charge && (*charge != 0 || is_writable_mmap(event)))
      fmt::format_to(std::back_inserter(line), "  charge {}", kb_text(*charge));
    const CommitState& before = event.base.before;
    if (before.committed_kb == kUnknown || event.base.op >= Op::kCallOps) return;
    line += "  Committed_AS ";
    append_grouped(line, before.committed_kb);
    if (const auto after = committed_after(event)) line += " -> ", append_grouped(line, *after);
    if (before.limit_kb != kUnknown) line += " of ", append_grouped(line, before.limit_kb);
    line += " kB";
    if (before.age_ns == kUnknown || before.age_ns <= kOldReadingNs) return;
    line += " (";
    append_duration(line, static_cast<int64_t>(std::min<uint64_t>(before.age_ns, INT64_MAX)));
    line += " old)";
  }

  // Where a charge of nothing is news: memory that can be written but is not accounted for
  // (MAP_NORESERVE, shared files).
  static bool is_writable_mmap(const Event& event) {
    constexpr uint64_t kProtWrite = 2;
    return event.base.op == Op::kMmap && (event.base.args[2] & kProtWrite);
  }

  static std::optional<uint64_t> committed_after(const Event& event) {
    const OpInfo* info = op_info(event.base.op);
    const uint64_t after = event.base.args[5];
    const bool read = info && info->family == Family::kFork && event.returned() && after != 0 &&
                      after != kUnknown;
    return read ? std::optional(after) : std::nullopt;
  }

  // Of what libc did inside itself: the function of libc that was entered, and who entered it;
  // nothing if a line above tells.
  void append_caller(const Event& event, const EventPlace& place) {
    const EventBase& base = event.base;
    if (!(base.flags & kInsideLibc)) return append_caller(base.image, base.caller);
    if (place.depth != 0) return;
    const ModuleInfo* libc = symbols_.module_at(base.image, base.caller);
    uint64_t entered = base.caller;
    for (const uint64_t address : event.frames) {
      const ModuleInfo* module = symbols_.module_at(base.image, address);
      if (module && module->file_name().starts_with("libovcshim")) continue;
      if (module == libc) {
        entered = address;
        continue;
      }
      append_caller(base.image, entered);
      return append_caller(base.image, address);
    }
    append_caller(base.image, entered);
  }

  void append_caller(uint32_t image, uint64_t caller) {
    if (caller == 0) return;
    out_.text() += "  <- ";
    out_.text() += caller_text(image, caller);
  }

  // Escaped, and kept: a program calls malloc from few places.
  const std::string& caller_text(uint32_t image, uint64_t caller) {
    Caller& kept = callers_[(caller ^ caller >> 8 ^ image) % kCallers];
    if (kept.address == caller && kept.image == image) return kept.text;
    kept = {caller, image, escaped(symbols_.resolve(image, caller).back().text())};
    return kept.text;
  }

  void append_stack(const Event& event) {
    std::string& text = out_.text();
    for (const Frame& frame : symbols_.stack(event.base.image, event.frames)) {
      text += "    ";
      append_escaped(text, frame.text());
      if (const std::string source = frame.source(); !source.empty())
        text += "  ", append_escaped(text, source);
      text += '\n';
    }
    if (event.base.flags & kStackCut) text += "    ...\n";
  }

  void write_line(const Call& call, uint64_t tick) {
    append_when_and_who(tick, '~', call.pid, call.tid);
    append_lane_call(out_.text(), call);
    append_caller(call.image, call.caller);
    out_.text() += '\n';
  }

  Json frame_json(const Frame& frame) const {
    Json object{{"address", hex_text(frame.address)}};
    if (!frame.function.empty()) object["function"] = frame.function;
    if (!frame.module.empty()) object["module"] = frame.module, object["offset"] = frame.offset;
    if (!frame.file.empty()) object["source"] = frame.source();
    if (frame.inlined) object["inlined"] = true;
    return object;
  }

  Json head_json(uint64_t tick, uint32_t pid, uint32_t tid, std::string_view op) const {
    const int64_t ns = log_.posix_ns(tick);
    return {{"time", iso_text(ns)}, {"posix_ns", ns}, {"pid", pid}, {"tid", tid}, {"op", op}};
  }

  void write_json(const Event& event, const EventPlace& place) {
    const EventBase& base = event.base;
    Json object = head_json(base.begin_tick, base.pid, base.tid, op_name(base.op));
    object["position"] = event.position;
    object["flags"] = flag_names(base.flags);
    object["args"] = arguments_json(event);
    add_result(object, event, place.fate);
    if (place.depth) object["depth"] = place.depth;
    if (const auto charge = charge_kb(event, rules_)) object["charge_kb"] = *charge;
    add_commit_state(object, event);
    if (base.op == Op::kStart) object["exe"] = event.text;
    if (!event.facts.empty()) object["facts"] = facts_json(event.facts);
    if (base.op < Op::kCallOps && base.caller)
      object["caller"] = frame_json(symbols_.resolve(base.image, base.caller).back());
    if (options_.stacks && base.op < Op::kCallOps) {
      Json& stack = object["stack"] = Json::array();
      for (const Frame& frame : symbols_.stack(base.image, event.frames))
        stack.push_back(frame_json(frame));
    }
    out_.text() += json_text(object) + '\n';
  }

  void add_result(Json& object, const Event& event, Fate fate) const {
    constexpr std::string_view kOutcomes[] = {"returned", "new-image", "open", "never-returns"};
    if (event.base.op >= Op::kCallOps) return;
    object["outcome"] = kOutcomes[static_cast<size_t>(fate)];
    if (!event.returned()) return;
    const OpInfo* info = op_info(event.base.op);
    const bool is_address =
        info && (info->result == Result::kAddress || info->result == Result::kMapAddress) &&
        !event.failed();
    object["result"] = is_address ? Json(hex_text(static_cast<uint64_t>(event.base.result)))
                                  : Json(event.base.result);
    if (event.failed()) object["errno"] = errno_name(event.base.err);
    object["duration_ns"] =
        log_.ticks_to_ns(static_cast<int64_t>(event.base.end_tick - event.base.begin_tick));
  }

  static void add_commit_state(Json& object, const Event& event) {
    const CommitState& before = event.base.before;
    if (before.committed_kb == kUnknown) return;
    object["committed_as_kb"] = before.committed_kb;
    if (const auto after = committed_after(event)) object["committed_as_after_kb"] = *after;
    object["commit_limit_kb"] = json_figure(before.limit_kb);
    object["reading_age_ns"] = json_figure(before.age_ns);
    object["vm_size_pages"] = json_figure(before.vm_size_pages);
    object["resident_pages"] = json_figure(before.resident_pages);
    object["data_pages"] = json_figure(before.data_pages);
  }

  void write_json(const Call& call, uint64_t tick) {
    Json object = head_json(tick, call.pid, call.tid, op_name(call.op));
    object["lane"] = "calls";
    object["seq"] = call.seq;
    if (call.op != Op::kFree) object["size"] = call.size;
    object["address"] = hex_text(call.address);
    if (call.old_address == ovcshim::kUnknown) object["old_address"] = nullptr;
    else if (call.old_address) object["old_address"] = hex_text(call.old_address);
    if (call.alignment) object["alignment"] = call.alignment;
    if (call.failed) object["flags"] = {"failed"};
    object["caller"] = frame_json(symbols_.resolve(call.image, call.caller).back());
    out_.text() += json_text(object) + '\n';
  }

  static constexpr size_t kCallers = 4096;
  struct Caller {
    uint64_t address = 0;
    uint32_t image = 0;
    std::string text;
  };
  struct Head {
    uint64_t tick = 0;
    uint32_t pid = 0, tid = 0;
    char mark = 0;
    bool operator==(const Head&) const = default;
  };

  const ShowOptions& options_;
  const LogReader& log_;
  Symbols symbols_;
  Filter filter_;
  HostRules rules_;
  Out out_;
  std::vector<uint64_t> refused_;  // events shown that are refusals
  uint64_t failures_ = 0;          // calls of the call lane that were refused
  std::vector<Caller> callers_{kCallers};
  Head head_;
  std::string head_text_;
};

}  // namespace

int show(const ShowOptions& options) {
  const LogReader log(log_or_newest(options.log));
  return Show(options, log).run();
}

}  // namespace ovc
