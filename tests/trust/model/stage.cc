// SPDX-License-Identifier: MIT
//
// See stage.h.
#include "tests/trust/model/stage.h"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "tests/trust/model/memory_scenarios.h"
#include "tests/trust/model/readings_scenarios.h"
#include "tests/trust/model/scheduler.h"

namespace model {

using namespace ovcshim;

Stage::Stage() : shim_(64 << 10, 64 << 10) {
  FileHeader& header = *g.header;
  header.events.bytes = kSlots * kSlotBytes;
  header.calls.bytes = kChunks * kChunkBytes;
  header.clock = static_cast<uint32_t>(Clock::kMonotonicNs);
  g.use_tsc = true;  // no system call for the time
  g.events.count = kSlots;
  g.chunk_count = kChunks;
  header.event_cursor = 0;
  std::memset(static_cast<void*>(g.events.slots), 0, 48 << 10);
  shrink_growth(header);
  shrink_readings(header);
  shrink_memory(header);
  for (uint32_t i = 0; i < 3; ++i) {
    Hot& hot = g_private->hots[i];
    hot.tid = kA + i;
    hot.stripe = reinterpret_cast<Stripe*>(g.stripes + (i + 1) * kStripeBytes);
    hot.stripe->process = g_private->slot;
    hot.stripe->process_serial = g_private->serial;
    hot.stripe->fold_id = 100 + i;
  }
  reader_ = std::make_unique<ovc::LogReader>(shim_.path);
  watch(g.header, g.mapped_bytes);
  watch_readers_mapping();
}

Stage::State Stage::state() const {
  State now{{}, story, growth_story};
  for (const auto& [start, bytes] : parts()) now.bytes.emplace_back(start, start + bytes);
  return now;
}

void Stage::set(const State& state) const {
  size_t i = 0;
  for (const auto& [start, bytes] : parts()) std::memcpy(start, state.bytes[i++].data(), bytes);
  story = state.story;
  growth_story = state.growth_story;
}

std::vector<std::pair<unsigned char*, uint64_t>> Stage::parts() const {
  return {
      {reinterpret_cast<unsigned char*>(g.header), kHeaderBytes},
      {g.stripes, 8 * kStripeBytes},
      {reinterpret_cast<unsigned char*>(g.events.slots), kSlots * kSlotBytes},
      {g.chunks, kChunks * kChunkBytes},
      {reinterpret_cast<unsigned char*>(g_private->hots), 4 * sizeof(Hot)},
      {reinterpret_cast<unsigned char*>(g.growth.header), sizeof(GrowthHeader)},
      {reinterpret_cast<unsigned char*>(g.growth.spaces + g_private->slot), sizeof(ProcessSpace)},
      {reinterpret_cast<unsigned char*>(g.growth.index), 4096},
      {reinterpret_cast<unsigned char*>(g.readings.header), small_readings_bytes()},
      {reinterpret_cast<unsigned char*>(g.memory.units), small_memory_bytes()},
      {reinterpret_cast<unsigned char*>(g_private->contexts), sizeof g_private->contexts},
      {reinterpret_cast<unsigned char*>(&g_private->unit_page), sizeof g_private->unit_page},
      {reinterpret_cast<unsigned char*>(g_private->leaves), sizeof g_private->leaves}};
}

void Stage::watch_readers_mapping() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uint64_t from = 0, to = 0;
    if (line.find(shim_.path) == std::string::npos ||
        std::sscanf(line.c_str(), "%lx-%lx", &from, &to) != 2)
      continue;
    if (from != reinterpret_cast<uint64_t>(g.header))
      watch(reinterpret_cast<void*>(from), to - from);
  }
}

}  // namespace model
