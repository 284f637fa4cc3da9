// SPDX-License-Identifier: MIT
//
// A list that is read part by part while threads make calls, against a model: the address space is
// changed at one moment within each call, each part of the list is read at one moment, and what the
// ledger makes of it all must be what the model has in the end. OVC_LIST_SEEDS asks for more.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"
#include "tools/replay/ledger.h"

using namespace ovc;
using namespace ovc::test;
using namespace ovcshim;

namespace {

constexpr uint64_t kPage = 4096, kArena = uint64_t{1} << 32, kPlaces = 24, kPlaceBytes = 64 * kPage;
constexpr uint64_t kRead = 1, kReadWrite = 3, kPrivate = 0x22, kShared = 0x21, kFixed = 0x10,
                   kNoreserve = 0x4000, kMayMove = 1;

uint64_t random_state;
uint64_t below(uint64_t n) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (random_state >> 33) % n;
}

struct Call {
  Event event;
  uint64_t at = 0;  // when the kernel did it
};

// One thread's calls, one after the other, in an arena of its own: places that do not touch each
// other, so that what the kernel merges plays no part.
class Caller {
 public:
  Caller(uint64_t arena, uint64_t now) : arena_(arena), now_(now) {}
  uint64_t now() const { return now_; }

  Call next() {
    const uint64_t i = below(kPlaces);
    Call call;
    if (!bytes_.contains(i)) call.event = map(i, false);
    else switch (below(7)) {
        case 0: call.event = unmap(i); break;
        case 1: call.event = map(i, true); break;
        case 2: call.event = protect(i); break;
        case 3: call.event = advise(i); break;
        default: call.event = resize(i); break;
      }
    call.event.base.begin_tick = now_ += 1 + below(30);
    call.at = now_ += 1 + below(30);
    call.event.base.end_tick = now_ += 1 + below(30);
    return call;
  }

 private:
  uint64_t place(uint64_t i) const { return arena_ + i * kPlaceBytes; }
  uint64_t some_bytes() { return (1 + below(20)) * kPage; }

  Event map(uint64_t i, bool fixed) {
    Event event = make_event(Op::kMmap);
    const uint64_t kind = below(6), bytes = fixed ? bytes_[i] : some_bytes();
    set_args(event, {fixed ? place(i) : 0, bytes, kind < 2 ? kRead : kReadWrite,
                     (kind == 2 ? kShared : kPrivate) | (kind == 3 ? kNoreserve : 0) |
                         (fixed ? kFixed : 0),
                     ~uint64_t{0}, 0});
    event.base.result = static_cast<int64_t>(place(i));
    bytes_[i] = bytes;
    return event;
  }
  Event unmap(uint64_t i) {
    Event event = make_event(Op::kMunmap);
    const uint64_t left = below(bytes_[i] / kPage) * kPage;
    set_args(event, {place(i) + left, bytes_[i] - left});
    if (left) bytes_[i] = left;
    else bytes_.erase(i);
    return event;
  }
  Event protect(uint64_t i) {
    Event event = make_event(Op::kMprotect);
    set_args(event, {place(i), bytes_[i], kReadWrite});
    return event;
  }
  Event advise(uint64_t i) {
    Event event = make_event(Op::kMadvise);
    set_args(event, {place(i), bytes_[i], below(2) ? uint64_t{10} : 11});  // DONTFORK, DOFORK
    return event;
  }
  // In place, or to a place that is free.
  Event resize(uint64_t i) {
    Event event = make_event(Op::kMremap);
    const uint64_t bytes = some_bytes(), to = below(kPlaces);
    const bool moves = !bytes_.contains(to);
    set_args(event, {place(i), bytes_[i], bytes, kMayMove, 0});
    event.base.result = static_cast<int64_t>(place(moves ? to : i));
    if (moves) bytes_.erase(i);
    bytes_[moves ? to : i] = bytes;
    return event;
  }

  uint64_t arena_, now_;
  std::map<uint64_t, uint64_t> bytes_;  // by place
};

MappingEntry entry_of(const Piece& p) {
  return {p.start,
          p.end,
          p.flags | kMapFlagsKnown | (p.charged == Sure::kYes ? kMapAc : 0u) |
              (p.noreserve == Sure::kYes ? kMapNr : 0u),
          0,
          0,
          0};
}

std::vector<MappingEntry> entries_from(const AddressSpace& space, uint64_t address) {
  std::vector<MappingEntry> found;
  for (const Mapping& m : space.mappings())
    for (const Piece& p : m.pieces)
      if (p.end > address) found.push_back(entry_of(p));
  return found;
}

struct Listed {
  std::vector<Event> parts;
  bool in_order = true;
};

// What the model is now, and what of it is read when.
class World {
 public:
  explicit World(LogBuilder& log) : space(HostRules{}), log_(log) {
    log.header().host[0] = {static_cast<uint32_t>(FactKey::kOvercommitMemory), 0, 0};
    space = AddressSpace(host_rules(log.header()));
  }

  void quiet_list(uint64_t tick) { write(parts_of(tick, 1, nullptr)); }

  // Calls are made from their order, the parts of the list read in between.
  void list_among(const std::vector<Call>& calls, uint64_t from, uint64_t step) {
    size_t next = 0;
    const auto reach = [&](uint64_t tick) {
      for (; next < calls.size() && calls[next].at <= tick; ++next) space.apply(calls[next].event);
    };
    reach(from);
    Listed listed = parts_of(from, step, &reach);
    reach(UINT64_MAX);
    ordered = listed.in_order;
    write(listed);
  }

  AddressSpace space;
  bool ordered = true;

 private:
  template <typename Reach>
  Listed parts_of(uint64_t from, uint64_t step, Reach* reach) {
    Listed listed;
    uint64_t tick = from, address = 0, count = 0;
    for (bool last = false; !last;) {
      Event part = make_event(Op::kMappings, from, 0);
      const uint64_t part_from = tick;
      if constexpr (!std::is_same_v<Reach, std::nullptr_t>) (*reach)(tick += below(step));
      auto entries = entries_from(space, address);
      last = entries.size() <= 3;
      if (!last) entries.resize(3);
      tick += 1 + below(step);
      if (!entries.empty() && entries.front().start < address) listed.in_order = false;
      set_args(part, {1, count, count + entries.size(), last, part_from});
      part.base.end_tick = tick;
      part.mappings = entries;
      count += entries.size();
      if (!entries.empty()) address = entries.back().end;
      listed.parts.push_back(part);
    }
    return listed;
  }
  Listed parts_of(uint64_t from, uint64_t step, std::nullptr_t) {
    std::nullptr_t none = nullptr;
    return parts_of<std::nullptr_t>(from, step, &none);
  }
  void write(const Listed& listed) {
    for (const Event& part : listed.parts) log_.put(part);
  }

  LogBuilder& log_;
};

std::string text_of(const AddressSpace& space) {
  std::string text;
  uint64_t end = 0;
  std::string kind;
  for (const Mapping& m : space.mappings())
    for (const Piece& p : m.pieces) {
      const std::string what =
          fmt::format("{}{}{}", p.flags & (kMapRead | kMapWrite | kMapShared | kMapDc),
                      p.charged == Sure::kYes    ? " ac"
                      : p.charged == Sure::kOpen ? " ac?"
                                                 : "",
                      p.noreserve == Sure::kYes ? " nr" : "");
      if (p.start != end || what != kind) text += fmt::format(" | {:x} {} to", p.start, what);
      else text.erase(text.rfind(' '));
      text += fmt::format(" {:x}", p.end);
      end = p.end, kind = what;
    }
  return text;
}

struct Outcome {
  bool told = false, ordered = true;
  uint64_t moves = 0;
};

Outcome run(uint64_t seed, bool with_base) {
  random_state = seed * 2654435761u + 7;
  LogBuilder log(4096);
  World world(log);
  std::vector<Call> calls;
  Caller callers[] = {{kArena, 2000}, {2 * kArena, 2000}};
  Outcome outcome;
  for (Caller& caller : callers)
    while (caller.now() < 12000) calls.push_back(caller.next());
  std::sort(calls.begin(), calls.end(), [](const Call& a, const Call& b) { return a.at < b.at; });
  if (with_base) world.quiet_list(1000);
  world.list_among(calls, 4000 + below(4000), 1 + below(300));
  uint64_t seen_from = with_base ? 0 : 3000;  // the recording begins
  for (const Call& call : calls)
    if (call.event.base.begin_tick >= seen_from) log.put(call.event);
  const LogReader reader(log.write());
  const Ledger ledger(reader);
  const LedgerState state = ledger.at(ledger.processes().front(), UINT64_MAX);
  const SpaceTotals truth = world.space.totals(), found = state.space.totals();
  outcome.ordered = world.ordered;
  if (!world.ordered) return outcome;
  INFO("seed " << seed << (with_base ? ", with" : ", without") << " a list before");
  CHECK(state.base == LedgerBase::kList);
  if (std::getenv("OVC_LIST_SHOW"))
    WARN(text_of(state.space) << "\n\n" << text_of(world.space) << "\n" << state.lists_unusable);
  CHECK(found.charged.low <= truth.charged.low);
  CHECK(found.charged.high >= truth.charged.high);
  outcome.told = found.charged.exact();
  if (outcome.told) CHECK(text_of(state.space) == text_of(world.space));
  return outcome;
}

}  // namespace

TEST_CASE("a list that is read among calls shows, with them, what is there in the end") {
  const char* text = std::getenv("OVC_LIST_SEEDS");
  const uint64_t seeds = text ? strtoull(text, nullptr, 10) : 400;
  uint64_t told[2]{}, ordered[2]{};
  for (uint64_t seed = 1; seed <= seeds; ++seed)
    for (const bool with_base : {false, true}) {
      const Outcome outcome = run(seed, with_base);
      ordered[with_base] += outcome.ordered;
      told[with_base] += outcome.told;
    }
  UNSCOPED_INFO(fmt::format("without a list before: {} of {} told; with one: {} of {}", told[0],
                            ordered[0], told[1], ordered[1]));
  CHECK(told[1] == ordered[1]);
  CHECK(told[0] * 4 > ordered[0]);
  CHECK(ordered[0] * 2 > seeds);
}
