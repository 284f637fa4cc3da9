// SPDX-License-Identifier: MIT
//
// See scheduler.h. All fibers share one thread, so the thread's place in the call lane is put by
// and back at each change.
#include "tests/trust/model/scheduler.h"

#include <sys/mman.h>
#include <ucontext.h>

#include "shim/record/state.h"
#include "tests/trust/model/late_store.h"

namespace model {
namespace {

constexpr size_t kStackBytes = 256 * 1024;
constexpr unsigned kMostPoints =
    5000;  // in one execution: a fiber that waits for another would pass it

struct Choice {
  unsigned options, taken;
};

struct Running {
  Fiber fiber;
  ucontext_t context{};
  ovcshim::HotPlace hot{};
  bool over = false, dead = false;
};

struct Search {
  std::vector<Running> fibers;
  std::vector<Choice> choices;
  size_t depth = 0;
  Bounds bounds{};
  Break broken = Break::kNothing;
  unsigned preemptions = 0, kills = 0, points = 0;
  int current = -1;
  ucontext_t home{};
  std::string violation;
  uint64_t all_points = 0;
} search;

std::vector<void*> stacks;

unsigned choose(unsigned options) {
  if (options == 1) return 0;
  if (search.depth == search.choices.size()) search.choices.push_back({options, 0});
  return search.choices[search.depth++].taken;
}

std::vector<int> others() {
  std::vector<int> can;
  for (int i = 0; i < static_cast<int>(search.fibers.size()); ++i)
    if (i != search.current && !search.fibers[static_cast<size_t>(i)].over) can.push_back(i);
  return can;
}

void go_to(int next, ucontext_t* from) {
  if (search.current >= 0) search.fibers[static_cast<size_t>(search.current)].hot = ovcshim::t_hot;
  const uint32_t from_tid = running_tid();
  search.current = next;
  before_switch(from_tid, running_tid());
  Running& running = search.fibers[static_cast<size_t>(next)];
  ovcshim::t_hot = running.hot;
  swapcontext(from, &running.context);
}

// The current fiber will not go on: another one, or home.
void leave() {
  Running& mine = search.fibers[static_cast<size_t>(search.current)];
  mine.over = true;
  release_late_of(mine.fiber.tid);
  const std::vector<int> can = others();
  if (!can.empty()) return go_to(can[choose(static_cast<unsigned>(can.size()))], &mine.context);
  search.current = -1;
  swapcontext(&mine.context, &search.home);
}

void fiber_main() {
  search.fibers[static_cast<size_t>(search.current)].fiber.run();
  leave();
}

void prepare(Running& running, void* stack) {
  getcontext(&running.context);
  running.context.uc_stack.ss_sp = stack;
  running.context.uc_stack.ss_size = kStackBytes;
  running.context.uc_link = nullptr;
  makecontext(&running.context, fiber_main, 0);
  running.hot = &ovcshim::g_no_hot;
}

void run_once(const std::vector<Fiber>& fibers) {
  search.fibers.assign(fibers.size(), {});
  search.depth = search.preemptions = search.kills = search.points = 0;
  search.current = -1;
  for (size_t i = 0; i < fibers.size(); ++i) {
    search.fibers[i].fiber = fibers[i];
    while (stacks.size() <= i)
      stacks.push_back(
          mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    prepare(search.fibers[i], stacks[i]);
  }
  const std::vector<int> can = others();
  go_to(can[choose(static_cast<unsigned>(can.size()))], &search.home);
  ovcshim::t_hot = &ovcshim::g_no_hot;
}

// The next order; false: that was the last.
bool advance_choices() {
  search.choices.resize(search.depth);
  while (!search.choices.empty() &&
         search.choices.back().taken + 1 == search.choices.back().options)
    search.choices.pop_back();
  if (search.choices.empty()) return false;
  ++search.choices.back().taken;
  return true;
}

}  // namespace

bool is_running() { return search.current >= 0; }
Break broken() { return search.broken; }
uint32_t running_tid() {
  return is_running() ? search.fibers[static_cast<size_t>(search.current)].fiber.tid : 0;
}

bool is_alive(uint32_t tid) {
  for (const Running& running : search.fibers)
    if (running.fiber.tid == tid) return !running.dead;
  return false;
}

bool has_died(uint32_t tid) {
  for (const Running& running : search.fibers)
    if (running.fiber.tid == tid) return running.dead;
  return false;
}

void fail(const std::string& what) {
  if (search.violation.empty()) search.violation = what;
}

void point() {
  if (!is_running()) return;
  ++search.all_points;
  if (++search.points > kMostPoints) {
    fail("no end: somebody waits");
    return leave();
  }
  Running& mine = search.fibers[static_cast<size_t>(search.current)];
  const std::vector<int> can = others();
  const auto switches =
      search.preemptions < search.bounds.preemptions ? static_cast<unsigned>(can.size()) : 0u;
  const unsigned deaths = mine.fiber.may_die && search.kills < search.bounds.kills && !can.empty();
  const unsigned choice = choose(1 + switches + deaths);
  if (choice == 0) return;
  if (choice <= switches) {
    ++search.preemptions;
    return go_to(can[choice - 1], &mine.context);
  }
  ++search.kills;
  mine.dead = true;
  leave();
}

Result explore(const std::function<void()>& reset, const std::vector<Fiber>& fibers,
               const std::function<std::string()>& judge, Bounds bounds, Break broken) {
  Result result;
  search.choices.clear();
  search.bounds = bounds;
  search.broken = broken;
  search.violation.clear();
  search.all_points = 0;
  while (result.executions < bounds.executions) {
    reset();
    reset_late();
    run_once(fibers);
    ++result.executions;
    if (search.violation.empty()) search.violation = judge();
    if (!search.violation.empty()) break;
    if (!advance_choices()) {
      result.complete = true;
      break;
    }
  }
  result.violation = search.violation;
  result.points = search.all_points;
  search.broken = Break::kNothing;
  return result;
}

}  // namespace model
