// SPDX-License-Identifier: MIT
//
// The damages: one record dropped, exchanged, torn or repeated in each lane, a counter that is off.
#include "tests/trust/kill/mutations.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <random>
#include <vector>

#include "shim/format/growth_format.h"
#include "shim/format/memory_format.h"
#include "shim/format/readings_format.h"
#include "tests/fixtures/settings_stay.h"
#include "tests/trust/kill/check.h"
#include "tools/log/log_reader.h"

namespace kill_test {
namespace {

using namespace ovcshim;

class Bytes {
 public:
  explicit Bytes(const std::string& path) : path_(path) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
  }
  void write(const std::string& path) const {
    std::ofstream(path, std::ios::binary)
        .write(bytes_.data(), static_cast<std::streamsize>(bytes_.size()));
  }
  template <typename T>
  T& at(uint64_t offset) {
    return *reinterpret_cast<T*>(bytes_.data() + offset);
  }
  FileHeader& header() { return at<FileHeader>(0); }
  const std::string& path() const { return path_; }
  bool operator==(const Bytes&) const = default;

 private:
  std::string path_;
  std::vector<char> bytes_;
};

using Random = std::mt19937_64;

constexpr int kMostThreads = 9;  // of a victim; each may have a call in flight that is counted

bool is_victims_call(const CallRecord& record, const Journal& journal, unsigned shift) {
  const uint64_t caller = call_caller(record.aux, shift);
  return record.word != 0 && caller >= journal.text_start && caller < journal.text_end;
}

// Whether the journal still has all that this thread did: what it has forgotten cannot be compared.
bool is_all_journalled(const Journal& journal, uint32_t pid, uint32_t tid) {
  const Actor* end = journal.actors + std::min(journal.next, kActors);
  return std::any_of(journal.actors, end, [&](const Actor& a) {
    return a.pid == pid && a.tid == tid && a.done < kRing;
  });
}

// Two neighbours in the call lane that the victim made, with a record behind them: the newest may
// be in flight.
std::vector<uint64_t> call_pairs(Bytes& log, const Journal& journal) {
  std::vector<uint64_t> found;
  const auto& area = log.header().calls;
  for (uint64_t chunk = area.offset; chunk < area.offset + area.bytes; chunk += kChunkBytes) {
    const auto& header = log.at<ChunkHeader>(chunk);
    if (header.ready != 1 || !is_all_journalled(journal, header.pid, header.tid)) continue;
    for (uint64_t at = kChunkHeaderBytes; at + 3 * kCallRecordBytes < kChunkBytes;
         at += kCallRecordBytes) {
      if (at % kTimeMarkBytes == 0 ||
          (at + 2 * kCallRecordBytes) % kTimeMarkBytes < 3 * kCallRecordBytes)
        continue;
      const auto* r = &log.at<CallRecord>(chunk + at);
      const unsigned shift = log.header().caller_shift;
      const bool plain =
          call_op(r[0].word) != Op::kReallocFrom && call_op(r[1].word) != Op::kReallocFrom;
      if (plain && is_victims_call(r[0], journal, shift) && is_victims_call(r[1], journal, shift) &&
          r[2].word != 0)
        found.push_back(chunk + at);
    }
  }
  return found;
}

// Offsets of the slots of two events of one thread, big mallocs made by the victim, the second
// directly after the first of the thread, with one before them (the oldest may be overwritten) and
// one behind.
std::vector<std::pair<uint64_t, uint64_t>> event_pairs(Bytes& log, const Journal& journal) {
  std::vector<std::pair<uint64_t, uint64_t>> found;
  struct Last {
    uint64_t at[2]{};
    int known = 0;
  };
  std::vector<std::pair<uint32_t, Last>> threads;
  const auto& area = log.header().events;
  const uint64_t slots = area.bytes / kSlotBytes, end = log.header().event_cursor;
  for (uint64_t p = end > slots ? end - slots : 0; p < end; ++p) {
    const uint64_t at = area.offset + p % slots * kSlotBytes;
    const uint64_t word = log.at<uint64_t>(at);
    if (slot_status(word) != SlotStatus::kReady || slot_position(word) != p ||
        slot_part(word) != 0 || slot_parts(word) != 1)
      continue;
    const auto& base = log.at<EventBase>(at + 8);
    const bool malloc = base.op >= Op::kMalloc && base.op <= Op::kPvalloc &&
                        !(base.flags & (kInsideLibc | kRawSyscall | kFailed));
    if (!malloc || base.caller < journal.text_start || base.caller >= journal.text_end) continue;
    if (!is_all_journalled(journal, base.pid, base.tid)) continue;
    auto thread = std::find_if(threads.begin(), threads.end(),
                               [&](const auto& t) { return t.first == base.tid; });
    if (thread == threads.end()) thread = threads.insert(threads.end(), {base.tid, {}});
    Last& last = thread->second;
    if (last.known == 3) found.emplace_back(last.at[0], last.at[1]);
    last.at[0] = last.at[1];
    last.at[1] = at;
    last.known += last.known < 3;
  }
  return found;
}

// The same of units of the memory ring: two neighbours of one thread that the victim made.
std::vector<std::pair<uint64_t, uint64_t>> memory_pairs(Bytes& log, const Journal& journal,
                                                        const std::string& path) {
  std::vector<std::pair<uint64_t, uint64_t>> found;
  std::map<uint32_t, std::vector<uint64_t>> threads;
  const auto& area = log.header().memory;
  ovc::LogReader(path).for_each_event([&](const ovc::Event& event) {
    const EventBase& b = event.base;
    const bool units = (event.position & (kVitalBit | kMemoryBit)) == kMemoryBit;
    if (!units || b.op == Op::kMremap || ovc::is_system_call(b) || b.caller < journal.text_start ||
        b.caller >= journal.text_end || !is_all_journalled(journal, b.pid, b.tid))
      return true;
    const uint64_t count = event.position & ~kMemoryBit;
    std::vector<uint64_t>& calls = threads[b.tid];
    calls.push_back(area.offset + count % (area.bytes / sizeof(MemoryUnit)) * sizeof(MemoryUnit));
    if (const size_t n = calls.size(); n >= 4) found.emplace_back(calls[n - 3], calls[n - 2]);
    return true;
  });
  return found;
}

struct Damage {
  const char* name;
  std::function<bool(Bytes&, const Journal&, Random&)>
      apply;  // false: this log has no place for it
};

template <typename Change>
auto in_calls(Change change) {
  return [change](Bytes& log, const Journal& journal, Random& random) {
    const auto pairs = call_pairs(log, journal);
    if (pairs.empty()) return false;
    auto* records = &log.at<CallRecord>(pairs[random() % pairs.size()]);
    change(records);
    return true;
  };
}

template <typename Change>
auto in_events(Change change) {
  return [change](Bytes& log, const Journal& journal, Random& random) {
    const auto pairs = event_pairs(log, journal);
    if (pairs.empty()) return false;
    const auto [first, second] = pairs[random() % pairs.size()];
    change(log.at<Slot>(first), log.at<Slot>(second));
    return true;
  };
}

template <typename Change>
auto in_memory(Change change) {
  return [change](Bytes& log, const Journal& journal, Random& random) {
    const auto pairs = memory_pairs(log, journal, log.path());
    if (pairs.empty()) return false;
    const auto [first, second] = pairs[random() % pairs.size()];
    change(log.at<MemoryUnit>(first), log.at<MemoryUnit>(second));
    return true;
  };
}

// In the totals by stack: the victim's munmaps forgotten, or a frame of their stack changed.
bool change_growth(Bytes& log, bool frame) {
  const auto& area = log.header().growth;
  const GrowthLayout l = growth_layout(area.bytes, kProcessSlots);
  bool changed = false;
  for (uint64_t i = 0; i < l.row_count; ++i) {
    auto& row = log.at<CallTotals>(area.offset + l.rows + i * sizeof(CallTotals));
    const uint32_t stack = totals_stack(row.key);
    if (totals_op(row.key) != static_cast<uint32_t>(Op::kMunmap) || row.calls < 2 ||
        stack >= l.index_words)
      continue;
    const uint64_t word = log.at<uint64_t>(area.offset + l.index + stack * 8);
    if (frame) log.at<uint64_t>(area.offset + l.arena + (stack_place(word) + 1) * 8) ^= 16;
    else row.calls = 0;
    changed = true;
  }
  return changed;
}

// A reading whose writer did not store all of it.
bool tear_reading(Bytes& log) {
  const auto& area = log.header().readings;
  for (uint64_t at = area.offset + sizeof(ReadingsHeader);
       at + sizeof(ReadingCell) <= area.offset + area.bytes; at += sizeof(ReadingCell)) {
    auto& cell = log.at<ReadingCell>(at);
    if (cell.tick > kReadingBusy) return cell.vm_size_pages = 0, true;
  }
  return false;
}

// A counter of the process that made most calls of `op`.
bool change_counter(Bytes& log, Op op, int by) {
  const auto& area = log.header().stripes;
  uint64_t* most = nullptr;
  for (uint64_t at = area.offset + kStripeBytes; at < area.offset + area.bytes;
       at += kStripeBytes) {
    uint64_t& n = log.at<Stripe>(at).calls[static_cast<size_t>(op)];
    if (n && (!most || n > *most)) most = &n;
  }
  if (most) *most += static_cast<uint64_t>(by);
  return most != nullptr;
}

bool drop_chunk(Bytes& log, const Journal&, Random& random) {
  const auto& area = log.header().calls;
  std::vector<uint64_t> full;
  for (uint64_t at = area.offset; at < area.offset + area.bytes; at += kChunkBytes)
    if (log.at<ChunkHeader>(at).ready == 1 &&
        chunk_status(log.at<uint64_t>(at)) == ChunkStatus::kClosed)
      full.push_back(at);
  if (full.empty()) return false;
  std::memset(&log.at<char>(full[random() % full.size()]), 0, kChunkBytes);
  return true;
}

// clang-format off
const std::vector<Damage>& damages() {
  static const std::vector<Damage> all = {
      {"a call is dropped", in_calls([](CallRecord* r) { r[0] = {}; })},
      {"a call is dropped, the next ones move up", in_calls([](CallRecord* r) { r[0] = r[1], r[1] = r[2], r[2] = {}; })},
      {"two calls are exchanged", in_calls([](CallRecord* r) { std::swap(r[0], r[1]); })},
      {"a call is torn: the next one's size and caller", in_calls([](CallRecord* r) { r[0].aux = r[1].aux ^ 1; })},
      {"a call is torn: another address", in_calls([](CallRecord* r) { r[0].word ^= 1 << 10; })},
      {"a call is there twice", in_calls([](CallRecord* r) { r[1] = r[0]; })},
      {"a chunk is dropped", drop_chunk},
      {"an event is dropped", in_events([](Slot& a, Slot&) { a.word = 0; })},
      {"two events are exchanged", in_events([](Slot& a, Slot& b) { std::swap(a.payload, b.payload); })},
      {"an event is torn", in_events([](Slot& a, Slot& b) { std::memcpy(a.payload + 48, b.payload + 48, 100); })},
      {"an event is there twice", in_events([](Slot& a, Slot& b) { std::memcpy(b.payload, a.payload, sizeof b.payload); })},
      {"an event has another result", in_events([](Slot& a, Slot&) { a.payload[offsetof(EventBase, result) + 1] ^= 0x10; })},
      {"a memory call is dropped", in_memory([](MemoryUnit& a, MemoryUnit&) { a.word = 0; })},
      {"two memory calls are exchanged", in_memory([](MemoryUnit& a, MemoryUnit& b) { std::swap(a.fields, b.fields); })},
      {"a memory call is torn", in_memory([](MemoryUnit& a, MemoryUnit& b) { a.fields[0] = b.fields[0], a.fields[1] ^= 4096; })},
      {"a memory call is there twice", in_memory([](MemoryUnit& a, MemoryUnit& b) { std::memcpy(b.fields, a.fields, sizeof b.fields); })},
      {"a memory call has another address", in_memory([](MemoryUnit& a, MemoryUnit&) { a.fields[0] ^= 0x10; })},
      {"a call is counted twice", [](Bytes& log, const Journal&, Random&) { return change_counter(log, Op::kAlignedAlloc, kMostThreads + 1); }},
      {"a call is not counted", [](Bytes& log, const Journal&, Random&) { return change_counter(log, Op::kAlignedAlloc, -1); }},
      {"calls by stack are forgotten", [](Bytes& log, const Journal&, Random&) { return change_growth(log, false); }},
      {"a stack has another frame", [](Bytes& log, const Journal&, Random&) { return change_growth(log, true); }},
      {"a reading is torn", [](Bytes& log, const Journal&, Random&) { return tear_reading(log); }},
      {"a fork is not counted", [](Bytes& log, const Journal&, Random&) { return change_counter(log, Op::kFork, -1); }},
      {"the overwritten ones are miscounted", [](Bytes& log, const Journal&, Random&) { return log.header().calls_overwritten += 200, true; }},
  };
  return all;
}
// clang-format on

}  // namespace

int run_mutations(const Place& place, uint64_t seed) {
  constexpr int kVictims = 200,
                kTimes = 3;  // so many at most: not each has a place for each damage
  std::vector<int> noticed(damages().size()), missed(damages().size());
  Random random(seed);
  const auto is_done = [](int n) { return n >= kTimes; };
  for (int i = 0; i < kVictims && !std::all_of(noticed.begin(), noticed.end(), is_done); ++i) {
    const Plan plan(seed + static_cast<uint64_t>(i));
    if (plan.at_start || plan.threads >= kMostThreads) continue;
    const SettingsStay here;
    const JournalFile journal(place, plan);
    run_and_kill(place, plan, *journal);
    const Verdict whole = check(place.log(), *journal);
    if (!whole.wrong.empty())
      throw std::runtime_error("before any damage, " + plan.text() + ": " + whole.wrong.front());
    if (whole.may_miss) continue;
    const Bytes sound(place.log());
    for (size_t d = 0; d < damages().size(); ++d) {
      if (noticed[d] + missed[d] == kTimes) continue;
      Bytes damaged = sound;
      if (!damages()[d].apply(damaged, *journal, random) || damaged == sound) continue;
      damaged.write(place.log());
      ++(check(place.log(), *journal).wrong.empty() ? missed : noticed)[d];
    }
  }
  int status = 0;
  for (size_t d = 0; d < damages().size(); ++d) {
    const bool good = noticed[d] == kTimes;
    std::cout << fmt::format("{}: noticed {} times, missed {} times: {}\n", good ? "ok" : "FAILED",
                             noticed[d], missed[d], damages()[d].name);
    status |= !good;
  }
  return status;
}

}  // namespace kill_test
