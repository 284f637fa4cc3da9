// SPDX-License-Identifier: MIT
//
// One record of the event lane from the input's bytes, as text and as JSON, without a system call:
// the log stays mapped, as a live one would, and the record is written into it beneath the reader.
//   input: op, form, then the payload from behind EventBase::op on
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/checks.h"
#include "tests/unit/log_builder.h"
#include "tools/log/call_text.h"
#include "tools/log/names.h"
#include "tools/rules/commit_rules.h"
#include "tools/symbols/symbols.h"
#include "tools/text/json.h"

namespace {

using namespace ovc;
using namespace ovcshim;

constexpr size_t kHeadBytes = 2, kPayloadRoom = kMaxParts * kSlotPayloadBytes;
constexpr size_t kBehindOp = offsetof(EventBase, flags);
enum Form : uint8_t { kKeepCounts = 1, kForeignProcess = 2, kForeignImage = 4, kUpdating = 8 };

// A log with one module, mapped for writing, and its reader.
struct Live {
  Live() : builder(64, 1, 8) {
    builder.put_vital(test::make_module(1, 0x400000, 0x500000, 0x400000, "0123456789abcdefghij",
                                        "/nowhere/pro\x1bgram"));
    builder.process(0).use = static_cast<uint32_t>(SlotUse::kLive);
    builder.process(0).pid = 100;
    builder.process(0).serial = 1;
    builder.header().event_cursor = kMaxParts;
    file.set(builder.bytes());
    void* start =
        mmap(nullptr, builder.bytes().size(), PROT_READ | PROT_WRITE, MAP_SHARED, file.fd(), 0);
    if (start == MAP_FAILED) abort();
    slots = reinterpret_cast<Slot*>(static_cast<unsigned char*>(start) +
                                    builder.header().events.offset);
    log.emplace(file.path());
    symbols.emplace(*log);
    rules = host_rules(log->header());
  }
  test::LogBuilder builder;
  fuzz::MemoryFile file;
  Slot* slots = nullptr;
  std::optional<LogReader> log;
  std::optional<Symbols> symbols;
  HostRules rules;
};

Live& live() {
  static Live the_log;
  return the_log;
}

// Counts that fit what is there, unless the input wants its own.
void fit_counts(EventBase& base, size_t rest) {
  const auto take = [&rest](auto& count, size_t unit) {
    count =
        static_cast<std::remove_reference_t<decltype(count)>>(std::min<size_t>(count, rest / unit));
    rest -= count * unit;
  };
  take(base.frames, sizeof(uint64_t));
  take(base.facts, sizeof(Fact));
  take(base.mappings, sizeof(MappingEntry));
  take(base.text_len, 1);
}

// The record's parts in the first slots of the ring. Returns their number.
unsigned write_record(const uint8_t* data, size_t size) {
  static unsigned char payload[kPayloadRoom];
  const uint8_t form = data[1];
  const size_t given = std::min(size - kHeadBytes, kPayloadRoom - kBehindOp);
  std::memset(payload, 0, std::max(sizeof(EventBase), kBehindOp + given));
  std::memcpy(payload + kBehindOp, data + kHeadBytes, given);
  EventBase base;
  std::memcpy(&base, payload, sizeof base);
  base.op = static_cast<Op>(data[0]);
  base.pid = base.tid = 100;
  if (!(form & kKeepCounts)) fit_counts(base, given - std::min(given, sizeof base - kBehindOp));
  if (!(form & kForeignProcess)) base.process = 0, base.process_serial = 1;
  if (!(form & kForeignImage)) base.image = 1;
  std::memcpy(payload, &base, sizeof base);
  const size_t bytes = std::max(sizeof base, kBehindOp + given);
  const auto parts = static_cast<unsigned>((bytes + kSlotPayloadBytes - 1) / kSlotPayloadBytes);
  for (unsigned i = 0; i < parts; ++i) {
    Slot& slot = live().slots[i];
    const SlotStatus status =
        i == 0 && (form & kUpdating) ? SlotStatus::kUpdate : SlotStatus::kReady;
    slot.word = slot_word(status, i, parts, i);
    const size_t from = i * kSlotPayloadBytes;
    std::memcpy(slot.payload, payload + from, std::min(kSlotPayloadBytes, kPayloadRoom - from));
  }
  return parts;
}

void print_text(const Event& event) {
  Live& l = live();
  std::string text;
  append_call(text, event);
  append_result(text, event,
                event.returned() ? Fate::kReturned : static_cast<Fate>(1 + event.base.result % 3U));
  for (const Frame& frame : l.symbols->stack(event.base.image, event.frames))
    append_escaped(text, frame.text());
  for (const auto& mapping : event.mappings) fork_charge_kb(mapping, l.rules);
  if (const auto charge = charge_kb(event, l.rules)) text += kb_text(*charge);
  append_duration(
      text, l.log->ticks_to_ns(static_cast<int64_t>(event.base.end_tick - event.base.begin_tick)));
  append_clock(text, l.log->posix_ns(event.base.begin_tick));
  text += date_text(l.log->posix_ns(event.base.end_tick));
  fuzz::check_text(text);
  if (text.find('\n') != text.npos) abort();
}

void print_json(const Event& event) {
  Json object{{"op", op_name(event.base.op)},
              {"args", arguments_json(event)},
              {"facts", facts_json(event.facts)}};
  object["flags"] = flag_names(event.base.flags);
  object["exe"] = event.text;
  object["time"] = iso_text(live().log->posix_ns(event.base.begin_tick));
  object["bytes"] = json_figure(requested_bytes(event));
  object["child"] = child_pid(event);
  const std::string text = json_text(object);
  fuzz::check_text(text);
  fuzz::check_json(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kHeadBytes) return -1;
  write_record(data, size);
  const auto event = live().log->event_at(0);
  if (!event) return 0;
  data[1] & 0x80 ? print_json(*event) : print_text(*event);
  return 0;
}
