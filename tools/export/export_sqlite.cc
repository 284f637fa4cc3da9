// SPDX-License-Identifier: MIT
//
// An SQLite file: records, stacks, forks, refusals and their facts as tables, with views for the
// common questions.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "tools/export/export_file.h"
#include "tools/export/export_formats.h"
#include "tools/export/export_mapping.h"
#include "tools/export/export_rows.h"
#include "tools/export/export_sqlite_readings.h"
#include "tools/export/export_sqlite_schema.h"
#include "tools/log/call_text.h"
#include "tools/log/log_reader.h"
#include "tools/replay/holders.h"
#include "tools/replay/image_names.h"
#include "tools/text/sqlite_file.h"
#include "tools/verdict/fork_list.h"
#include "tools/verdict/stats.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr uint64_t kKb = 1024;

// What is the same for the whole file stands in `machine`, stacks in tables of their own.
constexpr std::string_view kNotOfEvents[] = {"host", "boot_id", "log", "lane", "stack"};
constexpr std::string_view kOfCalls[] = {
    "seq",  "time", "time_ns", "latest_ns",       "pid",     "tid",
    "comm", "op",   "flags",   "requested_bytes", "address", "caller"};

template <size_t n>
bool is_one_of(const std::string_view (&names)[n], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}
bool is_of_events(const Column& column) { return !is_one_of(kNotOfEvents, column.name); }
bool is_of_calls(const Column& column) { return is_one_of(kOfCalls, column.name); }

std::string table_of(std::string_view name, bool (*wanted)(const Column&)) {
  std::string columns;
  for (const Column& column : export_columns())
    if (wanted(column))
      columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ", column.name,
                             column.type == ColumnType::kInteger ? "INTEGER" : "TEXT");
  return fmt::format("CREATE TABLE {} ({});", name, columns);
}

template <typename List>
std::string joined(const List& list, std::string_view between) {
  return fmt::format("{}", fmt::join(list, between));
}

struct BindCell {
  SqliteRows& rows;
  void operator()(std::monostate) const { rows.null(); }
  void operator()(int64_t value) const { rows.integer(value); }
  void operator()(uint64_t value) const { rows.integer(value); }
  void operator()(std::string_view text) const { rows.text(text); }
  void operator()(std::span<const std::string> list) const { rows.text_or_null(joined(list, ";")); }
};

void add_row(SqliteRows& rows, const ExportRow& row, bool (*wanted)(const Column&)) {
  for (const Column& column : export_columns())
    if (wanted(column)) std::visit(BindCell{rows}, column.cell(row));
  rows.row();
}

SqliteRows& add_fact_value(SqliteRows& rows, uint64_t value) {
  if (value == kUnknown) return rows.null();
  return value == kInfinite ? rows.text("unlimited") : rows.integer(value);
}

// Unknown keys have a name, too.
std::string name_of(const Fact& fact) {
  const std::string_view name = fact_name(fact.key);
  return name.empty() ? fmt::format("fact_{}", fact.key) : std::string(name);
}

std::optional<uint64_t> requested(const Event& event) {
  return has_size(event.base.op) ? std::optional(requested_bytes(event)) : std::nullopt;
}

// Each stack once, and each of its frames once.
class StackTables {
 public:
  explicit StackTables(SqliteFile& file)
      : stacks_(file, "stacks"), stack_frames_(file, "stack_frames"), frames_(file, "frames") {}

  void add(const ExportStack& stack) {
    if (stack.id <= newest_) return;
    newest_ = stack.id;
    stacks_.integer(stack.id).text_or_null(stack.caller()).integer(int64_t{stack.cut}).row();
    for (size_t depth = 0; depth < stack.frames.size(); ++depth) {
      const int64_t frame = number_of(stack.frames[depth], stack.texts[depth]);
      stack_frames_.integer(stack.id).integer(uint64_t{depth}).integer(frame).row();
    }
  }

 private:
  int64_t number_of(const Frame& frame, const std::string& text) {
    const std::string source = frame.source();
    const auto [place, fresh] =
        numbers_.try_emplace({text, source}, static_cast<int64_t>(numbers_.size() + 1));
    if (!fresh) return place->second;
    frames_.integer(place->second)
        .text(text)
        .text_or_null(frame.function)
        .text_or_null(frame.module);
    frames_.integer(frame.offset).text_or_null(source).integer(int64_t{frame.inlined}).row();
    return place->second;
  }

  SqliteRows stacks_, stack_frames_, frames_;
  uint64_t newest_ = 0;
  std::map<std::pair<std::string, std::string>, int64_t> numbers_;  // by text and source line
};

class SqliteExport {
 public:
  SqliteExport(const LogReader& log, const ExportOptions& options, const std::string& path)
      : log_(log),
        options_(options),
        source_(log, options.host),
        walk_(log, source_),
        file_(path) {}

  void write() {
    file_.run(kExportTables);
    file_.run(table_of("events", is_of_events) + table_of("calls", is_of_calls));
    write_machine();
    write_stats();
    write_records();
    write_readings_table(file_, walk_, source_);
    write_forks();
    write_refusals();
    write_ends();
    file_.run(kExportViews);
    file_.commit();
  }

 private:
  void write_machine() {
    SqliteRows rows(file_, "machine");
    const FileHeader& h = log_.header();
    const auto add = [&](std::string_view name, std::string_view value) {
      rows.text(name).text_or_null(value).row();
    };
    const auto add_number = [&](std::string_view name, uint64_t value) {
      rows.text(name).integer(value).row();
    };
    add("host", source_.host), add("boot_id", source_.boot_id), add("log", source_.log),
        add("path", log_.path());
    add("kernel_release", h.kernel_release), add("kernel_version", h.kernel_version),
        add("shim_version", h.shim_version);
    add("rehearse", h.rehearse), add("inject", h.inject);
    add_number("format", h.version), add_number("cpus", h.cpus_online),
        add_number("page_bytes", h.page_size);
    add_number("log_bytes", h.file_bytes);
    const int64_t begun = log_.posix_ns(h.created.tick);
    add("begun", iso_text(begun));
    rows.text("begun_ns").integer(begun).row();
    for (const Fact& fact : h.host) {
      if (fact.key == 0) break;
      add_fact_value(rows.text(name_of(fact)), fact.value).row();
    }
  }

  void add_totals(SqliteRows& rows, std::optional<int64_t> process, const Totals& totals) {
    for (const OpInfo& info : all_ops()) {
      const auto i = static_cast<size_t>(info.op);
      if (i < totals.calls.size() && totals.calls[i] != 0)
        rows.figure(process)
            .text(info.name)
            .integer(totals.calls[i])
            .integer(totals.failed[i])
            .row();
    }
  }

  void write_stats() {
    const Stats stats = gather_stats(log_, walk_.symbols());
    SqliteRows processes(file_, "processes"), totals(file_, "totals"), losses(file_, "losses"),
        not_seen(file_, "not_seen");
    int64_t number = 0;
    for (const ProcessStats& p : stats.processes) {
      const ProcessSlot& slot = p.process.slot;
      const auto time = [&](uint64_t tick) {
        return tick ? std::optional(log_.posix_ns(tick)) : std::nullopt;
      };
      const auto started = time(slot.start_tick);
      processes.integer(++number).integer(uint64_t{slot.pid}).integer(uint64_t{slot.parent_pid});
      processes.text(p.process.comm()).text(p.process.exe()).integer(uint64_t{slot.uid});
      processes.text_or_null(started ? iso_text(*started) : "")
          .figure(started)
          .figure(time(p.end.tick));
      processes.figure(p.end.status ? std::optional(int64_t{*p.end.status}) : std::nullopt);
      processes.integer(slot.images).integer(p.totals.threads).integer(p.totals.requested_bytes);
      processes.scaled(p.own_mapped_kb, kKb).scaled(p.own_commit_kb, kKb);
      processes.scaled(p.peak_vm_size_kb, kKb).scaled(p.peak_resident_kb, kKb);
      processes.scaled(p.peak_data_kb, kKb).row();
      add_totals(totals, number, p.totals);
    }
    add_totals(totals, std::nullopt, stats.retired);
    add_totals(totals, std::nullopt, stats.shared);
    for (const Loss& loss : stats.losses)
      losses.text(loss.key).integer(loss.count).text(loss.what).row();
    for (const std::string& spot : stats.blind_spots) not_seen.text(spot).row();
  }

  void write_records() {
    SqliteRows events(file_, "events"), calls(file_, "calls"), facts(file_, "facts"),
        mappings(file_, "mappings");
    StackTables stacks(file_);
    write_growth(stacks);
    walk_.walk(
        [&](const ExportRow& row) {
          if (!row.event) return add_row(calls, row, is_of_calls);
          add_row(events, row, is_of_events);
          if (row.stack) stacks.add(*row.stack);
          for (const Fact& fact : row.event->facts)
            add_fact_value(facts.integer(row.event->position).text(name_of(fact)), fact.value)
                .row();
          uint64_t number = row.event->base.args[1];  // of the first entry, see Op::kMappings
          for (const MappingEntry& mapping : row.event->mappings)
            add_mapping(mappings, row.event->position, number++, mapping);
        },
        options_.calls);
  }

  void write_growth(StackTables& stacks) {
    const auto found = growers(log_);
    if (!found) return;
    SqliteRows rows(file_, "growth");
    const GrowthLog growth(log_);
    const ImageNames programs(log_);
    const auto add = [&](const Bounds& kb) {
      rows.figure(kb.exact() ? std::optional(kb.high * kKb) : std::nullopt);
    };
    for (const StackSum& sum : found->stacks) {
      const auto known = growth.stack(sum.stack);
      const ExportStack* stack = known ? walk_.stacks().of(*known) : nullptr;
      if (stack) stacks.add(*stack);
      rows.text_or_null(known ? programs.of(known->image) : "");
      rows.figure(stack ? std::optional(stack->id) : std::nullopt).text(op_name(sum.op));
      add(sum.now), add(sum.gross), add(sum.promised);
      rows.integer(sum.uncharged_kb * kKb).integer(sum.mapped_kb * kKb).integer(sum.calls);
      rows.integer(sum.failed).integer(sum.asked_bytes).integer(sum.failed_bytes).row();
    }
  }

  static void add_mapping(SqliteRows& rows, uint64_t position, uint64_t number,
                          const MappingEntry& m) {
    rows.integer(position)
        .integer(number)
        .text(hex_text(m.start))
        .text(hex_text(m.end))
        .integer(m.end - m.start);
    rows.text(permissions_text(m)).text(mapping_kind_text(m));
    rows.figure(listed_flag(m, kMapAc))
        .figure(listed_flag(m, kMapNr))
        .figure(listed_flag(m, kMapDc));
    rows.integer(m.rss_kb * kKb).integer(m.anonymous_kb * kKb).integer(m.swap_kb * kKb).row();
  }

  void write_forks() {
    SqliteRows rows(file_, "forks");
    const ForkList list(log_);
    for (const Fork& f : list.forks()) {
      const EventBase& b = f.event.base;
      const int64_t time = log_.posix_ns(b.begin_tick);
      const auto span = [&](uint64_t end) {
        return log_.ticks_to_ns(static_cast<int64_t>(end - b.begin_tick));
      };
      rows.integer(f.event.position)
          .text(iso_text(time))
          .integer(time)
          .integer(uint64_t{b.pid})
          .integer(uint64_t{b.tid});
      rows.text_or_null(f.comm)
          .text(op_name(b.op))
          .text_or_null(f.purpose)
          .text_or_null(joined(f.functions, " <- "));
      rows.text_or_null(f.event.failed() ? errno_name(b.err) : "");
      rows.figure(f.event.returned() ? std::optional(span(b.end_tick)) : std::nullopt);
      rows.scaled(f.charge_kb, kKb).scaled(f.committed_change_kb, int64_t{kKb});
      rows.figure(f.child ? std::optional(uint64_t{f.child}) : std::nullopt)
          .text_or_null(f.program);
      rows.text_or_null(f.end ? end_text(*f.end) : "").text_or_null(f.end ? f.end->seen_by : "");
      rows.figure(f.end ? std::optional(span(f.end->tick)) : std::nullopt);
      rows.figure(f.end && f.end->max_rss_kb ? std::optional(f.end->max_rss_kb * kKb)
                                             : std::nullopt);
      rows.figure(f.end && f.end->page_faults ? std::optional(f.end->page_faults) : std::nullopt)
          .row();
    }
  }

  void write_refusals() {
    SqliteRows rows(file_, "refusals"), events(file_, "refusal_events");
    int64_t number = 0;
    for (const Verdict& v : walk_.verdicts()) {
      add_refusal(rows, ++number, v);
      for (const uint64_t position : v.positions) events.integer(number).integer(position).row();
    }
  }

  void add_refusal(SqliteRows& rows, int64_t number, const Verdict& v) {
    const Finding& f = v.finding;
    const EventBase& b = v.event.base;
    const int64_t first = log_.posix_ns(b.begin_tick);
    rows.integer(number)
        .text(iso_text(first))
        .integer(first)
        .integer(log_.posix_ns(v.last_tick))
        .integer(v.count);
    rows.integer(uint64_t{b.pid})
        .text_or_null(v.comm)
        .text(op_name(b.op))
        .text(errno_name(b.err))
        .text(f.cause);
    rows.text(f.summary)
        .text(f.meaning)
        .text(f.rule)
        .text_or_null(joined(v.callers, " <- "))
        .text_or_null(v.purpose);
    rows.figure(requested(v.event));
    rows.figure(f.charge ? std::optional(f.charge->kb * kKb) : std::nullopt);
    rows.figure(f.charge && f.charge->mappings ? std::optional(f.charge->mappings) : std::nullopt);
    rows.text_or_null(
        f.charge && f.charge->refused_at ? hex_text(f.charge->refused_at->mapping.start) : "");
    const auto term = [&](int64_t Mode2Verdict::*field) {
      rows.figure(f.mode2 ? std::optional(times((*f.mode2).*field, int64_t{kKb})) : std::nullopt);
    };
    term(&Mode2Verdict::committed_kb), term(&Mode2Verdict::limit_kb),
        term(&Mode2Verdict::headroom_kb);
    rows.figure(f.short_by).text_or_null(f.short_by ? f.short_unit : "").figure(f.band);
    rows.integer(int64_t{f.borderline}).integer(int64_t{v.coped});
    const WouldPass pass = f.would_pass.value_or(WouldPass{});
    rows.figure(pass.mode0).figure(pass.mode1).figure(pass.mode2).figure(pass.mode2_with.ratio);
    rows.figure(pass.mode2_with.overcommit_kbytes).figure(pass.mode2_with.more_swap_mib);
    rows.text_or_null(joined(f.advice, "; ")).text_or_null(joined(f.notes, "; ")).row();
  }

  void write_ends() {
    SqliteRows rows(file_, "ends");
    EndsFound ends = find_endings(log_, walk_.scan(), walk_.symbols(), host_now());
    std::move(ends.quiet.begin(), ends.quiet.end(), std::back_inserter(ends.suspicious));
    for (const Ending& e : ends.suspicious) {
      const int64_t time = log_.posix_ns(e.tick);
      rows.text(e.id)
          .text(e.comm)
          .integer(uint64_t{e.pid})
          .text(iso_text(time))
          .integer(time)
          .integer(int64_t{e.exact});
      rows.text_or_null(e.signal ? signal_name(static_cast<unsigned>(e.signal)) : "")
          .integer(e.count);
      rows.text_or_null(joined(e.notes, "; ")).row();
    }
  }

  const LogReader& log_;
  const ExportOptions& options_;
  ExportSource source_;
  ExportWalk walk_;
  SqliteFile file_;
};

}  // namespace

void export_sqlite(const LogReader& log, const ExportOptions& options) {
  NewFile file(options.output);
  SqliteExport(log, options, file.path()).write();
  file.commit();
}

}  // namespace ovc
