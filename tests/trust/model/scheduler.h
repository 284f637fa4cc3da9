// SPDX-License-Identifier: MIT
//
// Runs a few fibers in every order. The code under test is the real one, compiled with
// -fsanitize=thread: the compiler puts a call before each access to memory, and hooks.cc answers
// these calls instead of the sanitizer. An access to the log is a point where another fiber may go
// on, or where this one is killed. The search is depth first, with a bound on preemptions and on
// kills.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace model {

// One step of the protocol is broken on purpose, to see that the properties notice.
enum class Break {
  kNothing,
  kClaimNotAtomic,    // the add on a cursor is a load and a store
  kTakeUnchecked,     // compare-and-swap does not compare
  kBusyNotStored,     // ... or does not store
  kLiveTakenForDead,  // tkill says ESRCH of everybody
  kNotCleared,        // a chunk is not cleared for its new owner
  kLossNotCounted,    // cold counters are not added to
  kFramesNotWritten,  // a stack's frames, or a reading's figures, are not written before their word
  kTableNotFilled,    // a table of owners is not filled before the word that leads to it
  kMarkNotSet,        // what munmap is about to take is not marked
  kReaderLooksOnce,   // the reader's second look at a slot's or owner's word gives what the first
                      // gave
  kNoFence,           // a release fence holds nothing back: see late_store.h
  kNoRelease,         // nor does a release store
};

struct Fiber {
  uint32_t tid;
  bool may_die;
  std::function<void()> run;
};

struct Bounds {
  unsigned preemptions, kills;
  uint64_t executions;  // at most
};

struct Result {
  uint64_t executions = 0, points = 0;
  bool complete = false;  // all orders within the bounds were tried
  std::string violation;  // empty: none; the search stops at the first
};

// `reset` puts everything back, `fibers` are run in one order, `judge` says what is wrong ("" if
// nothing); and again, until every order was.
Result explore(const std::function<void()>& reset, const std::vector<Fiber>& fibers,
               const std::function<std::string()>& judge, Bounds bounds, Break broken);

// The same once for each store that may come late (late_store.h), the first of an execution, the
// second ...; the bounds are for each of them.
inline bool stores_come_late = false;
Result explore_each_late(const std::function<void()>& reset, const std::vector<Fiber>& fibers,
                         const std::function<std::string()>& judge, Bounds bounds, Break broken);

// For the hooks and the scenarios.
bool is_running();  // a fiber is
Break broken();
uint32_t running_tid();                         // 0: none
bool is_alive(uint32_t tid);                    // a fiber, and not killed
bool has_died(uint32_t tid);                    // was killed in this execution
void point();                                   // here another fiber may go on
void fail(const std::string& what);             // a property is violated
void watch(const void* start, uint64_t bytes);  // a mapping of the log

}  // namespace model
