// SPDX-License-Identifier: MIT
//
// Writes records into the event lane by the protocol of log_format.h. Callable anywhere, by any
// number of writers in any number of processes; never waits for anybody.
#pragma once
#include "shim/format/log_format.h"

namespace ovcshim {

struct Record {
  EventBase base;  // frames, text_len, facts, mappings in it are set by write_event
  const uint64_t* frames = nullptr;
  const char* text = nullptr;
  const Fact* fact_list = nullptr;
  const MappingEntry* mapping_list = nullptr;
  bool vital = false;  // keep it with the vitals whatever its op is
};

// Writes one record; its position, or kUnknown if it was lost (then counted). What does not fit
// kMaxParts is cut: frames last.
uint64_t write_event(const Record& record);

// Completes the intent at `position`: end_tick, flags, err, result and args are taken from `base`.
// False if the ring has passed it.
bool complete_event(uint64_t position, const EventBase& base);

}  // namespace ovcshim
