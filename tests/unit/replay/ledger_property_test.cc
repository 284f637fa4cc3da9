// SPDX-License-Identifier: MIT
//
// The ledger against the kernel: a program changes its address space at random under the shim and
// writes down smaps after each step; the replay of its log must come to the same. OVC_LEDGER_SEEDS
// and OVC_LEDGER_STEPS ask for more.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "tests/fixtures/settings_stay.h"
#include "tests/unit/catch.h"
#include "tools/replay/ledger.h"

using namespace ovc;

namespace {

struct KernelMapping {
  uint64_t start = 0, end = 0;
  bool ac = false, nr = false;
  auto operator<=>(const KernelMapping&) const = default;
};
struct Step {
  uint32_t number = 0, pid = 0;
  std::vector<KernelMapping> mappings;

  uint64_t charged_kb() const {
    uint64_t kb = 0;
    for (const KernelMapping& m : mappings) kb += m.ac ? (m.end - m.start) / 1024 : 0;
    return kb;
  }
  uint64_t biggest_kb() const {
    uint64_t kb = 0;
    for (const KernelMapping& m : mappings) kb = std::max(kb, m.ac ? (m.end - m.start) / 1024 : 0);
    return kb;
  }
};

std::vector<Step> read_steps(const std::string& path) {
  std::vector<Step> steps;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    KernelMapping m;
    unsigned number = 0, pid = 0;
    if (sscanf(line.c_str(), "STEP %u %u", &number, &pid) == 2) steps.push_back({number, pid, {}});
    else if (line.starts_with("VmFlags:")) {
      steps.back().mappings.back().ac = line.find(" ac") != line.npos;
      steps.back().mappings.back().nr = line.find(" nr") != line.npos;
    } else if (sscanf(line.c_str(), "%lx-%lx", &m.start, &m.end) == 2) {
      steps.back().mappings.push_back(m);
    }
  }
  return steps;
}

constexpr uint64_t kMarks = 0x100000, kPage = 4096, kMostSteps = 100000;

// Ends of the marks that the program leaves in the log, by pid and step.
std::map<std::pair<uint32_t, uint32_t>, uint64_t> read_marks(const LogReader& log) {
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> marks;
  log.for_each_event([&](const Event& event) {
    const uint64_t at = event.base.args[0];
    if (event.base.op == Op::kMunmap && at >= kMarks && at < kMarks + kMostSteps * kPage)
      marks[{event.base.pid, static_cast<uint32_t>((at - kMarks) / kPage)}] = event.base.end_tick;
    return true;
  });
  return marks;
}

// Where the heap begins, by the image's start record: memory, once there is a heap.
bool heap_start_is_known(const LogReader& log, const std::vector<Step>& steps) {
  uint64_t known = ovcshim::kUnknown;
  log.for_each_event([&](const Event& event) {
    if (event.base.op == Op::kStart && !(event.base.flags & ovcshim::kChildSide))
      known = event.fact(ovcshim::FactKey::kStartBrk).value_or(ovcshim::kUnknown);
    return true;
  });
  return std::any_of(steps.begin(), steps.end(), [known](const Step& step) {
    return std::any_of(step.mappings.begin(), step.mappings.end(), [known](const KernelMapping& m) {
      return m.start <= known && known < m.end;
    });
  });
}

struct Score {
  uint64_t steps = 0, partly = 0, exact = 0, biggest_known = 0, mappings = 0, mappings_known = 0;

  std::string text(std::string_view name) const {
    const auto percent = [](uint64_t part, uint64_t of) {
      return of ? 100.0 * static_cast<double>(part) / static_cast<double>(of) : 0;
    };
    return fmt::format(
        "{}: {} steps, {} more said to be partly known; sum exact in {:.1f} %, biggest mapping in "
        "{:.1f} %, {:.1f} % of the "
        "mappings certain",
        name, steps, partly, percent(exact, steps), percent(biggest_known, steps),
        percent(mappings_known, mappings));
  }
};

std::string check_mappings(const Step& step, const LedgerState& state, Score& score) {
  for (const Mapping& m : state.space.mappings()) {
    const Piece& p = m.pieces.front();
    ++score.mappings;
    if (m.more_before != Sure::kNo || m.more_behind != Sure::kNo || p.charged == Sure::kOpen ||
        p.noreserve == Sure::kOpen)
      continue;
    ++score.mappings_known;
    const KernelMapping want{m.start(), m.end(), p.charged == Sure::kYes,
                             p.noreserve == Sure::kYes};
    if (std::find(step.mappings.begin(), step.mappings.end(), want) == step.mappings.end())
      return fmt::format("the kernel has no {:x}-{:x} ac {} nr {}", want.start, want.end, want.ac,
                         want.nr);
  }
  return {};
}

std::string check_step(const Step& step, const LedgerState& state, Score& score) {
  if (state.modules_tick) {  // the loader was at work, and no list has come since
    ++score.partly;
    return {};
  }
  const SpaceTotals t = state.space.totals();
  ++score.steps;
  score.exact += t.charged.exact();
  score.biggest_known += t.biggest.exact();
  if (state.base == LedgerBase::kNone) return "there is no base";
  if (state.space.contradictions() != 0) return "the replay contradicts itself";
  const uint64_t kb = step.charged_kb(), biggest = step.biggest_kb();
  if (kb < t.charged.low || kb > t.charged.high)
    return fmt::format("kernel {} kB, ledger {} to {}", kb, t.charged.low, t.charged.high);
  if (biggest < t.biggest.low || biggest > t.biggest.high)
    return fmt::format("biggest {} kB, ledger {} to {}", biggest, t.biggest.low, t.biggest.high);
  return check_mappings(step, state, score);
}

uint64_t wanted(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? strtoull(text, nullptr, 10) : otherwise;
}

// `launcher`: what starts the program, with a space behind it.
std::string run_and_check(uint64_t seed, uint64_t steps_wanted, Score& score,
                          std::string_view launcher = "") {
  const std::string base = fmt::format("/var/tmp/ovc-ledger.{}.{}", getpid(), seed),
                    log_path = base + ".ovc", dump = base + ".smaps";
  const std::string command = fmt::format(
      "OVCSHIM_LOG={} LD_PRELOAD={}/libovcshim.so {}{}/programs/random_mappings {} {} {}", log_path,
      OVC_BINARY_DIR, launcher, OVC_BINARY_DIR, seed, steps_wanted, dump);
  const SettingsStay stay;
  std::string trouble = std::system(command.c_str()) == 0 ? "" : "the program failed";
  if (trouble.empty()) {
    const LogReader log(log_path);
    const Ledger ledger(log);
    const auto marks = read_marks(log);
    const std::vector<Step> steps = read_steps(dump);
    for (const Step& step : steps) {
      const auto of_pid = [&](const LedgerProcess& p) { return p.pid == step.pid; };
      const auto process =
          std::find_if(ledger.processes().begin(), ledger.processes().end(), of_pid);
      const auto mark = marks.find({step.pid, step.number});
      if (process == ledger.processes().end() || mark == marks.end())
        trouble = "no mark in the log";
      else trouble = check_step(step, ledger.at(*process, mark->second), score);
      if (trouble.empty()) continue;
      trouble = fmt::format("seed {} step {} pid {}: {}", seed, step.number, step.pid, trouble);
      break;
    }
    if (trouble.empty() && steps.size() < steps_wanted) trouble = "steps are missing";
    if (trouble.empty() && !heap_start_is_known(log, steps))
      trouble = "no heap begins where the record says";
  }
  if (!std::getenv("OVC_LEDGER_KEEP"))
    std::filesystem::remove(log_path), std::filesystem::remove(dump);
  return trouble;
}

}  // namespace

TEST_CASE("the ledger comes to what the kernel says, after every step of random programs",
          "[ledger][property]") {
  const uint64_t seeds = wanted("OVC_LEDGER_SEEDS", 20), steps = wanted("OVC_LEDGER_STEPS", 200);
  const uint64_t first = wanted("OVC_LEDGER_FIRST", 1);
  Score tame, wild;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    const std::string trouble = run_and_check(seed, steps, seed % 4 == 0 ? wild : tame);
    INFO(trouble);
    CHECK(trouble.empty());
  }
  const std::string summary =
      tame.text("gains of write permission only") + "\n" + wild.text("losses, too");
  if (std::getenv("OVC_LEDGER_SEEDS")) WARN(summary);
  INFO(summary);
  CHECK(tame.exact * 100 >= tame.steps * 95);
}

// There the heap begins where .bss ends, and everything else stands at the same distance each time.
TEST_CASE("the same where addresses are not randomised", "[ledger][property]") {
  if (std::system("setarch -R true 2>/dev/null") != 0) return;  // a sandbox forbids personality(2)
  Score score;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const std::string trouble = run_and_check(seed, 100, score, "setarch -R ");
    INFO(trouble);
    CHECK(trouble.empty());
  }
}
