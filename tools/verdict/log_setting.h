// SPDX-License-Identifier: MIT
//
// The Setting of a recorded process: what the log says of its file, its allocator, its control
// groups and the children that it made before.
#pragma once
#include <map>
#include <tuple>

#include "tools/causes/causes.h"
#include "tools/symbols/symbols.h"
#include "tools/verdict/why_scan.h"

namespace ovc {

// As far as a snapshot tells: where the process ran.
Setting setting_of(const Event& snapshot);

class LogSettings {
 public:
  LogSettings(const LogReader& log, const WhyScan& scan, Symbols& symbols)
      : log_(log), scan_(scan), symbols_(symbols) {}
  Setting of(const Evidence& evidence);

 private:
  struct Children {
    uint64_t ran_program = 0, others = 0;
  };
  using Site = std::tuple<ProcessKey, uint32_t, uint64_t>;  // process, image, caller
  std::optional<bool> has_jemalloc(const Evidence& evidence);
  bool is_jemalloc_inside(const Evidence& evidence);
  std::optional<uint64_t> mode_at_start(const Evidence& evidence) const;
  uint64_t ran_programs(const Event& fork);
  void look_at_children();

  const LogReader& log_;
  const WhyScan& scan_;
  Symbols& symbols_;
  std::map<uint32_t, bool> inside_;  // by image: jemalloc is a part of the program's file
  std::map<Site, Children> children_;
  bool looked_ = false;
};

}  // namespace ovc
