// SPDX-License-Identifier: MIT
//
// The area of the log that is never overwritten, read (shim/format/growth_format.h is its
// specification): stacks, totals by stack, and which of them brought the pages that a process has.
// Nothing here trusts a number of the file. Memory: bounded by the area's tables.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "shim/format/growth_format.h"
#include "tools/log/log_reader.h"

namespace ovc {

struct KnownStack {
  uint32_t image = 0;
  std::vector<uint64_t> frames;  // innermost first
  bool cut = false;
};

struct TotalsRow {
  uint32_t number = 0, stack = ovcshim::kNoStack, kind = 0;
  Op op = Op::kNone;
  uint64_t calls = 0, failed = 0, asked_bytes = 0, failed_bytes = 0, granted_bytes = 0,
           last_tick = 0;
};

// Of a process: its tree, by row number.
struct OwnedPages {
  std::map<uint32_t, uint64_t> kb;
  bool exact = true;  // every change found room, and nothing is damaged
};

class GrowthLog {
 public:
  explicit GrowthLog(const LogReader& log);
  bool is_there() const { return layout_.table_count != 0; }
  const ovcshim::GrowthHeader& header() const { return header_; }

  std::vector<TotalsRow> rows() const;     // exact totals, by number
  std::vector<TotalsRow> sampled() const;  // rows of samples: SAMPLES in growth_format.h
  std::optional<TotalsRow> row(uint32_t number) const;
  std::optional<KnownStack> stack(uint32_t number) const;
  std::optional<ovcshim::ProcessSpace> space(uint32_t index, uint32_t serial) const;
  OwnedPages owned(const ovcshim::ProcessSpace& space) const;

 private:
  using Seen = std::vector<bool>;
  std::vector<TotalsRow> rows_that(bool are_sampled) const;
  template <typename Struct>
  Struct copy(uint64_t offset) const;
  void add_owned(OwnedPages& found, uint32_t table, unsigned level, Seen& seen) const;
  void add_word(OwnedPages& found, uint32_t word, unsigned level, Seen& seen) const;

  const LogReader& log_;
  ovcshim::GrowthLayout layout_{};
  ovcshim::GrowthHeader header_{};
  uint64_t processes_ = 0;
};

}  // namespace ovc
