// SPDX-License-Identifier: MIT
#include "tools/verdict/stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "tools/replay/holders.h"
#include "tools/replay/unseen_images.h"
#include "tools/text/output.h"
#include "tools/verdict/blind_spots.h"
#include "tools/verdict/exit_sight.h"

namespace ovc {
namespace {

using namespace ovcshim;

// True for every log.
constexpr std::string_view kAlwaysBlind[] = {
    "system calls that bypass libc (inline assembly, Go programs, the loader's own mmap)",
    "static binaries and set-uid programs: LD_PRELOAD is ignored there",
    "blocks of allocators not called malloc (arenas, je_malloc, tc_malloc): only their mmap calls "
    "are recorded",
    "stack growth, page faults, and writes to memfd_create and shm_open files (charged page by "
    "page)",
};

std::vector<Loss> list_losses(const LogReader& log) {
  const Losses lost = log.losses();
  return {
      {"event_slots_overwritten", lost.event_slots_overwritten,
       "event slots overwritten by newer events (a larger OVCSHIM_EVENTS_SIZE keeps more)"},
      {"memory_units_overwritten", lost.memory_units_overwritten,
       "records of granted memory calls overwritten by newer ones (a larger OVCSHIM_EVENTS_SIZE "
       "keeps more)"},
      {"vital_slots_overwritten", lost.vital_slots_overwritten,
       "slots of forks, execs, exits and refusals overwritten by newer ones (a larger "
       "OVCSHIM_EVENTS_SIZE keeps more)"},
      {"event_slots_torn", lost.event_slots_torn,
       "event slots torn: the writer was killed while writing, or the file is damaged"},
      {"events_lost_busy", lost.events_lost_busy, "events dropped: every slot tried was busy"},
      {"events_lost_lapped", lost.events_lost_lapped,
       "writes given up: newer events had overtaken the writer"},
      {"calls_overwritten", lost.calls_overwritten,
       "small malloc calls overwritten by newer ones (a larger OVCSHIM_CALLS_SIZE keeps more)"},
      {"calls_lost_nested", lost.calls_lost_nested,
       "malloc calls by signal handlers that interrupted the recorder: only counted"},
      {"call_chunks_damaged", lost.call_chunks_damaged, "damaged chunks of small malloc calls"},
      {"snapshots_skipped", lost.snapshots_skipped,
       "refused calls recorded without their list of mappings, to bound the cost"},
      {"processes_unslotted", lost.processes_unslotted,
       "processes not in the process table (it was full)"},
      {"threads_unslotted", lost.threads_unslotted,
       "threads that share counters with others (the table was full)"},
      {"threads_unrecorded", lost.threads_unrecorded,
       "threads whose small malloc calls are only counted"},
  };
}

class Gatherer {
 public:
  Gatherer(const LogReader& log, Symbols& symbols, const SeenElsewhere& seen)
      : log_(log), symbols_(symbols), seen_(seen), spots_(symbols) {}

  Stats run() {
    add_processes();
    log_.for_each_event([this](const Event& event) {
      note(event);
      return true;
    });
    for (ProcessStats& p : stats_.processes) p.end = ends_.of(log_, p.process);
    add_growth();
    add_inside_libc();
    auto& list = stats_.processes;
    std::stable_sort(list.begin(), list.end(),
                     [](const auto& a, const auto& b) { return a.calls() > b.calls(); });
    stats_.retired = log_.retired_totals();
    stats_.retired_processes = log_.retired_processes();
    stats_.shared = log_.shared_totals();
    stats_.losses = list_losses(log_);
    add_blind_spots();
    return std::move(stats_);
  }

 private:
  void add_processes() {
    auto totals = log_.totals();
    for (const Process& p : log_.processes()) {
      by_slot_[{p.index, p.slot.serial}] = stats_.processes.size();
      stats_.processes.push_back(
          {p, totals[{p.index, p.slot.serial}], {}, {}, {}, {}, {}, {}, {}, false});
    }
  }

  void note(const Event& event) {
    const EventBase& b = event.base;
    ++stats_.events;
    if (stats_.first_tick == 0 || b.begin_tick < stats_.first_tick)
      stats_.first_tick = b.begin_tick;
    stats_.last_tick = std::max({stats_.last_tick, b.begin_tick, b.end_tick});
    spots_.note(event);
    ends_.note(event);
    const auto place = by_slot_.find({b.process, b.process_serial});
    if (b.op != Op::kStart || (b.flags & kChildSide) || place == by_slot_.end()) return;
    ProcessStats& p = stats_.processes[place->second];
    p.own_mapped_kb = event.fact(FactKey::kOwnMappedKb);
    p.own_commit_kb = event.fact(FactKey::kOwnCommitKb);
    // grows with the number of threads; logs of older versions have it at the start only
    if (p.own_commit_kb && p.process.slot.own_commit_kb > *p.own_commit_kb)
      p.own_commit_kb = p.process.slot.own_commit_kb;
    p.own_start_ns = event.fact(FactKey::kOwnStartNs);
    p.served_by.clear();
    for (const Fact& fact : event.facts) note_provider(p, b.image, fact);
  }

  void add_growth() {
    const Ledger ledger(log_);
    const GrowthLog growth(log_);
    const HostRules rules = rules_of_all(log_);
    for (ProcessStats& process : stats_.processes) add_peaks(growth, process);
    for (const LedgerProcess& p : ledger.processes()) {
      const auto place = by_slot_.find({p.index, p.serial});
      if (place == by_slot_.end()) continue;
      ProcessStats& process = stats_.processes[place->second];
      if (ledger.lists_of(p) >= 2) add_replayed(ledger, p, process);
      if (!process.growth || process.calls_overwritten) add_owned(growth, rules, process);
    }
  }

  void add_peaks(const GrowthLog& growth, ProcessStats& process) const {
    const auto space = growth.space(process.process.index, process.process.slot.serial);
    const auto kb = [this](uint64_t pages) {
      return pages ? std::optional(pages * (log_.header().page_size / 1024)) : std::nullopt;
    };
    if (!space) return;
    process.peak_vm_size_kb = kb(space->peak_vm_size_pages);
    process.peak_resident_kb = kb(space->peak_resident_pages);
    process.peak_data_kb = kb(space->peak_data_pages);
  }

  // From what is never overwritten.
  static void add_owned(const GrowthLog& growth, const HostRules& rules, ProcessStats& process) {
    const auto space = growth.space(process.process.index, process.process.slot.serial);
    const auto listed = space ? listed_coverage(*space, rules) : std::nullopt;
    if (!listed) return;
    process.growth = listed;
    process.unexplained_kb.clear();
    process.calls_overwritten = false;
  }

  void add_replayed(const Ledger& ledger, const LedgerProcess& p, ProcessStats& process) {
    const LedgerState end = ledger.at(p, UINT64_MAX);
    process.growth = coverage(end);
    process.calls_overwritten =
        process.growth && process.growth->first_tick < log_.events_complete_from();
    if (!process.growth || process.growth->low_kb >= process.growth->kernel_kb) return;
    process.unexplained_kb = listed_kb(end);
    for (const auto& [kind, kb] : listed_kb(ledger.at(p, process.growth->first_end_tick))) {
      uint64_t& grown = process.unexplained_kb[kind];
      grown = grown > kb ? grown - kb : 0;
    }
  }

  // Charged mappings that no call is known to have made, only a list.
  static std::map<std::string_view, uint64_t> listed_kb(const LedgerState& state) {
    std::map<std::string_view, uint64_t> sums;
    for (const Mapping& mapping : state.space.mappings())
      for (const Piece& piece : mapping.pieces)
        if (piece.made_by == kUnknown && piece.charged == Sure::kYes)
          sums[kind_of(piece)] += piece.kb();
    return sums;
  }
  static std::string_view kind_of(const Piece& piece) {
    if (piece.has(kMapStack)) return "stack";
    if (piece.has(kMapHeap)) return "heap";
    return piece.has(kMapFile) ? "private file pages" : "anonymous";
  }

  // What musl does inside itself stands in its code in too many shapes to be changed.
  void add_inside_libc() {
    for (ProcessStats& p : stats_.processes) {
      const ProcessSlot& slot = p.process.slot;
      const auto modules = symbols_.modules(slot.image);
      const bool musl = std::any_of(modules.begin(), modules.end(), [](const ModuleInfo& module) {
        const std::string_view name = module.file_name();  // glibc's is libc.so.6
        return name == "libc.so" || name.starts_with("ld-musl") || name.starts_with("libc.musl");
      });
      p.inside_libc = musl && internals_of(slot.internals).state == InternalsState::kUnknownLibc
                          ? "not recorded: this libc is musl (its malloc's mmap, munmap, brk and "
                            "madvise, the stacks of its threads, the clone of its posix_spawn)"
                          : internals_text(slot.internals);
    }
  }

  void note_provider(ProcessStats& p, uint32_t image, const Fact& fact) {
    const uint32_t op = fact.key - static_cast<uint32_t>(FactKey::kProviderBase);
    if (op >= static_cast<uint32_t>(Op::kCallOps)) return;
    const std::string module = symbols_.module_of(image, fact.value);
    p.served_by[std::string(op_name(static_cast<Op>(op)))] =
        module.empty() ? hex_text(fact.value) : module;
  }

  void add_blind_spots() {
    auto& list = stats_.blind_spots;
    for (const UnseenProgram& program : unseen_programs(log_, seen_))
      list.push_back(program.text());
    for (const std::string& sentence : unseen_code(log_, symbols_))
      list.push_back(escaped(sentence));
    for (const std::string& sentence : spots_.sentences()) list.push_back(escaped(sentence));
    std::set<std::string> reasons;
    for (const ProcessStats& p : stats_.processes)
      if (internals_of(p.process.slot.internals).state != InternalsState::kOn)
        reasons.insert(p.inside_libc);
    for (const std::string& reason : reasons)
      list.push_back(
          fmt::format("libc's own system calls (malloc's heap, thread stacks; the clone of "
                      "posix_spawn, popen, system) are {}",
                      reason));
    const FileHeader& header = log_.header();
    if (header.min_size > 0 && header.calls.bytes != 0)
      list.push_back(fmt::format(
          "malloc-family requests below {} bytes and free are only counted (OVCSHIM_MIN_SIZE)",
          grouped(header.min_size)));
    if (header.calls.bytes == 0)
      list.push_back(
          "malloc-family requests below 131,072 bytes are only counted (OVCSHIM_CALLS_SIZE=0)");
    if (header.follow == 0)
      list.push_back("forked children, and programs started by exec (OVCSHIM_FOLLOW=none)");
    if (header.follow == 1) list.push_back("programs started by exec (OVCSHIM_FOLLOW=fork)");
    for (const std::string_view sentence : kAlwaysBlind) list.emplace_back(sentence);
  }

  const LogReader& log_;
  Symbols& symbols_;
  const SeenElsewhere& seen_;
  BlindSpots spots_;
  ProcessEnds ends_;
  Stats stats_;
  std::map<std::pair<uint32_t, uint32_t>, size_t> by_slot_;
};

}  // namespace

uint64_t ProcessStats::calls() const {
  return std::accumulate(totals.calls.begin(), totals.calls.end(), uint64_t{0});
}

Stats gather_stats(const LogReader& log, Symbols& symbols, const SeenElsewhere& seen) {
  return Gatherer(log, symbols, seen).run();
}

std::pair<uint64_t, uint64_t> bucket_bounds(size_t bucket) {
  if (bucket == 0) return {0, 0};
  return {uint64_t{1} << (bucket - 1),
          bucket + 1 == kHistogramBuckets ? UINT64_MAX : (uint64_t{1} << bucket) - 1};
}

}  // namespace ovc
