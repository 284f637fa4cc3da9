// SPDX-License-Identifier: MIT
//
// The records of a log as rows with the same columns in every format, and the one walk over the log
// that yields them. Figures are exact, in bytes and nanoseconds; what is not known is null, never
// 0.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "tools/export/export_stacks.h"
#include "tools/log/log_reader.h"
#include "tools/log/names.h"
#include "tools/replay/timeline.h"
#include "tools/rules/commit_rules.h"
#include "tools/symbols/symbols.h"
#include "tools/verdict/why_report.h"

namespace ovc {

// Which log on which machine: so that the rows of many can stand in one table.
struct ExportSource {
  // A log does not hold the name of its host: `host` if given, else this machine's if it still runs
  // the boot that is recorded.
  ExportSource(const LogReader& log, const std::string& host);
  std::string host;  // empty: not known
  std::string boot_id, log;
  uint64_t page_bytes;
};

// One record. Text is raw, as recorded. What points elsewhere is valid during the call that hands
// the row over.
struct ExportRow {
  const ExportSource* source = nullptr;
  const Event* event = nullptr;  // else:
  const Call* call = nullptr;    // of the call lane
  Op op = Op::kNone;
  const OpInfo* info = nullptr;  // nullptr: an op that this version does not know
  uint32_t pid = 0, tid = 0;
  const Process* process = nullptr;  // nullptr: its place in the table went to another
  uint64_t seq = 0;
  int64_t time_ns = 0;
  std::optional<int64_t>
      latest_ns;          // the call was made between these; nullopt: no later moment is known
  std::string_view time;  // the first as ISO 8601
  unsigned depth = 0;
  std::vector<std::string> flags;
  std::string_view outcome, cause;  // empty: null
  std::string error;                // name of the errno; empty: null
  std::optional<int64_t> result;    // unless it is an address
  std::string address;  // that the call returned, or was about, as hex: JSON has no 64-bit integers
  std::optional<int64_t> duration_ns;  // nullopt: it has not returned, or was not timed
  std::optional<uint64_t> requested_bytes, charge_bytes;
  std::optional<int64_t> charge_change_bytes, size_change_bytes;  // that the call made: see Growth
  std::optional<uint64_t> committed_after_bytes;
  uint32_t child = 0;
  std::string_view caller, text;       // text: the call as `ovc show` writes it
  const ExportStack* stack = nullptr;  // nullptr: none was recorded
};

// Sums of figures that a damaged log may have made absurd: wrong then, but defined.
constexpr int64_t plus(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
constexpr int64_t minus(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}
constexpr int64_t times(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

using Cell =
    std::variant<std::monostate, int64_t, uint64_t, std::string_view, std::span<const std::string>>;

enum class ColumnType : uint8_t { kInteger, kText, kList };
struct Column {
  std::string_view name;
  ColumnType type;
  Cell (*cell)(const ExportRow&);
};
// THE table of columns: of JSON lines, CSV and the tables `events` and `calls` of SQLite.
std::span<const Column> export_columns();

// What a granted memory call changed, by the replay of the process's address space (ledger.h).
// Absent: it cannot tell.
struct Growth {
  std::optional<int64_t>
      charge_kb;        // in the commit limit, shared memory that is charged at once included
  int64_t size_kb = 0;  // address space
};
// Sorted by position: a fifth of what a map takes.
using GrowthByCall = std::vector<std::pair<uint64_t, Growth>>;
GrowthByCall growth_by_call(const LogReader& log);
const Growth* find_growth(const GrowthByCall& growth, uint64_t position);  // nullptr: none

class ExportWalk {
 public:
  ExportWalk(const LogReader& log, const ExportSource& source);

  using EachRow = std::function<void(const ExportRow&)>;
  void walk(const EachRow& each, bool with_calls);

  const LogReader& log() const { return log_; }
  Symbols& symbols() { return symbols_; }
  ExportStacks& stacks() { return stacks_; }
  const WhyScan& scan() const { return scan_; }
  const std::vector<Verdict>& verdicts() const { return verdicts_; }
  const Process* process(uint32_t index, uint32_t serial) const;

 private:
  void fill(const Event& event, const EventPlace& place);
  void fill_outcome(const Event& event, Fate fate);
  void fill_figures(const Event& event);
  void fill(const Call& call, uint64_t tick);
  void set_time(uint64_t tick);
  const std::string& caller_text(uint32_t image, uint64_t caller);

  struct Caller {
    uint64_t address = 0;
    uint32_t image = 0;
    std::string text;
  };
  static constexpr size_t kCallers = 4096;

  const LogReader& log_;
  const ExportSource& source_;
  Symbols symbols_;
  ExportStacks stacks_;
  WhyScan scan_;
  std::vector<Verdict> verdicts_;
  GrowthByCall growth_;
  HostRules rules_;
  std::unordered_map<uint64_t, std::string_view> causes_;  // by position
  std::map<ProcessId, Process> processes_;
  std::vector<Caller> callers_{kCallers};
  ExportRow row_;
  uint64_t tick_ = 0;
  std::string time_, text_;
};

}  // namespace ovc
