// SPDX-License-Identifier: MIT
//
// `ovc maps`: an address space replayed from the log. Every figure follows from a recorded list and
// recorded calls, or is given as not known.
#include "tools/commands/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "tools/commands/filter.h"
#include "tools/log/names.h"
#include "tools/replay/ledger.h"
#include "tools/replay/mapping_origins.h"
#include "tools/symbols/symbols.h"
#include "tools/text/json.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr size_t kProcessesShown = 8;

std::string bounds_text(const Bounds& kb) {
  return kb.exact() ? kb_text(kb.low)
                    : fmt::format("{} to {} kB", grouped(kb.low), grouped(kb.high));
}
Json bounds_json(const Bounds& kb) { return {{"low_kb", kb.low}, {"high_kb", kb.high}}; }

std::string_view sure_text(Sure value) {
  return value == Sure::kYes ? "yes" : value == Sure::kNo ? "no" : "unknown";
}

class Maps {
 public:
  explicit Maps(const MapsOptions& options)
      : options_(options),
        log_(log_or_newest(options.log)),
        symbols_(log_),
        origins_(log_, symbols_),
        ledger_(log_),
        state_(host_rules(log_.header())) {}

  int run() {
    choose_moment();
    choose_process();
    options_.json ? write_json() : write_text();
    out_.flush();
    return 0;
  }

 private:
  void choose_moment() {
    log_.for_each_event([this](const Event& event) {
      tick_ = std::max({tick_, event.base.begin_tick, event.base.end_tick});
      return true;
    });
    if (options_.at.empty()) return;
    const int64_t wanted = parse_moment(options_.at, log_.posix_ns(log_.header().created.tick));
    uint64_t low = log_.header().created.tick, high = tick_ + 1;
    while (low < high) {  // the last tick that is not later
      const uint64_t middle = low + (high - low) / 2;
      if (log_.posix_ns(middle) <= wanted) low = middle + 1;
      else high = middle;
    }
    tick_ = low == 0 ? 0 : low - 1;
  }

  void choose_process() {
    for (const LedgerProcess& p : ledger_.processes())
      if (p.first_tick <= tick_) candidates_.push_back(&p);
    const auto has_ended = [&](const LedgerProcess* p) {
      return p->end_tick != 0 && p->end_tick < tick_;
    };
    const bool all_ended = std::all_of(candidates_.begin(), candidates_.end(), has_ended);
    for (const LedgerProcess* p : candidates_) {
      if (options_.pid ? p->pid != *options_.pid : has_ended(p) && (!all_ended || chosen_))
        continue;
      LedgerState state =
          ledger_.at(*p, tick_);  // of several with the pid asked for the last one counts
      if (chosen_ && !options_.pid &&
          state.space.totals().charged.high <= state_.space.totals().charged.high)
        continue;
      chosen_ = p, state_ = std::move(state), chosen_gone_ = has_ended(p);
    }
    if (!chosen_)
      throw Error(options_.pid
                      ? fmt::format("no process {} was recorded up to this moment", *options_.pid)
                      : "no process was recorded up to this moment");
  }

  std::string time_text(uint64_t tick) const { return clock_text(log_.posix_ns(tick)); }

  // ---- what is not known ----

  std::vector<std::string> notes() const {
    std::vector<std::string> list;
    if (state_.base == LedgerBase::kNone)
      list.push_back(
          "no complete list of mappings was recorded before this moment: only what recorded calls "
          "mapped is shown");
    if (state_.calls_missing && state_.base != LedgerBase::kNone)
      list.push_back(
          fmt::format("memory calls since {} were overwritten by newer ones (a larger "
                      "OVCSHIM_EVENTS_SIZE keeps more): the list is incomplete",
                      time_text(state_.base_tick)));
    if (state_.modules_tick)
      list.push_back(
          fmt::format("libraries were loaded at {} or before; their mappings are not shown",
                      time_text(*state_.modules_tick)));
    if (state_.size && !state_.size->agrees()) list.push_back(difference_text(*state_.size));
    const bool size_agrees = state_.size && state_.size->agrees();
    if (!state_.stack_followed && state_.base != LedgerBase::kNone)
      list.push_back(
          fmt::format("the stack is shown as large as it was at {}: it grows without a call",
                      time_text(size_agrees ? state_.size->tick : state_.base_tick)));
    if (const SpaceTotals t = state_.space.totals(); !t.charged.exact())
      list.push_back(
          "ac?: made unwritable; since Linux 6.7 it keeps its charge only if it had been written "
          "to, which is not recorded");
    add_losses(list);
    return list;
  }

  std::string difference_text(const SizeCheck& size) const {
    const std::string time = time_text(size.tick);
    if (const uint64_t kb = size.unseen_private_kb())
      return fmt::format(
          "at {} VmData was {} larger than recorded calls explain: the stack had grown, or system "
          "calls bypassed libc",
          time, kb_text(kb));
    return fmt::format(
        "VmSize at {} was {}, the mappings shown add up to {}: changed by the loader, or by system "
        "calls that bypass libc",
        time, kb_text(size.kernel_kb), kb_text(size.ledger_kb));
  }

  // What was not seen may be charged, too.
  Bounds charged() const {
    Bounds kb = state_.space.totals().charged;
    if (state_.size) kb.high += state_.size->unseen_private_kb();
    return kb;
  }

  void add_losses(std::vector<std::string>& list) const {
    const auto say = [&](uint64_t count, std::string_view what) {
      if (count != 0) list.push_back(fmt::format("{} {}", grouped(count), what));
    };
    const Losses lost = log_.losses();
    say(state_.space.contradictions(),
        "calls do not fit what is shown: unrecorded calls mapped or unmapped memory");
    say(state_.space.unclear_failures(), "refused calls may have done part of their work");
    say(lost.events_lost_busy + lost.event_slots_torn, "records of the log are lost or torn");
    say(ledger_.foreign_calls(),
        "memory calls of vfork children (in their parent's memory) are not shown");
    if (ledger_.mode_changed())
      list.push_back("vm.overcommit_memory was changed during the recording");
    if (const auto word = unseen_internals())
      list.push_back(
          fmt::format("memory that libc maps itself is not shown: its system calls are {}",
                      internals_text(*word)));
  }

  // Where what libc calls inside itself is not recorded (malloc's memory is mapped so): why.
  std::optional<uint64_t> unseen_internals() const {
    const auto process = log_.process(chosen_->index, chosen_->serial);
    if (!process || internals_of(process->slot.internals).state == InternalsState::kOn)
      return std::nullopt;
    return process->slot.internals;
  }
  bool exact() const { return state_.exact() && !unseen_internals(); }

  std::string base_text() const {
    const std::string calls =
        fmt::format("{} recorded call{}", grouped(state_.calls), state_.calls == 1 ? "" : "s");
    switch (state_.base) {
      case LedgerBase::kImageStart:
        return fmt::format("the mappings at the program's start, {}, and {} since",
                           time_text(state_.base_tick), calls);
      case LedgerBase::kList:
        return fmt::format("the mappings listed at {} and {} since", time_text(state_.base_tick),
                           calls);
      case LedgerBase::kFork:
        return fmt::format("its parent's mappings at the fork, {}, and {} since",
                           time_text(state_.base_tick), calls);
      case LedgerBase::kNone: break;
    }
    return fmt::format("{}; no list of mappings to begin with", calls);
  }

  std::string checked_text() const {
    if (!state_.size) return "no VmSize was recorded since, to compare with";
    const bool same = state_.size->agrees();
    return fmt::format("VmSize at {} {}", time_text(state_.size->tick),
                       same ? "agrees" : "does not agree: see below");
  }

  // ---- what a mapping is, and who made it ----

  std::string call_text(uint64_t position) {
    const auto event = log_.event_at(position);
    if (!event) return "a call whose record was overwritten";
    return fmt::format("{} {} {}", time_text(event->base.begin_tick), op_name(event->base.op),
                       escaped(origins_.caller_of(*event)));
  }

  std::string made_text(const Mapping& mapping) {
    const Piece& piece = origins_.main_piece(mapping);
    if (piece.made_by == kUnknown)
      return state_.base == LedgerBase::kFork ? "before the fork" : "before";
    std::string text = call_text(piece.made_by);
    if (piece.charged_by != kUnknown) text += "; charged " + call_text(piece.charged_by);
    if (mapping.pieces.size() > 1) text += fmt::format("; and {} more", mapping.pieces.size() - 1);
    return text;
  }

  // ---- text ----

  void line(std::string_view name, const std::string& value) {
    fmt::format_to(to(), "{:<12} {}\n", name, value);
  }
  std::back_insert_iterator<std::string> to() { return std::back_inserter(out_.text()); }

  void write_head() {
    const SpaceTotals t = state_.space.totals();
    line("process", fmt::format("{} {} ({}), at {}{}", chosen_->pid, escaped(chosen_->comm),
                                escaped(chosen_->exe), time_text(tick_),
                                chosen_gone_ ? "; it had exited, this is its last state" : ""));
    if (candidates_.size() > 1) line("others", others_text());
    line("based on", base_text());
    line("checked", checked_text());
    line("charged",
         fmt::format("{} of private memory in Committed_AS; a fork would charge {} more{}",
                     bounds_text(charged()), bounds_text(t.at_fork),
                     exact() ? "" : "; known in part, see below"));
    line("largest",
         bounds_text(t.biggest) + (t.biggest.low ? fmt::format(" at {:x}", t.biggest_start) : ""));
    line("shared", fmt::format("{} of shared memory, charged once and not at a fork; {} of other "
                               "shared mappings (files, or shared memory made before)",
                               kb_text(t.shared_promised), kb_text(t.shared_unknown)));
    line("not charged", fmt::format("MAP_NORESERVE {}", kb_text(t.noreserve)));
  }

  std::string others_text() const {
    std::string text;
    size_t shown = 0;
    for (const LedgerProcess* p : candidates_) {
      if (p == chosen_ || ++shown > kProcessesShown) continue;
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", p->pid, escaped(p->comm));
    }
    if (shown > kProcessesShown) text += fmt::format(" and {} more", shown - kProcessesShown);
    return text + " (--pid)";
  }

  void write_text() {
    write_head();
    Table table({"start-end", "kB", "flags", "charged kB", "what", "made by"}, "lrlrll");
    for (const Mapping& m : state_.space.mappings()) {
      const Bounds charge = charge_of(m);
      table.row(
          {fmt::format("{:x}-{:x}{}", m.start(), m.end(), m.more_behind == Sure::kOpen ? "+" : ""),
           grouped((m.end() - m.start()) / 1024), flags_text(m.pieces.front()),
           charge.exact() ? grouped(charge.low)
                          : fmt::format("{}-{}", grouped(charge.low), grouped(charge.high)),
           origins_.what(m, state_.image), made_text(m)});
      open_ = open_ || m.more_behind == Sure::kOpen;
    }
    out_.text() += '\n';
    table.write(out_.text());
    const std::vector<std::string> list = notes();
    if (list.empty() && !open_) return;
    out_.text() += "\nnot known\n";
    for (const std::string& note : list) fmt::format_to(to(), "  {}\n", note);
    if (open_)
      fmt::format_to(
          to(), "  +: may be one mapping with the next, depending on what was written to first\n");
  }

  // ---- JSON ----

  Json call_json(uint64_t position) {
    const auto event = position == kUnknown ? std::nullopt : log_.event_at(position);
    if (!event) return {};
    return {{"position", position},
            {"time", iso_text(log_.posix_ns(event->base.begin_tick))},
            {"tid", event->base.tid},
            {"op", op_name(event->base.op)},
            {"caller", origins_.caller_of(*event)}};
  }

  Json piece_json(const Piece& p) {
    return {{"start", hex_text(p.start)},
            {"end", hex_text(p.end)},
            {"flags", flags_text(p)},
            {"made_by", call_json(p.made_by)},
            {"charged_by", call_json(p.charged_by)}};
  }

  Json mapping_json(const Mapping& m) {
    Json pieces = Json::array();
    for (const Piece& p : m.pieces) pieces.push_back(piece_json(p));
    return {{"start", hex_text(m.start())},
            {"end", hex_text(m.end())},
            {"kb", (m.end() - m.start()) / 1024},
            {"flags", flags_text(m.pieces.front())},
            {"charged", bounds_json(charge_of(m))},
            {"what", origins_.what(m, state_.image)},
            {"one_with_next", sure_text(m.more_behind)},
            {"pieces", pieces}};
  }

  void write_json() {
    const SpaceTotals t = state_.space.totals();
    Json mappings = Json::array(), processes = Json::array();
    for (const Mapping& m : state_.space.mappings()) mappings.push_back(mapping_json(m));
    for (const LedgerProcess* p : candidates_)
      processes.push_back({{"pid", p->pid}, {"comm", p->comm}});
    constexpr std::string_view kBases[] = {"none", "image_start", "list", "fork"};
    Json size;
    if (state_.size)
      size = {{"time", iso_text(log_.posix_ns(state_.size->tick))},
              {"kernel_kb", state_.size->kernel_kb},
              {"followed_kb", state_.size->ledger_kb}};
    const Json all = {{"log", log_.path()},
                      {"pid", chosen_->pid},
                      {"comm", chosen_->comm},
                      {"exe", chosen_->exe},
                      {"at", iso_text(log_.posix_ns(tick_))},
                      {"ended", chosen_gone_},
                      {"base", kBases[static_cast<size_t>(state_.base)]},
                      {"base_time", state_.base == LedgerBase::kNone
                                        ? Json()
                                        : Json(iso_text(log_.posix_ns(state_.base_tick)))},
                      {"calls", state_.calls},
                      {"exact", exact()},
                      {"vm_size", size},
                      {"charged", bounds_json(charged())},
                      {"charged_at_fork", bounds_json(t.at_fork)},
                      {"biggest", bounds_json(t.biggest)},
                      {"noreserve_kb", t.noreserve},
                      {"shared_promised_kb", t.shared_promised},
                      {"shared_unknown_kb", t.shared_unknown},
                      {"mappings", mappings},
                      {"not_known", notes()},
                      {"processes", processes}};
    out_.text() = json_text(all, 2) + '\n';
  }

  const MapsOptions& options_;
  LogReader log_;
  Symbols symbols_;
  MappingOrigins origins_;
  Ledger ledger_;
  uint64_t tick_ = 0;
  std::vector<const LedgerProcess*> candidates_;  // that had begun
  const LedgerProcess* chosen_ = nullptr;
  bool chosen_gone_ = false, open_ = false;
  LedgerState state_;
  Out out_;
};

}  // namespace

int maps(const MapsOptions& options) { return Maps(options).run(); }

}  // namespace ovc
