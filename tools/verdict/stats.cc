// SPDX-License-Identifier: MIT
#include "tools/verdict/stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "tools/replay/unseen_images.h"
#include "tools/text/output.h"
#include "tools/verdict/blind_spots.h"

namespace ovc {
namespace {

using namespace ovcshim;

// True for every log.
constexpr std::string_view kAlwaysBlind[] = {
    "system calls made without libc's functions (inline assembly, Go programs, the loader's own "
    "mmap calls)",
    "statically linked programs and set-uid programs: the loader gives them no LD_PRELOAD",
    "blocks of allocators that are no malloc (arenas, je_malloc, tc_malloc): only the memory they "
    "map is seen",
    "growth of stacks, page faults, and pages written to memfd_create and shm_open files, which "
    "are charged one by one",
};

std::vector<Loss> list_losses(const LogReader& log) {
  const Losses lost = log.losses();
  return {
      {"event_slots_overwritten", lost.event_slots_overwritten,
       "event slots overwritten by newer events (OVCSHIM_EVENTS_SIZE is larger)"},
      {"vital_slots_overwritten", lost.vital_slots_overwritten,
       "slots of forks, execs, ends and proofs overwritten by newer ones (OVCSHIM_EVENTS_SIZE is "
       "larger)"},
      {"event_slots_torn", lost.event_slots_torn,
       "event slots torn: their writer died while it wrote, or they are damaged"},
      {"events_lost_busy", lost.events_lost_busy,
       "events given up because every slot tried was busy"},
      {"events_lost_lapped", lost.events_lost_lapped,
       "tries given up because the ring had passed the writer"},
      {"calls_overwritten", lost.calls_overwritten,
       "call records overwritten by newer ones (OVCSHIM_CALLS_SIZE is larger)"},
      {"calls_lost_nested", lost.calls_lost_nested,
       "calls from signal handlers that interrupted the recorder"},
      {"call_chunks_damaged", lost.call_chunks_damaged, "chunks of the call lane that are damaged"},
      {"snapshots_skipped", lost.snapshots_skipped,
       "failures without a list of mappings, to bound their cost"},
      {"processes_unslotted", lost.processes_unslotted,
       "processes without a place in the process table"},
      {"threads_unslotted", lost.threads_unslotted, "threads counted together with others"},
      {"threads_unrecorded", lost.threads_unrecorded,
       "threads whose calls are counted but not recorded"},
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
    add_growth();
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
      stats_.processes.push_back({p, totals[{p.index, p.slot.serial}], {}, {}, {}, {}, {}, {}});
    }
  }

  void note(const Event& event) {
    const EventBase& b = event.base;
    ++stats_.events;
    if (stats_.first_tick == 0 || b.begin_tick < stats_.first_tick)
      stats_.first_tick = b.begin_tick;
    stats_.last_tick = std::max({stats_.last_tick, b.begin_tick, b.end_tick});
    spots_.note(event);
    const auto place = by_slot_.find({b.process, b.process_serial});
    if (b.op != Op::kStart || (b.flags & kChildSide) || place == by_slot_.end()) return;
    ProcessStats& p = stats_.processes[place->second];
    p.own_mapped_kb = event.fact(FactKey::kOwnMappedKb);
    p.own_commit_kb = event.fact(FactKey::kOwnCommitKb);
    p.own_start_ns = event.fact(FactKey::kOwnStartNs);
    p.served_by.clear();
    for (const Fact& fact : event.facts) note_provider(p, b.image, fact);
  }

  void add_growth() {
    const Ledger ledger(log_);
    for (const LedgerProcess& p : ledger.processes()) {
      const auto place = by_slot_.find({p.index, p.serial});
      if (place == by_slot_.end() || ledger.lists_of(p) < 2) continue;
      const LedgerState end = ledger.at(p, UINT64_MAX);
      ProcessStats& process = stats_.processes[place->second];
      process.growth = coverage(end);
      if (!process.growth || process.growth->low_kb >= process.growth->kernel_kb) continue;
      process.unexplained_kb = listed_kb(end);
      for (const auto& [kind, kb] : listed_kb(ledger.at(p, process.growth->first_end_tick))) {
        uint64_t& grown = process.unexplained_kb[kind];
        grown = grown > kb ? grown - kb : 0;
      }
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
    return piece.has(kMapFile) ? "private pages of files" : "anonymous";
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
    std::map<std::pair<std::string, std::string>, std::pair<uint32_t, uint64_t>>
        unseen;  // first pid, how many
    for (const UnseenImage& image : unseen_images(log_)) {
      if (seen_.contains(image.pid)) continue;
      auto& [pid, count] = unseen[{image.program, image.why}];
      if (count++ == 0) pid = image.pid;
    }
    for (const auto& [image, seen] : unseen)
      list.push_back(
          fmt::format("what {} did (pid {}{}): {}", escaped(image.first), seen.first,
                      seen.second > 1 ? fmt::format(" and {} more", grouped(seen.second - 1)) : "",
                      escaped(image.second)));
    for (const std::string& sentence : spots_.sentences()) list.push_back(escaped(sentence));
    std::set<std::string_view> reasons;
    for (const ProcessStats& p : stats_.processes)
      if (p.process.slot.internals != static_cast<uint64_t>(InternalsState::kOn))
        reasons.insert(internals_text(p.process.slot.internals));
    for (const std::string_view reason : reasons)
      list.push_back(
          fmt::format("memory that libc maps for itself (malloc's heap, thread stacks) and "
                      "posix_spawn, popen, system: {}",
                      reason));
    const FileHeader& header = log_.header();
    if (header.min_size > 0 && header.calls.bytes != 0)
      list.push_back(fmt::format(
          "single malloc-family requests below {} bytes and free (OVCSHIM_MIN_SIZE): counted only",
          grouped(header.min_size)));
    if (header.calls.bytes == 0)
      list.push_back(
          "single malloc-family requests below 131,072 bytes (OVCSHIM_CALLS_SIZE=0): counted only");
    if (header.follow == 0) list.push_back("forked children and new images (OVCSHIM_FOLLOW=none)");
    if (header.follow == 1) list.push_back("new images after exec (OVCSHIM_FOLLOW=fork)");
    for (const std::string_view sentence : kAlwaysBlind) list.emplace_back(sentence);
  }

  const LogReader& log_;
  Symbols& symbols_;
  const SeenElsewhere& seen_;
  BlindSpots spots_;
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
