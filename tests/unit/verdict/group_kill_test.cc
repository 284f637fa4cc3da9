// SPDX-License-Identifier: MIT
//
// For whose limit a child was killed: what the counters prove, and what they leave open.
#include "tools/verdict/group_kill.h"

#include "tests/unit/catch.h"

using namespace ovc;

namespace {

constexpr uint64_t kMib = 1 << 20;

GroupAtKill group(const char* path, uint64_t limit_mib, uint64_t reached) {
  return {path, limit_mib ? limit_mib * kMib : ovcshim::kInfinite, 10 * kMib, reached};
}

std::string told(const KillFacts& facts) {
  std::string text = kills_text(facts, 1, "12:00", 3) + "\n";
  for (const std::string& note : whose_limit(facts, {})) text += note + "\n";
  return text;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

// Version 2, all groups seen.
KillFacts facts(std::vector<GroupAtKill> groups, std::optional<uint64_t> own_reached) {
  KillFacts facts;
  facts.groups = std::move(groups);
  facts.own_reached = own_reached;
  facts.counts_all = facts.all_seen = true;
  facts.available_kb = 5000;
  return facts;
}

}  // namespace

TEST_CASE("its own group's limit, by its own counter") {
  const std::string text = told(facts({group("/a/own", 100, 9), group("/a", 200, 9)}, 1));
  CHECK(has(text,
            "the OOM killer of its control group counted 1 kill since 12:00 (oom_kill 2 -> 3)"));
  CHECK(has(text, "control group /a/own: memory limit 102,400 kB, in use 10,240 kB\n"));
  CHECK_FALSE(has(text, "suspect"));
}

TEST_CASE("a group above it, or the host: both are suspects") {
  const std::string text = told(facts({group("/a/own", 0, 0), group("/a", 200, 9)}, 0));
  CHECK(has(text, "an OOM killer ended 1 process of its control group since 12:00"));
  CHECK(has(text, "its own group has no memory limit (/a/own)"));
  CHECK(
      has(text, "suspect: control group /a: memory limit 204,800 kB, in use 10,240 kB, reached 9"));
  CHECK(has(text, "suspect: the host itself was out of memory; MemAvailable of the host 5,000 kB"));
  CHECK(has(text, "to do: a higher memory limit of /a"));
}

TEST_CASE("limits that were never reached leave the host") {
  KillFacts given = facts({group("/a/own", 100, 0), group("/a", 200, 0)}, 0);
  CHECK(has(told(given), "not for the limit of its own group: /a/own: memory limit 102,400 kB"));
  CHECK(has(told(given), "nor for that of a group above it: the host was out of memory"));
  given.all_seen = false;  // in a container
  CHECK(has(told(given), "suspect: a control group above it that is not visible from there"));
  CHECK_FALSE(has(told(given), "nor for that"));
}

TEST_CASE("version 1 counts the limit with swap elsewhere: no count says that a limit was not it") {
  KillFacts given = facts({group("/a/own", 100, 0), group("/a", 200, 0)}, 0);
  given.counts_all = false;
  const std::string text = told(given);
  CHECK(has(text, "the OOM killer of its control group counted 1 kill"));
  CHECK(has(text, "suspect: control group /a/own: memory limit 102,400 kB"));
  CHECK(has(text, "suspect: control group /a: memory limit 204,800 kB"));
  CHECK_FALSE(has(text, "not for the limit"));
  CHECK(has(text, "to do: before the next save see which of them has least left"));
}

TEST_CASE("several killed, counters that are not known") {
  KillFacts given = facts({group("/own", 100, 9)}, std::nullopt);
  CHECK(has(told(given), "the OOM killer of its control group counted 1 kill"));
  given = facts({group("/own", 0, 0)}, 0);
  CHECK(has(kills_text(given, 2, "12:00", 5), "ended 2 processes of its control group"));
  CHECK(has(told({}), "to do: a higher memory limit for this service (systemd MemoryMax="));
}
