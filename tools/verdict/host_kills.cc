// SPDX-License-Identifier: MIT
//
// See host_kills.h.
#include "tools/verdict/host_kills.h"

#include <fmt/format.h>

#include "tools/text/output.h"

namespace ovc {

KillWindow host_kills_around(const WhyScan& scan, uint64_t alive_tick, uint64_t dead_tick,
                             std::optional<uint64_t> now_kills) {
  KillWindow window;
  for (const auto& reading : scan.oom()) {
    if (!reading.host_kills) continue;
    if (reading.tick <= alive_tick && reading.tick >= window.from_tick) {
      window.before = reading.host_kills;
      window.from_tick = reading.tick;
    } else if (dead_tick != 0 && reading.tick >= dead_tick &&
               (window.to_tick == 0 || reading.tick < window.to_tick)) {
      window.after = reading.host_kills;
      window.to_tick = reading.tick;
    }
  }
  if (window.to_tick == 0) window.after = now_kills;
  return window;
}

std::string oom_note(const LogReader& log, const KillWindow& w) {
  const std::string to = w.to_tick ? clock_text(log.posix_ns(w.to_tick), 3) : "now";
  const std::string span =
      fmt::format("between {} and {}", clock_text(log.posix_ns(w.from_tick), 3), to);
  if (*w.after == *w.before)
    return fmt::format(
        "not the kernel's OOM killer: the host counted no OOM kill {} (/proc/vmstat oom_kill = {})",
        span, *w.before);
  return fmt::format("the host counted {} OOM kill{} {} (/proc/vmstat oom_kill {} -> {})",
                     *w.after - *w.before, *w.after - *w.before == 1 ? "" : "s", span, *w.before,
                     *w.after);
}

}  // namespace ovc
