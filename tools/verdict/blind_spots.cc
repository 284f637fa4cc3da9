// SPDX-License-Identifier: MIT
#include "tools/verdict/blind_spots.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include "tools/log/names.h"
#include "tools/symbols/purposes.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr uint64_t kWorthTellingKb = 1024;
constexpr size_t kLengthArg = 1, kFlagsArg = 3;

// Prefixed names under which allocators are linked into programs.
constexpr std::string_view kPrefixed[] = {"je_malloc", "tc_malloc", "mi_malloc",
                                          "rpmalloc",  "dlmalloc",  "sn_malloc"};

bool maps_private_memory(const EventBase& b) {
  constexpr uint64_t kPrivateAnonymous = MAP_PRIVATE | MAP_ANONYMOUS;
  return b.op == Op::kMmap && !(b.flags & (kFailed | kIntent | kInsideLibc)) &&
         (b.args[kFlagsArg] & kPrivateAnonymous) == kPrivateAnonymous;
}

}  // namespace

void BlindSpots::note(const Event& event) {
  const EventBase& b = event.base;
  if (b.op == Op::kStart) note_start(event);
  if (!maps_private_memory(b)) return;
  const std::string module = symbols_.module_of(b.image, b.caller);
  if (module.empty() || is_plumbing(module)) return;
  Mapper& mapper = mappers_[{{b.process, b.process_serial}, module}];
  mapper.kb += b.args[kLengthArg] / 1024;
  ++mapper.calls;
  mapper.address = b.caller;
  mapper.image = b.image;
}

void BlindSpots::note_start(const Event& event) {
  const EventBase& b = event.base;
  program_[{b.process, b.process_serial}] = event.text;
  if (b.args[0] && !(b.flags & kChildSide))
    attached_[event.text] = {event.fact(FactKey::kBoundSlots).has_value(),
                             event.fact(FactKey::kBoundElsewhere).value_or(0) +
                                 event.fact(FactKey::kBoundUnwritable).value_or(0)};
  for (const Fact& fact : event.facts) {
    if (fact.key ==
        static_cast<uint32_t>(FactKey::kProviderBase) + static_cast<uint32_t>(Op::kMalloc))
      malloc_servers_.emplace(event.text, symbols_.module_of(b.image, fact.value));
    const uint32_t op = fact.key - static_cast<uint32_t>(FactKey::kFrontBase);
    if (op >= static_cast<uint32_t>(Op::kCallOps)) continue;
    const std::string module = symbols_.module_of(b.image, fact.value);
    before_us_[{event.text, module.empty() ? hex_text(fact.value) : module}].insert(
        op_name(static_cast<Op>(op)));
  }
}

std::string BlindSpots::allocator_in(const Mapper& mapper) {
  const ModuleInfo* module = symbols_.module_at(mapper.image, mapper.address);
  if (module)
    for (const std::string_view name : kPrefixed)
      if (symbols_.defines(*module, name))
        return fmt::format(", having an allocator of its own ({})", name);
  return "";
}

// An object that serves malloc is left out: its blocks are seen as they are asked for.
std::map<BlindSpots::Place, BlindSpots::Mapper> BlindSpots::by_program() const {
  std::map<Place, Mapper> sums;
  for (const auto& [who, mapper] : mappers_) {
    const auto& [process, module] = who;
    const auto program = program_.find(process);
    const Place place{program == program_.end() ? "a process" : program->second, module};
    if (malloc_servers_.contains(place)) continue;
    Mapper& sum = sums[place];
    const uint64_t kb = sum.kb + mapper.kb, calls = sum.calls + mapper.calls;
    sum = mapper;
    sum.kb = kb, sum.calls = calls;
  }
  return sums;
}

std::string BlindSpots::Attached::text(const std::string& program) const {
  if (!with_malloc)
    return fmt::format(
        "what {} did before ovc attach; after it malloc and its family, exec, "
        "waits, threads, and the programs that it starts",
        program);
  std::string list = fmt::format(
      "what {} did before ovc attach; after it exec, waits, threads, and the programs that it "
      "starts; of malloc and its family the calls of libraries loaded since, of the loader, and by "
      "pointers that were stored before",
      program);
  if (left_alone)
    list += fmt::format("; and of {} pointer{} that ovc attach left alone", grouped(left_alone),
                        left_alone == 1 ? "" : "s");
  return list;
}

std::vector<std::string> BlindSpots::sentences() {
  std::vector<std::string> list;
  for (const auto& [program, attached] : attached_) list.push_back(attached.text(program));
  for (const auto& [who, calls] : before_us_)
    list.push_back(
        fmt::format("{} of {}: {} defines them and comes before the shim in the loader's search "
                    "order; only calls it passes on are recorded",
                    fmt::join(calls, ", "), who.first, who.second));
  for (const auto& [who, mapper] : by_program())
    if (mapper.kb >= kWorthTellingKb)
      list.push_back(
          fmt::format("blocks that {} in {} hands out of the {} it mapped itself in {} call{}{}",
                      who.second, who.first, kb_text(mapper.kb), grouped(mapper.calls),
                      mapper.calls == 1 ? "" : "s", allocator_in(mapper)));
  return list;
}

}  // namespace ovc
