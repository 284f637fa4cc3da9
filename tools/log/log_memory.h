// SPDX-License-Identifier: MIT
//
// The memory ring as LogReader sees it (shim/format/memory_format.h is its specification): granted
// calls of the mmap family, made into the events that they are. Their stacks come from the totals
// by stack, each row looked up once.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "shim/format/memory_format.h"
#include "tools/log/log_growth.h"
#include "tools/log/log_reader.h"

namespace ovc {

class MemoryRecords {
 public:
  explicit MemoryRecords(const LogReader& log);

  // Claims, without the mark. From `start` on a call's context is still there.
  uint64_t start() const;
  uint64_t end() const;
  // The first claim from `count` on whose unit can have been written.
  uint64_t next_written(uint64_t count) const;

  // What begins at a claim.
  enum class Kind : uint8_t { kNothing, kUnready, kPassed, kCall, kContext };
  struct Found {
    Kind kind = Kind::kNothing;
    unsigned units = 1;
  };
  Found find(uint64_t count) const;
  // Of a call of so many units: reads it; false if it is not valid. `event` is written over.
  bool read(uint64_t count, unsigned units, Event& event) const;
  // The op of a call; kNone if its row is not.
  Op op_at(uint64_t count) const;
  uint64_t torn() const;  // units left half written

 private:
  struct Row {
    Op op = Op::kNone;
    KnownStack stack;
  };
  struct Context {
    uint64_t count = ovcshim::kUnknown;
    ovcshim::EventBase base{};
    uint64_t reading_tick = 0;
  };
  struct Place {
    uint64_t index, lap;
  };
  Place place(uint64_t count) const;
  const ovcshim::MemoryUnit* unit(uint64_t index) const;
  bool copy(uint64_t count, ovcshim::UnitState state, unsigned parts,
            ovcshim::MemoryUnit* to) const;
  const Row* row(uint32_t number) const;
  const Context* context(uint64_t count) const;
  void set_age(ovcshim::EventBase& base, uint64_t reading_tick) const;

  const LogReader& log_;
  GrowthLog growth_;
  uint64_t units_;
  mutable uint64_t lap_ = 0, lap_start_ = 0;      // of the place asked for last
  mutable std::vector<std::optional<Row>> rows_;  // those met so far
  mutable std::vector<Context> contexts_;         // those met lately, by place
};

}  // namespace ovc
