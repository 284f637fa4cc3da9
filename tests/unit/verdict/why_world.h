// SPDX-License-Identifier: MIT
//
// A log built record by record, and the host that `ovc why` reads it on.
#pragma once
#include <sys/mman.h>
#include <time.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "tests/unit/worked_example.h"
#include "tools/verdict/why_report.h"

namespace ovc::test {

inline constexpr uint64_t kGib = 1 << 30;

struct World {
  LogBuilder builder{512};
  HostNow now;
  bool alive = true;
  std::optional<LogReader> log;

  World() {
    setenv("TZ", "UTC", 1);
    tzset();
    std::strcpy(builder.header().boot_id, "this-boot");
    std::strcpy(builder.header().kernel_release, "6.18.44");
    now.boot_id = "this-boot";
    now.alive = [this](const ovcshim::ProcessSlot&) {
      return alive ? HostNow::Alive::kYes : HostNow::Alive::kNo;
    };
    process(0, 7143, "redis-server");
  }
  ovcshim::ProcessSlot& process(uint32_t index, uint32_t pid, const char* comm) {
    ovcshim::ProcessSlot& slot = builder.process(index);
    slot.use = static_cast<uint32_t>(ovcshim::SlotUse::kLive);
    slot.serial = 1;
    slot.pid = pid;
    slot.start_tick = 1;
    slot.parent = ovcshim::kNoIndex;
    std::strcpy(slot.comm, comm);
    return slot;
  }
  uint64_t put(Event event) {
    if (event.base.pid == 100) event.base.pid = event.base.tid = 7143;
    return builder.put(event);
  }
  // A call that fails, with calls of its own inside its ticks put separately.
  uint64_t refused(Op op, uint64_t begin, uint64_t end, std::initializer_list<uint64_t> args,
                   uint16_t flags = 0, uint16_t err = ENOMEM) {
    Event event = make_event(op, begin, end);
    event.base.flags = static_cast<uint16_t>(ovcshim::kFailed | flags);
    event.base.err = err;
    event.base.result = -1;
    set_args(event, args);
    return put(event);
  }
  uint64_t granted(Op op, uint64_t begin, uint64_t end, std::initializer_list<uint64_t> args,
                   int64_t result = 0, uint16_t flags = 0) {
    Event event = make_event(op, begin, end);
    event.base.flags = flags;
    event.base.result = result;
    set_args(event, args);
    return put(event);
  }
  void snapshot(uint64_t about, uint64_t tick, std::vector<ovcshim::Fact> facts) {
    Event event = make_event(Op::kSnapshot, tick, tick);
    event.facts = std::move(facts);
    set_args(event, {about});
    put(event);
  }
  void mappings(uint64_t about, const std::vector<ovcshim::MappingEntry>& list) {
    constexpr size_t kPerRecord = 60;
    for (size_t i = 0; i < list.size(); i += kPerRecord) {
      const size_t end = std::min(list.size(), i + kPerRecord);
      Event event = make_event(Op::kMappings, 9100, 9100);
      event.mappings.assign(list.begin() + static_cast<std::ptrdiff_t>(i),
                            list.begin() + static_cast<std::ptrdiff_t>(end));
      set_args(event, {about, i, list.size(), end == list.size()});
      put(event);
    }
  }
  // The BGSAVE of the worked example; its libc clone too, as the shim sees it.
  void worked_refusal() {
    Event fork = worked_fork();
    const uint64_t position = put(fork);
    fork.base.op = Op::kClone;
    fork.base.flags |= ovcshim::kInsideLibc;
    fork.base.begin_tick += 10;
    fork.base.end_tick -= 10;
    set_args(fork, {0x1200011});
    put(fork);
    mappings(position, worked_mappings());
    snapshot(position, 9000, worked_facts());
  }
  void mode0_facts(uint64_t about) {
    snapshot(about, 9000,
             {fact(ovcshim::FactKey::kMemTotalKb, 8000000), fact(ovcshim::FactKey::kSwapTotalKb, 0),
              fact(ovcshim::FactKey::kOvercommitMemory, 0)});
  }
  WhyReport report() {
    log.emplace(builder.write());
    return why_report(*log, now);
  }
};

inline constexpr uint64_t kRw = PROT_READ | PROT_WRITE, kPrivateAnon = MAP_PRIVATE | MAP_ANONYMOUS;
inline constexpr std::initializer_list<uint64_t> kBigMmap = {
    0, 16 * kGib, kRw, kPrivateAnon, UINT64_MAX, 0};

}  // namespace ovc::test
