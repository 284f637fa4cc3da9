// SPDX-License-Identifier: MIT
#include "tools/verdict/storms.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace ovc {
namespace {

// No address is asked for, and no less than what is proven to be too much.
bool is_storm_of(const WhyScan& scan, const Verdict& proven, const Verdict& v) {
  const auto &a = proven.event.base, &b = v.event.base;
  const bool same = a.op == b.op && a.err == b.err && a.caller == b.caller &&
                    a.args[2] == b.args[2] && a.args[3] == b.args[3] && a.err == ENOMEM &&
                    !(a.args[3] & MAP_FIXED) && key_of(proven.event) == key_of(v.event);
  if (!same || proven.finding.cause == "unknown" || v.least_bytes < proven.most_bytes ||
      proven.coped != v.coped)
    return false;
  return !scan.changed(v.event, std::min(a.begin_tick, b.begin_tick),
                       std::max(proven.last_tick, v.last_tick));
}

}  // namespace

void join_storms(const WhyScan& scan, std::vector<Verdict>& verdicts) {
  for (Verdict& v : verdicts) {
    if (v.finding.cause != "unknown" || v.event.base.op != Op::kMmap) continue;
    const auto proven = std::find_if(verdicts.begin(), verdicts.end(), [&](const Verdict& other) {
      return is_storm_of(scan, other, v);
    });
    if (proven == verdicts.end()) continue;
    proven->count += std::exchange(v.count, 0);
    proven->last_tick = std::max(proven->last_tick, v.last_tick);
  }
  std::erase_if(verdicts, [](const Verdict& v) { return v.count == 0; });
}

}  // namespace ovc
