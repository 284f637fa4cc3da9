// SPDX-License-Identifier: MIT
//
// See image_list.h. The memory is that of the scratches, none of which is taken yet.
#include "shim/record/image_list.h"

#include "shim/record/clock.h"
#include "shim/record/smaps.h"

namespace ovcshim {
namespace {

constexpr uint64_t kRoom = sizeof Private::scratch, kMost = kRoom / sizeof(MappingEntry);

MappingEntry* room() { return reinterpret_cast<MappingEntry*>(g_private->scratch); }

}  // namespace

const MappingEntry* image_entries() { return room(); }

bool read_image(ImageList& list, ModuleTable& objects) {
  BigScratch& big = g_private->big;
  list.before = clock_pair();
  list.part = {tick_now(), 0, 0};
  ModuleCollector collector(objects);
  Smaps smaps(big.io, sizeof big.io, "/proc/thread-self/smaps", &collector);
  uint64_t count = 0;
  for (MappingEntry m; smaps.next(m); ++count)
    if (count < kMost) room()[count] = m;
  list.part.to_tick = tick_now();
  list.part.entries = count < kMost ? count : 0;
  if (count >= kMost) sys::zero(room(), kMost * sizeof(MappingEntry));
  return collector.finish();
}

void forget_image_entries(const ImageList& list) {
  sys::zero(room(), list.part.entries * sizeof(MappingEntry));
}

}  // namespace ovcshim
