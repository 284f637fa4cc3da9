// SPDX-License-Identifier: MIT
//
// The rules of the kill test. Per thread, the newest call first:
//   order      the log's calls are the journal's, one for one, back to where the log's oldest was
//              overwritten; the newest of the log
//              may be the call in flight; only as many are missing between them as the log counts
//              as lost. A newer chunk can be overwritten before an older one, whose next owner has
//              a claim to it and was killed before it took it
//   whole      op, arguments, result and error of each are the journal's; an event's ticks lie
//              between the call's and the next one's;
//              an event's call_seq stands between the call-lane records made before and after it
// and for the log as a whole:
//   no holes   a chunk's records stand without a gap, and fill it if its owner closed it
//   complete   each journalled event since events_complete_from() is there
//   growth     each memory call is in the totals by stack; stacks and trees of owners are whole
//   counters   calls per process and op; and records kept + overwritten = calls counted
#include "tests/trust/kill/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "tests/trust/kill/check_growth.h"
#include "tests/trust/kill/raw_lane.h"
#include "tests/trust/kill/same_call.h"
#include "tools/log/log_reader.h"

namespace kill_test {
namespace {

using namespace ovcshim;
using ovc::Call;
using ovc::Event;

struct ThreadLog {
  std::vector<Call> calls;      // made by the victim's own code
  std::vector<Event> rings[3];  // events, vitals, memory
  uint64_t next_seq = kUnknown;
  size_t after_gap = 0;  // the first of `calls` behind the newest chunk that was overwritten
                         // between two that are there
};

size_t ring_of(uint64_t position) {
  return position & kVitalBit ? 1 : position & kMemoryBit ? 2 : 0;
}

class Check {
 public:
  Check(const std::string& path, const Journal& journal)
      : log_(path), raw_(path, log_.header()), journal_(journal) {}

  Verdict run() {
    losses_ = log_.losses();
    verdict_.overwritten = losses_.calls_overwritten;
    if (losses_.call_chunks_damaged) complain("{} damaged chunks", losses_.call_chunks_damaged);
    if (const uint64_t holes = raw_.holes()) complain("{} holes in the chunks", holes);
    collect();
    complete_from_ = log_.events_complete_from();
    for (uint32_t i = 0; i < actors(); ++i) check_actor(journal_.actors[i]);
    const uint64_t calls_lost = losses_.calls_lost_nested + not_kept() + between_chunks_;
    const uint64_t events_lost = losses_.events_lost_busy + losses_.events_lost_lapped;
    verdict_.may_miss = calls_lost + events_lost;
    if (missing_calls_ > calls_lost)
      complain("{} calls are missing, {} are counted", missing_calls_, calls_lost);
    if (missing_events_ > events_lost) {
      complain("{} events are missing, {} are counted", missing_events_, events_lost);
      std::move(missing_.begin(), missing_.end(), std::back_inserter(verdict_.wrong));
    }
    check_counters();
    for (std::string& wrong : check_growth(log_, journal_))
      verdict_.wrong.push_back(std::move(wrong));
    check_sum();
    return std::move(verdict_);
  }

 private:
  template <typename... Args>
  void complain(fmt::format_string<Args...> what, Args&&... args) {
    verdict_.wrong.push_back(fmt::format(what, std::forward<Args>(args)...));
  }

  uint32_t actors() const { return std::min(journal_.next, kActors); }
  bool is_victims(uint64_t caller) const {
    return caller >= journal_.text_start && caller < journal_.text_end;
  }
  bool has_ticks() const { return log_.header().clock == static_cast<uint32_t>(Clock::kTsc); }

  void collect() {
    log_.for_each_call([&](const Call& call) {
      ThreadLog& thread = threads_[{call.pid, call.tid}];
      // its kReallocFrom comes before it; that one can be gone only with what was before
      const bool from = is_realloc(call.op) && call.old_address != kUnknown;
      const bool gap = thread.next_seq != kUnknown && call.seq - from != thread.next_seq;
      if (gap) thread.after_gap = thread.calls.size();
      if (gap) between_chunks_ += call.seq - from - thread.next_seq;
      if (between_chunks_ > losses_.calls_overwritten && !not_kept())
        complain("tid {}: call-lane record {} follows {}", call.tid, call.seq, thread.next_seq - 1);
      thread.next_seq = call.seq + 1;
      if (is_victims(call.caller)) thread.calls.push_back(call);
      return true;
    });
    log_.for_each_event([&](const Event& event) {
      const bool counted =
          static_cast<uint32_t>(event.base.op) < kOps && event.base.op < Op::kExecve;
      if (counted && is_victims(event.base.caller) && !ovc::is_system_call(event.base))
        threads_[{event.base.pid, event.base.tid}].rings[ring_of(event.position)].push_back(event);
      return true;
    });
  }

  // The journal's newest entries, newest first: `each` gets them until it says no. The oldest place
  // in the ring is the call in flight's.
  template <typename Each>
  void for_each_entry(const Actor& actor, Each each) const {
    const uint64_t oldest = actor.done >= kRing ? actor.done - kRing + 1 : 0;
    for (uint64_t n = actor.done; n-- > oldest;)
      if (!each(actor.ring[n % kRing])) return;
  }
  const Entry* in_flight(const Actor& actor) const {
    return actor.in_flight == actor.done + 1 ? &actor.ring[actor.done % kRing] : nullptr;
  }

  void check_actor(const Actor& actor) {
    if (!actor.tid) return;
    ThreadLog& thread = threads_[{actor.pid, actor.tid}];
    match_calls(actor, thread);
    match_events(actor, thread);
  }

  // How many of the journal's newest calls the log has, the newest `skipped` of the log left out;
  // missing: not among them.
  struct Match {
    uint64_t found = 0, missing = 0, left = 0;  // left: of the log
    uint64_t newer = 0;                         // of the missing: newer than all that are found
    bool beyond = false;                        // the journal goes further back than the log
  };
  Match match_from(const Actor& actor, const ThreadLog& thread, size_t skipped) const {
    Match match;
    size_t at = thread.calls.size() - skipped;
    for_each_entry(actor, [&](const Entry& e) {
      if (!is_lane_call(e)) return true;
      if (at == 0) return match.beyond = true, false;
      const bool same = same_call(e, thread.calls[at - 1], true);
      at -= same;
      ++(same ? match.found : match.missing);
      if (match.found == 0) match.newer = match.missing;
      return true;
    });
    match.left = at;
    return match;
  }

  // Of a dead thread, an older chunk can outlive a newer one; what was in that is counted as
  // overwritten.
  bool newer_overwritten(const Actor& actor) const {
    return actor.over && losses_.calls_overwritten && raw_.has_outlived(actor.pid, actor.tid);
  }

  void match_calls(const Actor& actor, const ThreadLog& thread) {
    Match match = match_from(actor, thread, 0);
    const Entry* last = in_flight(actor);
    const bool may_be_last = last && is_lane_call(*last) && !thread.calls.empty() &&
                             same_call(*last, thread.calls.back(), false);
    if (may_be_last) {
      const Match other = match_from(actor, thread, 1);
      const auto badness = [](const Match& m) { return m.missing + m.left; };
      if (badness(other) < badness(match) ||
          (badness(other) == badness(match) && other.found > match.found)) {
        match = other;
        ++verdict_.in_flight;
      }
    }
    verdict_.calls += match.found;
    missing_calls_ += match.missing - (newer_overwritten(actor) ? match.newer : 0);
    if (match.left && actor.done < kRing)
      complain("tid {}: {} calls that it did not make", actor.tid, match.left);
    if (match.beyond && !losses_.calls_overwritten && !not_kept())
      complain("tid {}: its first calls are gone, and nothing was overwritten", actor.tid);
    const bool nothing_left = match.beyond && match.found == 0;
    const bool between_chunks =
        last && is_lane_call(*last);  // it had closed the one, and had not the next
    if (nothing_left && !actor.over && !between_chunks && !not_kept())
      complain("tid {}: was alive, and nothing of its {} calls is in the call lane ({})", actor.tid,
               actor.done, actor.forked);
  }

  void match_events(const Actor& actor, ThreadLog& thread) {
    drop_in_flight(actor, thread);
    uint64_t after_tick = UINT64_MAX, after_seq = UINT64_MAX;  // of the journal's next call
    size_t at_call =
        newer_overwritten(actor)
            ? 0
            : thread.calls.size();  // 0: which of the journal its last one is, is not known
    for_each_entry(actor, [&](const Entry& e) {
      if (is_lane_call(e)) {
        for (size_t i = at_call; i > thread.after_gap && at_call - i < 2;
             --i)  // the last of the log may be the call in flight
          if (same_call(e, thread.calls[i - 1], true)) {
            after_seq = thread.calls[i - 1].seq;
            at_call = i - 1;
            break;
          }
      } else {
        match_event(actor, thread, e, after_tick, after_seq);
      }
      after_tick = e.tick;
      return true;
    });
    for (const auto& ring : thread.rings)
      for (const Event& event : ring)
        if (actor.done < kRing)
          complain("tid {}: an event that it did not make: op {}", actor.tid,
                   static_cast<int>(event.base.op));
  }

  void drop_in_flight(const Actor& actor, ThreadLog& thread) {
    const Entry* last = in_flight(actor);
    for (auto& ring : thread.rings) {
      if (!last || ring.empty() || !same_event(*last, ring.back(), false)) continue;
      const Event& event = ring.back();
      if (event.returned() && (!has_ticks() || event.base.begin_tick < last->tick)) continue;
      ring.pop_back();
      ++verdict_.in_flight;
      return;
    }
    // What the child of a fork wrote before its journal began, or a child without one, is not here:
    // it has a tid of its own.
  }

  void match_event(const Actor& actor, ThreadLog& thread, const Entry& e, uint64_t after_tick,
                   uint64_t after_seq) {
    for (auto& ring : thread.rings) {
      if (ring.empty() || !same_event(e, ring.back(), true)) continue;
      const EventBase& b = ring.back().base;
      if (has_ticks() && b.begin_tick < e.tick)
        continue;  // an older one that was refused the same, in the other ring
      if (has_ticks() && (b.end_tick < b.begin_tick || b.end_tick > after_tick))
        complain("tid {}: ticks of op {} are not within the call's", actor.tid,
                 static_cast<int>(e.op));
      if (b.call_seq > after_seq)
        complain("tid {}: call_seq {} is behind the next call {}", actor.tid, b.call_seq,
                 after_seq);
      ring.pop_back();
      ++verdict_.events;
      return;
    }
    // A granted memory call is in the memory ring, or where it did not fit there among the events.
    const bool memory = e.op >= Op::kMmap && e.op <= Op::kSbrk;
    const bool may_be_gone =
        thread.rings[is_vital_op(e.op)].empty() || (memory && thread.rings[2].empty()) || e.err;
    // A failed call is in the ring that its proof is in.
    const bool overwritten = (losses_.vital_slots_overwritten && (is_vital_op(e.op) || e.err)) ||
                             (losses_.event_slots_overwritten && !is_vital_op(e.op)) ||
                             (losses_.memory_units_overwritten && memory);
    const bool too_new = has_ticks() && !is_vital_op(e.op) && !e.err && e.tick > complete_from_;
    if (may_be_gone && overwritten && !too_new) return;
    ++missing_events_;
    missing_.push_back(fmt::format("tid {}: op {} at tick {}, complete from {}, overwritten {}",
                                   actor.tid, static_cast<int>(e.op), e.tick, complete_from_,
                                   overwritten));
  }

  uint64_t not_kept() {
    if (not_kept_ != kUnknown) return not_kept_;
    not_kept_ = log_.retired_totals().calls_not_kept + log_.shared_totals().calls_not_kept;
    for (const auto& [process, totals] : log_.totals()) not_kept_ += totals.calls_not_kept;
    return not_kept_;
  }

  // What the journal says of one process.
  struct Made {
    std::array<uint64_t, kOps> calls{}, in_flight{};
    uint64_t bytes = 0, bytes_in_flight = 0;
    bool forked = false;
  };
  std::map<uint32_t, Made> made_by_process() const {
    std::map<uint32_t, Made> made;
    for (uint32_t i = 0; i < actors(); ++i) {
      const Actor& actor = journal_.actors[i];
      if (!actor.tid) continue;
      Made& of = made[actor.pid];
      of.forked = actor.forked;
      of.bytes += actor.bytes;
      for (uint32_t op = 0; op < kOps; ++op) of.calls[op] += actor.counts[op];
      const Entry* last = in_flight(actor);
      if (!last || static_cast<uint32_t>(last->op) >= kOps) continue;
      ++of.in_flight[static_cast<uint32_t>(last->op)];
      if (is_malloc_family(last->op)) of.bytes_in_flight += size_of(*last);
    }
    return made;
  }

  // Only the victim's own code makes these: not libc, behind its back.
  bool is_exact(const Made& made, const ovc::Process& process, Op op) const {
    const bool internals = process.slot.internals != static_cast<uint64_t>(InternalsState::kOff);
    switch (op) {
      case Op::kAlignedAlloc:
      case Op::kPosixMemalign:
      case Op::kFork:
      case Op::kWaitpid:
      case Op::kPthreadCreate: return true;
      case Op::kMmap:
      case Op::kMunmap:
      case Op::kMremap:
      case Op::kMprotect: return made.forked && !internals;
      default: return made.forked && is_malloc_family(op);
    }
  }

  void check_counters() {
    std::map<uint32_t, ovc::Process> by_pid;
    for (const ovc::Process& p : log_.processes()) by_pid[p.slot.pid] = p;
    const auto counted = log_.totals();
    for (const auto& [pid, made] : made_by_process()) {
      ++verdict_.processes;
      const auto found = by_pid.find(pid);
      const bool idle =
          std::all_of(made.calls.begin(), made.calls.end(), [](uint64_t n) { return n == 0; });
      if (found == by_pid.end()) {
        if (!idle) complain("pid {} is not in the log", pid);
        continue;
      }
      const auto counters = counted.find({found->second.index, found->second.slot.serial});
      const ovc::Totals totals = counters == counted.end() ? ovc::Totals{} : counters->second;
      for (uint32_t op = 1; op < kOps; ++op) {
        const uint64_t n = totals.calls[op], least = made.calls[op],
                       most = least + made.in_flight[op];
        if (n < least || (n > most && is_exact(made, found->second, static_cast<Op>(op))))
          complain("pid {}: {} calls of op {} are counted, {} to {} were made", pid, n, op, least,
                   most);
      }
      if (totals.requested_bytes < made.bytes ||
          (made.forked && totals.requested_bytes > made.bytes + made.bytes_in_flight))
        complain("pid {}: {} bytes are counted, {} were asked for", pid, totals.requested_bytes,
                 made.bytes);
    }
  }

  // Of the malloc family: counted = kept + overwritten + not kept + events. Each call in flight may
  // be half counted.
  void check_sum() {
    uint64_t counted = 0, slack = 0, big = 0;
    const auto add = [&](const ovc::Totals& totals) {
      for (auto op = static_cast<uint32_t>(Op::kMalloc); op <= static_cast<uint32_t>(Op::kPvalloc);
           ++op)
        counted += totals.calls[op] * (is_realloc(static_cast<Op>(op)) ? 2 : 1);
    };
    for (const auto& [process, totals] : log_.totals()) add(totals);
    for (uint32_t i = 0; i < actors(); ++i) {
      big += journal_.actors[i].big_records;
      slack += in_flight(journal_.actors[i]) ? 2 : 0;
    }
    if (not_kept()) return;
    const uint64_t there = raw_.records() + losses_.calls_overwritten + big;
    if ((counted > there ? counted - there : there - counted) > slack)
      complain("{} records are there, {} overwritten, {} in the event lane; {} are counted",
               raw_.records(), losses_.calls_overwritten, big, counted);
  }

  ovc::LogReader log_;
  RawLane raw_;
  const Journal& journal_;
  Verdict verdict_;
  ovc::Losses losses_;
  std::map<std::pair<uint32_t, uint32_t>, ThreadLog> threads_;
  std::vector<std::string> missing_;  // events, until it is known how many may be
  uint64_t between_chunks_ =
      0;  // records that stood between two chunks of a thread and were overwritten
  uint64_t complete_from_ = 0, missing_calls_ = 0, missing_events_ = 0, not_kept_ = kUnknown;
};

}  // namespace

Verdict check(const std::string& log_path, const Journal& journal) {
  try {
    return Check(log_path, journal).run();
  } catch (const ovc::Error& error) {
    Verdict verdict;
    verdict.too_early = journal.next == 0;
    if (!verdict.too_early) verdict.wrong.push_back(error.what());
    return verdict;
  }
}

}  // namespace kill_test
