// SPDX-License-Identifier: MIT
//
// The trace event format of Perfetto and chrome://tracing, as JSON. Processes and threads are
// tracks; calls that took time are slices, Committed_AS and CommitLimit are counters (readings
// only), refusals are marks, and each fork has an arrow to its child. Who made the processes grow
// stands at the end, a mark for each stack with its exact sums. Times are microseconds since
// the first record, with the nanoseconds behind the point: a double holds them exactly.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "tools/export/export_file.h"
#include "tools/export/export_formats.h"
#include "tools/export/export_rows.h"
#include "tools/log/log_reader.h"
#include "tools/log/log_readings.h"
#include "tools/replay/holders.h"
#include "tools/replay/image_names.h"
#include "tools/verdict/process_end.h"

namespace ovc {
namespace {

using namespace ovcshim;

// The counters are the host's, not a process's: a track of its own, with a number that no process
// can have (PID_MAX_LIMIT + 1).
constexpr uint32_t kHostTrack = (1u << 22) + 1;
constexpr uint32_t kGrowthTrack = kHostTrack + 1;
constexpr size_t kMostGrowers = 2000;

class Trace {
 public:
  Trace(const LogReader& log, const ExportOptions& options)
      : log_(log),
        source_(log, options.host),
        out_(options.output),
        walk_(log, source_),
        start_ns_(first_ns()) {}

  void write() {
    out_.text() += "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"host\":";
    if (source_.host.empty()) out_.text() += "null";
    else append_json_string(out_.text(), source_.host);
    append_member("boot_id", source_.boot_id);
    append_member("log", source_.log);
    append_member("start", iso_text(start_ns_));
    append("}},\n\"traceEvents\":[\n");
    write_names();
    walk_.walk([this](const ExportRow& row) { take(row); }, false);
    write_kept();
    write_growth();
    append("\n]}}\n");
    out_.finish();
  }

 private:
  template <typename... Args>
  void append(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_.text()), format, std::forward<Args>(args)...);
  }
  void append_member(std::string_view name, std::string_view value) {
    append(",\"{}\":", name);
    append_json_string(out_.text(), value);
  }
  void append_figure(std::string_view name, const std::optional<uint64_t>& value) {
    if (value) append(",\"{}\":{}", name, *value);
  }

  // The walk yields records in the order of their beginning: nothing is earlier than the first, or
  // than the first process.
  int64_t first_ns() const {
    int64_t first = log_.posix_ns(log_.header().created.tick);
    log_.for_each_event([&](const Event& event) {
      first = std::min(first, log_.posix_ns(event.base.begin_tick));
      return true;
    });
    for (const Process& p : log_.processes())
      if (p.slot.start_tick) first = std::min(first, log_.posix_ns(p.slot.start_tick));
    return first;
  }

  // Microseconds with three digits behind the point.
  static std::string micro(int64_t ns) {
    return fmt::format("{}.{:03}", std::max<int64_t>(ns, 0) / 1000,
                       std::max<int64_t>(ns, 0) % 1000);
  }
  std::string time(int64_t ns) const { return micro(minus(ns, start_ns_)); }

  // {"ph":"X","pid":1,"tid":1,"ts":0.000,"name":"mmap" - the caller goes on and closes it.
  void begin(char phase, uint32_t pid, uint32_t tid, int64_t ns, std::string_view name) {
    out_.done();
    out_.text() += std::exchange(first_, false) ? "" : ",\n";
    append("{{\"ph\":\"{}\",\"pid\":{},\"tid\":{},\"ts\":{}", phase, pid, tid, time(ns));
    append_member("name", name);
  }
  void end() { out_.text() += '}'; }

  void name_process(uint32_t pid, std::string_view name) {
    begin('M', pid, pid, start_ns_, "process_name");
    append(",\"args\":{{\"name\":");
    append_json_string(out_.text(), name);
    append("}}}}");
  }

  // A slice for the life of each process: what its calls lie in, and where the arrow of its fork
  // ends.
  void write_names() {
    name_process(kHostTrack, source_.host.empty() ? "host" : source_.host);
    last_ns_ = last_ns();
    const int64_t last = last_ns_;
    for (const Process& p : log_.processes()) {
      const uint32_t pid = p.slot.pid;
      const int64_t from = log_.posix_ns(p.slot.start_tick);
      const ProcessEnd ended = ends_.of(log_, p);
      const int64_t to = ended.tick ? log_.posix_ns(ended.tick) : last;
      name_process(pid, p.comm());
      begin('X', pid, pid, from, p.comm());
      const bool forked =
          p.slot.fork_position != kUnknown;  // DevTools wants both ends of an arrow in one category
      append(",\"cat\":\"{}\",\"dur\":{},\"args\":{{\"parent_pid\":{}", forked ? "fork" : "process",
             micro(minus(to, from)), p.slot.parent_pid);
      append_member("exe", p.exe());
      append(",\"end_recorded\":{}}}", ended.kind != EndKind::kNotRecorded);
      end();
      if (forked) births_[p.slot.fork_position] = {pid, from};
    }
  }

  int64_t last_ns() {
    int64_t last = start_ns_;
    log_.for_each_event([&](const Event& event) {
      ends_.note(event);
      last = std::max(last, log_.posix_ns(std::max(event.base.begin_tick, event.base.end_tick)));
      return true;
    });
    return last;
  }

  void take(const ExportRow& row) {
    if (row.op >= Op::kCallOps) return;
    if (row.duration_ns) write_slice(row);
    write_counters(row);
    if (row.event->failed() && !row.cause.empty()) write_refusal(row);
    write_flow(row);
  }

  void write_slice(const ExportRow& row) {
    begin('X', row.pid, row.tid, row.time_ns, op_name(row.op));
    append(",\"cat\":\"{}\",\"dur\":{},\"args\":{{\"position\":{}", category(row),
           micro(*row.duration_ns), row.event->position);
    append_member("call", row.text);
    if (row.result) append(",\"result\":{}", *row.result);
    if (!row.error.empty()) append_member("errno", row.error);
    append_figure("requested_bytes", row.requested_bytes);
    append_figure("charge_bytes", row.charge_bytes);
    if (!row.caller.empty())
      append_member("caller",
                    row.stack && !row.stack->caller().empty() ? row.stack->caller() : row.caller);
    append("}}");
    end();
  }

  static std::string_view category(const ExportRow& row) {
    constexpr std::string_view kNames[] = {"malloc", "memory", "shared", "fork",  "wait",
                                           "exec",   "end",    "limit",  "record"};
    return row.info ? kNames[static_cast<size_t>(row.info->family)] : "unknown";
  }

  // Only where it changes: many calls share one reading.
  void write_counter(int64_t ns, std::string_view name, uint64_t kb, uint64_t& newest) {
    if (kb == kUnknown || kb == newest) return;
    newest = kb;
    begin('C', kHostTrack, kHostTrack, ns, name);
    append(",\"args\":{{\"bytes\":{}}}", kb * 1024);
    end();
  }

  // A reading at the moment it was taken.
  void write_counters(const ExportRow& row) {
    const CommitState& met = row.event->base.before;
    if (met.committed_kb == kUnknown) return;
    const int64_t age = met.age_ns == kUnknown
                            ? 0
                            : static_cast<int64_t>(std::min<uint64_t>(met.age_ns, INT64_MAX));
    write_counter(minus(row.time_ns, age), "Committed_AS", met.committed_kb, committed_kb_);
    write_counter(minus(row.time_ns, age), "CommitLimit", met.limit_kb, limit_kb_);
    if (row.committed_after_bytes && row.duration_ns)
      write_counter(plus(row.time_ns, *row.duration_ns), "Committed_AS",
                    *row.committed_after_bytes / 1024, committed_kb_);
  }

  void write_refusal(const ExportRow& row) {
    begin('i', row.pid, row.tid, plus(row.time_ns, row.duration_ns.value_or(0)),
          fmt::format("{} refused: {}", op_name(row.op), row.cause));
    append(",\"cat\":\"refusal\",\"s\":\"p\",\"args\":{{\"position\":{}", row.event->position);
    append_member("errno", row.error);
    append_member("cause", row.cause);
    append("}}");
    end();
  }

  // From the call to the child's life: each end has the moment of its slice.
  void write_flow(const ExportRow& row) {
    const auto birth = births_.find(row.event->position);
    if (birth == births_.end() || !row.duration_ns) return;
    const auto [child, from] = birth->second;
    for (const bool is_end : {false, true}) {
      begin(is_end ? 'f' : 's', is_end ? child : row.pid, is_end ? child : row.tid,
            is_end ? from : row.time_ns, "child");
      append(",\"cat\":\"fork\",\"id\":{}{}", row.event->position, is_end ? ",\"bp\":\"e\"" : "");
      end();
    }
  }

  // What the records forgot; an importer puts them in order.
  void write_kept() {
    const auto counter = [this](uint64_t tick, std::string_view name, uint64_t kb) {
      if (uint64_t none = kUnknown; kb < kInfinite)
        write_counter(log_.posix_ns(tick), name, kb, none);
    };
    for (const ReadingsCell& cell : kept_readings(log_)) {
      if (cell.first) counter(cell.first->tick, "Committed_AS", cell.first->committed_kb);
      if (cell.first) counter(cell.first->tick, "CommitLimit", cell.first->limit_kb);
      for (const auto& extreme : {cell.lowest, cell.highest})
        if (extreme) counter(extreme->tick, "Committed_AS", extreme->committed_kb);
    }
  }

  // What holds most first.
  void write_growth() {
    const auto found = growers(log_);
    if (!found || found->stacks.empty()) return;
    name_process(kGrowthTrack, "charged memory by stack");
    const GrowthLog growth(log_);
    const ImageNames programs(log_);
    for (size_t i = 0; i < std::min(found->stacks.size(), kMostGrowers); ++i)
      write_grower(growth, programs, found->stacks[i]);
  }

  void write_grower(const GrowthLog& growth, const ImageNames& programs, const StackSum& sum) {
    const auto known = growth.stack(sum.stack);
    const ExportStack* stack = known ? walk_.stacks().of(*known) : nullptr;
    const std::string_view who = stack ? stack->caller() : "no room for its stack";
    begin('i', kGrowthTrack, kGrowthTrack, last_ns_, fmt::format("{} {}", op_name(sum.op), who));
    append(",\"cat\":\"growth\",\"s\":\"t\",\"args\":{{\"calls\":{},\"failed\":{}", sum.calls,
           sum.failed);
    append_bounds("charged_now", sum.now);
    append_bounds("charged_ever", sum.gross);
    append_bounds("promised", sum.promised);
    append(",\"mapped_bytes\":{}", sum.mapped_kb * 1024);
    if (known) append_member("program", programs.of(known->image));
    if (stack) append_member("stack", fmt::format("{}", fmt::join(stack->texts, "\n")));
    append("}}");
    end();
  }

  void append_bounds(std::string_view name, const Bounds& kb) {
    if (kb.exact()) return append(",\"{}_bytes\":{}", name, kb.high * 1024);
    append(",\"{}_bytes_at_least\":{},\"{}_bytes_at_most\":{}", name, kb.low * 1024, name,
           kb.high * 1024);
  }

  const LogReader& log_;
  ExportSource source_;
  ExportText out_;
  ExportWalk walk_;
  int64_t start_ns_, last_ns_ = 0;
  bool first_ = true;
  uint64_t committed_kb_ = kUnknown, limit_kb_ = kUnknown;  // written last
  ProcessEnds ends_;
  std::map<uint64_t, std::pair<uint32_t, int64_t>>
      births_;  // by position of the fork: child's pid, its first moment
};

}  // namespace

void export_trace(const LogReader& log, const ExportOptions& options) {
  Trace(log, options).write();
}

}  // namespace ovc
