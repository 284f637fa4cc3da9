// SPDX-License-Identifier: MIT
//
// model_check [--preemptions N] [--kills N] [--executions N] [--late] [--self-test]
// Plays the scenarios in every order of their threads' steps; --self-test: breaks a step of the
// protocol at a time, which a scenario has to notice.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <iostream>

#include "tests/trust/model/growth_scenarios.h"
#include "tests/trust/model/lane_scenarios.h"
#include "tests/trust/model/memory_scenarios.h"
#include "tests/trust/model/readings_scenarios.h"
#include "tests/trust/model/scheduler.h"
#include "tests/trust/model/stage.h"
#include "tests/trust/model/subject.h"

namespace {

using namespace model;

Result run(const Stage& stage, const Stage::State& fresh, const Scenario& scenario, Bounds bounds,
           Break broken) {
  stage.set(fresh);
  scenario.prepare();
  story.written.clear();
  const Stage::State begin = stage.state();
  const Result result = (stores_come_late ? explore_each_late : explore)(
      [&] { stage.set(begin); }, scenario.fibers, scenario.judge, bounds, broken);
  stage.set(fresh);
  return result;
}

int check_all(const Stage& stage, Bounds bounds) {
  const Stage::State fresh = stage.state();
  uint64_t executions = 0, points = 0;
  int status = 0;
  std::vector<Scenario> all = lane_scenarios(stage.reader());
  for (Scenario& scenario : growth_scenarios(stage.reader())) all.push_back(std::move(scenario));
  for (Scenario& scenario : readings_scenarios(stage.reader())) all.push_back(std::move(scenario));
  for (Scenario& scenario : memory_scenarios(stage.reader())) all.push_back(std::move(scenario));
  for (const Scenario& scenario : all) {
    const Result result = run(stage, fresh, scenario, bounds, Break::kNothing);
    executions += result.executions, points += result.points;
    const bool good = result.violation.empty();
    std::cout << fmt::format("{}: {}: {} orders{}, {} steps {}", good ? "ok" : "VIOLATED",
                             scenario.name, result.executions, result.complete ? "" : " (not all)",
                             result.points, result.violation)
              << std::endl;
    status |= !good;
  }
  std::cout << fmt::format("{} orders, {} steps; in each at most {} preemptions and {} kills\n",
                           executions, points, bounds.preemptions, bounds.kills);
  return status;
}

struct BrokenStep {
  Break broken;
  const char* name;
};

// Every broken step has to be noticed by one of these scenarios.
int notice_all(const Stage& stage, Bounds bounds, const std::vector<Scenario>& by,
               const std::vector<BrokenStep>& breaks) {
  const Stage::State fresh = stage.state();
  int status = 0;
  for (const BrokenStep& each : breaks) {
    std::string noticed;
    for (const Scenario& scenario : by) {
      const Result result = run(stage, fresh, scenario, bounds, each.broken);
      if (result.violation.empty()) continue;
      noticed = fmt::format("after {} orders of: {}: {}", result.executions, scenario.name,
                            result.violation);
      break;
    }
    std::cout << (noticed.empty() ? "FAILED, not noticed: " : "ok: ") << each.name << ": "
              << noticed << std::endl;
    status |= noticed.empty();
  }
  return status;
}

int late_self_test(const Stage& stage, Bounds bounds) {
  const std::vector<BrokenStep> release = {{Break::kNoRelease, "a release store is a plain one"}};
  return notice_all(stage, bounds, lane_scenarios(stage.reader()),
                    {{Break::kNoFence, "a release fence holds nothing back"}, release[0]}) |
         notice_all(stage, bounds, growth_scenarios(stage.reader()), release) |
         notice_all(stage, bounds, readings_scenarios(stage.reader()), release);
}

int self_test(const Stage& stage, Bounds bounds) {
  const int lanes =
      notice_all(stage, bounds, lane_scenarios(stage.reader()),
                 {{Break::kClaimNotAtomic, "a cursor's add is not atomic"},
                  {Break::kTakeUnchecked, "compare-and-swap does not compare"},
                  {Break::kBusyNotStored, "compare-and-swap does not store"},
                  {Break::kLiveTakenForDead, "living threads are taken for dead"},
                  {Break::kNotCleared, "a chunk is not cleared for its new owner"},
                  {Break::kLossNotCounted, "losses are not counted"},
                  {Break::kReaderLooksOnce, "the reader does not look again after its copy"}});
  const int growth =
      notice_all(stage, bounds, growth_scenarios(stage.reader()),
                 {{Break::kClaimNotAtomic, "room in the arena is not given out atomically"},
                  {Break::kTakeUnchecked, "a word is claimed without a compare"},
                  {Break::kBusyNotStored, "a word is claimed and not stored"},
                  {Break::kLossNotCounted, "rows are not added to"},
                  {Break::kFramesNotWritten, "frames are not written before their word"},
                  {Break::kTableNotFilled, "a table is not filled before it is met"},
                  {Break::kMarkNotSet, "what leaves is not marked"}});
  const int readings =
      notice_all(stage, bounds, readings_scenarios(stage.reader()),
                 {{Break::kTakeUnchecked, "a cell is taken without a compare"},
                  {Break::kBusyNotStored, "a cell or an extreme is claimed and not stored"},
                  {Break::kFramesNotWritten, "figures are not written before their tick"}});
  const int memory =
      notice_all(stage, bounds, memory_scenarios(stage.reader()),
                 {{Break::kClaimNotAtomic, "the memory ring's units are not given out atomically"},
                  {Break::kTakeUnchecked, "a unit is taken without a compare"},
                  {Break::kBusyNotStored, "a unit is claimed and not stored"},
                  {Break::kFramesNotWritten, "fields are not written before their word"},
                  {Break::kReaderLooksOnce, "the reader does not look again after its copy"}});
  return lanes | growth | readings | memory;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Checks the protocol of the log's lanes in every order of a few threads' steps"};
  Bounds bounds{2, 1, 60000};
  bool breaks = false;
  app.add_option("--preemptions", bounds.preemptions, "in one order, at most");
  app.add_option("--kills", bounds.kills, "in one order, at most");
  app.add_option("--executions", bounds.executions, "orders of one scenario, at most");
  app.add_flag("--self-test", breaks,
               "break a step of the protocol at a time: each has to be noticed");
  app.add_flag("--late", stores_come_late,
               "a store may come late (late_store.h); the bounds are then for each such store");
  CLI11_PARSE(app, argc, argv);
  const Stage stage;
  if (breaks) return stores_come_late ? late_self_test(stage, bounds) : self_test(stage, bounds);
  return check_all(stage, bounds);
}
