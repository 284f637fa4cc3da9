// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/attach.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "shim/format/log_format.h"
#include "tools/attach/guest.h"
#include "tools/attach/inside.h"
#include "tools/text/error.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using ovcshim::AttachOrder;
using ovcshim::AttachState;
using ovcshim::AttachStep;

constexpr auto kStopping = 2s;  // for all threads to stand still
constexpr auto kLogTime = 20s;  // to make the log
constexpr auto kStepTime = 5s;
constexpr auto kPause = 5ms;

AttachOrder order_of(const AttachWish& wish, const std::string& log) {
  AttachOrder order{};
  order.stack_depth = wish.stack_depth;
  order.events_bytes = wish.events_bytes;
  order.malloc_family = wish.malloc_family;
  order.calls_bytes = wish.calls_bytes, order.min_size = wish.min_size;
  if (log.size() >= sizeof order.log) throw Error("the name of the log is too long");
  std::copy(log.begin(), log.end(), order.log);
  return order;
}

std::string answer_text(const AttachOrder& answer) {
  const std::string why(answer.why, strnlen(answer.why, sizeof answer.why));
  return answer.err > 0 ? fmt::format("{}: {}", escaped(why), strerrordesc_np(answer.err))
                        : escaped(why);
}

void require_done(const AttachOrder& answer, const ProcessFacts& facts, const std::string& log) {
  if (answer.done) return;
  if (answer.state == AttachState::kPreloaded)
    throw Error(fmt::format("{} was started with the shim: it is in it already", who(facts)));
  if (answer.state == AttachState::kRecording)
    throw Error(fmt::format("{} is recorded already; ovc detach {} first", who(facts), facts.pid));
  throw Error(
      fmt::format("{} is not recorded: {} ({})", who(facts), answer_text(answer), escaped(log)));
}

// All but the guest's thread.
class Standstill {
 public:
  Standstill(const ProcessFacts& facts, uint32_t except) : start_(Clock::now()) {
    if (process_.stop(facts.pid, start_ + kStopping, except)) return;
    const int error = process_.error();
    const uint32_t stubborn = process_.stubborn();
    process_.let_go();
    if (error) throw Error(why_not_stopped(read_facts(facts.pid), error));
    throw Error(
        fmt::format("thread {} of {} does not stop (it waits for a disk, or for a child of "
                    "vfork): nothing is recorded; try again",
                    stubborn, who(facts)));
  }
  std::vector<Tracee>& threads() { return process_.threads(); }
  int64_t end() {
    process_.let_go();
    return std::chrono::nanoseconds(Clock::now() - start_).count();
  }

 private:
  Clock::time_point start_;
  StoppedProcess process_;
};

AttachOrder step(Guest& guest, AttachOrder order, AttachStep what, Clock::duration most) {
  order.step = what;
  return guest.step(order, Clock::now() + most);
}

// The log is there, but recording cannot begin: the memory is given back.
void undo(Guest& guest, const AttachOrder& order) {
  try {
    step(guest, order, AttachStep::kClose, kStepTime);
  } catch (const Error&) {}
}

// The first of the logs that can be made.
AttachOrder open_log(Guest& guest, const AttachWish& wish, const ProcessFacts& facts,
                     AttachOutcome& outcome) {
  AttachOrder order{};
  for (const std::string& log : wish.logs) {
    order = order_of(wish, log);
    const AttachOrder opened = step(guest, order, AttachStep::kOpen, kLogTime);
    outcome.log = log;
    const bool elsewhere = opened.err == EACCES || opened.err == EROFS || opened.err == ENOENT;
    if (!opened.done && elsewhere && &log != &wish.logs.back()) continue;
    require_done(opened, facts, log);
    break;
  }
  return order;
}

// Again, where a thread is in the loader: it leaves it soon.
AttachOrder begin_in(Guest& guest, const AttachOrder& order, const ProcessFacts& facts,
                     AttachOutcome& outcome) {
  for (const auto until = Clock::now() + kStepTime;;) {
    Standstill still(facts, guest.tid());
    const AttachOrder begun = step(guest, order, AttachStep::kBegin, kStepTime);
    outcome.stopped_ns = still.end();
    if (!begun.again) return begun;
    if (Clock::now() > until) throw Error(fmt::format("{}: {}", who(facts), answer_text(begun)));
    std::this_thread::sleep_for(kPause);
  }
}

// `near_page`: of code beside libc, 0: none.
bool anybody_inside(InsideCheck& check, const Guest& guest, Standstill& still, uint64_t near_page) {
  std::vector<CodeRange> ranges{{guest.shim().start, guest.shim_end()}};
  if (near_page) ranges.push_back({near_page, near_page + 4096});
  return std::any_of(still.threads().begin(), still.threads().end(), [&](const Tracee& thread) {
    return !thread.is_gone() && check.is_inside(thread.tid(), ranges);
  });
}

AttachOutcome outcome_of(const ProcessFacts& facts, const Guest& guest) {
  AttachOutcome outcome;
  outcome.pid = facts.pid, outcome.tid = guest.tid();
  outcome.comm = facts.comm;
  outcome.threads = facts.threads;
  return outcome;
}

// After a kEnd: is there memory to be given back? False: to be asked again. kOpened: an ovc attach
// was killed before it could begin.
bool is_to_close(const AttachOrder& answer, const ProcessFacts& facts) {
  if (answer.done) return true;
  if (answer.again) return false;
  switch (answer.state) {
    case AttachState::kEnded:
    case AttachState::kOpened: return true;
    case AttachState::kBusy: return false;
    case AttachState::kPreloaded:
      throw Error(
          fmt::format("{} was started with the shim: it stays in it until it ends", who(facts)));
    case AttachState::kIdle: throw Error(fmt::format("{} is not recorded", who(facts)));
    default: throw Error(fmt::format("{} is still recorded: {}", who(facts), answer_text(answer)));
  }
}

}  // namespace

AttachOutcome attach_to(const AttachWish& wish) {
  if (std::string why = why_not_attached(wish.pid, wish.shim); !why.empty()) throw Error(why);
  const ProcessFacts facts = read_facts(wish.pid);
  auto guest = std::make_unique<Guest>(facts);
  AttachOutcome outcome = outcome_of(facts, *guest);
  outcome.loader_ns = guest->load(wish.shim);
  const AttachOrder order = open_log(*guest, wish, facts, outcome);
  AttachOrder begun{};
  try {
    begun = begin_in(*guest, order, facts, outcome);
  } catch (const Error&) {
    undo(*guest, order);
    throw;
  }
  const auto begun_holding = guest->begun();
  guest.reset();
  outcome.held_ns = std::chrono::nanoseconds(Clock::now() - begun_holding).count();
  require_done(begun, facts, outcome.log);
  outcome.bound = begun.bound;
  outcome.bound_elsewhere = begun.bound_elsewhere,
  outcome.bound_unwritable = begun.bound_unwritable;
  outcome.whole = begun.internals == static_cast<uint32_t>(ovcshim::InternalsState::kOn);
  outcome.clock = static_cast<ovcshim::Clock>(begun.clock);
  return outcome;
}

std::string list_mappings(const AttachOutcome& attached) {
  const ProcessFacts facts = read_facts(attached.pid);
  const auto list = read_running_list(attached.pid, attached.clock);
  if (!list) return fmt::format("/proc/{}/smaps cannot be read", attached.pid);
  try {
    Guest guest(facts, Guest::OwnMemory::kUnrecorded, &*list);
    guest.load("");  // it is there
    const AttachOrder answer = step(guest, {}, AttachStep::kList, kStepTime);
    return answer.done ? "" : answer_text(answer);
  } catch (const Error& error) { return error.what(); }
}

AttachOutcome detach_from(uint32_t pid) {
  const ProcessFacts facts = read_facts(pid);
  if (std::string why = why_not_stopped(facts, 0); !why.empty()) throw Error(why);
  const auto lines = read_map_lines(facts.pid);
  const MapLine* shim = object_named(lines, "libovcshim.so");
  if (!shim) throw Error(fmt::format("{} is not recorded: the shim is not in it", who(facts)));
  Guest guest(facts, Guest::OwnMemory::kRecorded);
  guest.load(shim->path);
  AttachOutcome outcome = outcome_of(facts, guest);
  const AttachOrder order{};
  InsideCheck check(pid);
  for (const auto until = Clock::now() + kStepTime; Clock::now() < until;) {
    Standstill still(facts, guest.tid());
    const AttachOrder answer = step(guest, order, AttachStep::kEnd, kStepTime);
    outcome.bound = std::max(outcome.bound, answer.done ? answer.bound : 0);
    outcome.whole = is_to_close(answer, facts) &&
                    !anybody_inside(check, guest, still, answer.near_page) &&
                    step(guest, order, AttachStep::kClose, kStepTime).done;
    outcome.stopped_ns = still.end();
    if (outcome.whole) return outcome;
    std::this_thread::sleep_for(kPause);  // a thread was in the shim: it leaves it soon
  }
  return outcome;
}

}  // namespace ovc

#endif
