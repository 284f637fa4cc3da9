// SPDX-License-Identifier: MIT
//
// kill_test --shim F --victim F [--kills N] [--seed S] [--from K] [--keep DIR]: kills N victims,
// and compares each one's journal with its log. Kill k has the seed S + k, so that one can be
// repeated (--from K --kills 1) and a long run resumed (--from K). The first kill with a complaint
// ends the run; its log and journal stay in DIR. kill_test --self-test: see mutations.h.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>

#include "fmt/format.h"
#include "tests/fixtures/settings_stay.h"
#include "tests/trust/kill/check.h"
#include "tests/trust/kill/mutations.h"
#include "tests/trust/kill/victim_run.h"

namespace {

using namespace kill_test;

struct Sums {
  uint64_t kills = 0, calls = 0, events = 0, in_flight = 0, overwritten = 0, processes = 0,
           too_early = 0;
  void add(const Verdict& v) {
    ++kills;
    calls += v.calls, events += v.events, in_flight += v.in_flight, overwritten += v.overwritten,
        processes += v.processes;
    too_early += v.too_early;
  }
  std::string text() const {
    return fmt::format(
        "{} kills ({} before the log was there), {} processes: {} calls and {} events are in the "
        "log as journalled, {} more "
        "were in flight, {} overwritten",
        kills, too_early, processes, calls, events, in_flight, overwritten);
  }
};

// The largest log takes 86 MiB, a journal as much at most.
bool has_room(const char* directory) {
  std::error_code error;
  const auto space = std::filesystem::space(directory, error);
  return !error && space.available > uint64_t{1} << 30;
}

bool one_kill(const Place& place, uint64_t seed, Sums& sums) {
  const Plan plan(seed);
  const SettingsStay here;  // in /dev/shm, each new page of the journal counts in the commit limit:
                            // SIGBUS when it does not fit
  const JournalFile journal(place, plan);
  run_and_kill(place, plan, *journal);
  const Verdict verdict = check(place.log(), *journal);
  sums.add(verdict);
  if (verdict.wrong.empty()) return true;
  std::cout << "WRONG, " << plan.text() << '\n';
  for (const std::string& wrong : verdict.wrong) std::cout << "  " << wrong << '\n';
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Kills programs under the shim and compares their logs with their own journals"};
  Place place;
  uint64_t kills = 300, from = 0, seed = std::random_device{}() % 1000000000;
  std::string keep = ".";
  bool self_test = false;
  app.add_option("--shim", place.shim)->required();
  app.add_option("--victim", place.victim)->required();
  app.add_option("--kills", kills);
  app.add_option("--seed", seed);
  app.add_option("--from", from);
  app.add_option("--keep", keep, "folder for the log and journal of a failed kill");
  app.add_flag("--self-test", self_test, "damage a log in every way that has to be noticed");
  CLI11_PARSE(app, argc, argv);
  std::string folder =
      fmt::format("{}/ovc-kill.XXXXXX", has_room("/dev/shm") ? "/dev/shm" : "/var/tmp");
  if (!mkdtemp(folder.data())) return 2;
  place.folder = folder;
  int status = 0;
  try {
    std::cout << "seed " << seed << std::endl;
    if (self_test) status = run_mutations(place, seed);
    const auto begun = std::chrono::steady_clock::now();
    Sums sums;
    for (uint64_t k = from; !self_test && k < from + kills; ++k) {
      if (!one_kill(place, seed + k, sums)) {
        std::error_code error;  // there may be no log, which was the complaint
        for (const std::string& file : {place.log(), place.journal()})
          std::filesystem::copy(file, keep, std::filesystem::copy_options::overwrite_existing,
                                error);
        std::cout << "again with: --seed " << seed << " --from " << k << " --kills 1" << std::endl;
        status = 1;
        break;
      }
      if ((k + 1) % 1000 == 0) std::cout << "kill " << k + 1 << ": " << sums.text() << std::endl;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    if (!self_test)
      std::cout << fmt::format("{}; {:.0f} s", sums.text(), took.count()) << std::endl;
  } catch (const std::exception& error) {
    std::cout << "kill_test: " << error.what() << std::endl;
    status = 2;
  }
  std::filesystem::remove_all(folder);
  return status;
}
