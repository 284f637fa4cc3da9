// SPDX-License-Identifier: MIT
//
// Records as text, the way strace writes calls, and as JSON. Hostile bytes of the log come out
// escaped.
#pragma once
#include <string>

#include "tools/log/log_reader.h"
#include "tools/text/json_fwd.h"
#include "tools/text/output.h"

namespace ovc {

// How a call ended.
enum class Fate : uint8_t {
  kReturned,
  kNewImage,  // an exec that succeeded: the same pid started a new image
  kOpen,      // did not return before the log ends
  kNever,     // exit, _exit, abort: never returns
};

// "mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)"; for records that are no calls
// "start: /usr/bin/x".
void append_call(std::string& out, const Event& event);
// " = 0x7f0012340000", " = -1 ENOMEM", " = ? (did not return before the log ends)"; nothing for
// records that are no calls.
void append_result(std::string& out, const Event& event, Fate fate);
// "malloc(24) = 0x55d0c8a002a0"
void append_lane_call(std::string& out, const Call& call);

// The size a call asks for; 0 if it asks for none. nmemb * size, saturated.
uint64_t requested_bytes(const Event& event);
bool has_size(ovcshim::Op op);

// Arguments by name; addresses as text.
Json arguments_json(const Event& event);
Json facts_json(const std::vector<ovcshim::Fact>& facts);
std::vector<std::string> flag_names(uint16_t flags);

}  // namespace ovc
