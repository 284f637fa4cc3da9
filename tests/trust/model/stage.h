// SPDX-License-Identifier: MIT
//
// The tiny log that all executions of the model check play on: one file, put back by its bytes.
#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "tests/trust/model/lane_scenarios.h"
#include "tests/unit/shim_fixture.h"
#include "tools/log/log_reader.h"

namespace model {

class Stage {
 public:
  Stage();
  struct State {
    std::vector<std::vector<unsigned char>> bytes;
    Story story;
    GrowthStory growth_story;
  };
  State state() const;
  void set(const State& state) const;
  const ovc::LogReader& reader() const { return *reader_; }

 private:
  std::vector<std::pair<unsigned char*, uint64_t>> parts() const;
  void watch_readers_mapping();
  ShimLog shim_;
  std::unique_ptr<ovc::LogReader> reader_;
};

}  // namespace model
