// SPDX-License-Identifier: MIT
#include "tools/replay/unseen_images.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "tools/log/call_families.h"
#include "tools/log/kernel_numbers.h"
#include "tools/log/names.h"
#include "tools/symbols/executable.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr uint32_t kFollowAll = 2;

struct Launch {
  UnseenImage image;
  uint64_t passes_shim_on;  // kUnknown: not read
};

class UnseenSearch {
 public:
  explicit UnseenSearch(const LogReader& log) : log_(log) {}

  std::vector<UnseenImage> run() {
    if (log_.header().follow != kFollowAll) return {};
    const auto note_launch = [this](const Event& event) { return note(event), true; };
    log_.for_each_event(note_launch, {}, [](Op op) { return is_exec(op) || is_spawn(op); });
    if (launches_.empty()) return {};
    log_.for_each_event([this](const Event& event) { return note_last(event.base), true; });
    std::vector<UnseenImage> found;
    for (Launch& launch : launches_)
      if (!was_seen(launch.image)) {
        launch.image.why = reason(launch);
        found.push_back(std::move(launch.image));
      }
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.tick < b.tick; });
    return found;
  }

 private:
  void note(const Event& event) {
    const EventBase& b = event.base;
    if (event.failed()) return;
    if (is_exec(b.op)) launches_.push_back({{b.pid, b.begin_tick, event.text, ""}, b.args[1]});
    else if (is_spawn(b.op) && event.returned() && child_pid(event))
      launches_.push_back({{child_pid(event), b.begin_tick, event.text, ""}, b.args[2]});
  }

  void note_last(const EventBase& b) {
    if (b.flags & kFailed) return;
    // An exec that comes back leaves records behind it, also when its own was overwritten while it
    // went on.
    if (b.op < Op::kCallOps || (b.op == Op::kStart && !(b.flags & kChildSide)))
      last_[b.pid] = std::max(last_[b.pid], b.begin_tick);
  }

  bool was_seen(const UnseenImage& image) const {
    const auto last = last_.find(image.pid);
    return last != last_.end() && last->second > image.tick;
  }

  std::string reason(const Launch& launch) const {
    if (launch.passes_shim_on == kUnknown)
      return "the process that started it had a seccomp filter of its own, so what it passed on "
             "was not read; the filter is kept and may refuse to open the log";
    if (!launch.passes_shim_on) return "it was started without LD_PRELOAD=libovcshim.so";
    const std::string& program = launch.image.program;
    if (!program.starts_with('/')) return "reason not known: the call gave no absolute path";
    if (log_.header().machine != static_cast<uint32_t>(kOwnMachine))
      return "reason not known: its file is on a machine of another architecture";
    const auto told = why_without_shim(program, log_.posix_ns(launch.image.tick));
    if (!told) return "reason not known: its file is gone, changed or unreadable";
    if (!told->empty()) return *told;
    return "its file gives no reason: it ended before its first instruction, has privileges that "
           "drop LD_PRELOAD, or could not open the log";
  }

  const LogReader& log_;
  std::vector<Launch> launches_;
  std::map<uint32_t, uint64_t> last_;  // when each pid's newest record began
};

}  // namespace

std::vector<UnseenImage> unseen_images(const LogReader& log) { return UnseenSearch(log).run(); }

std::vector<UnseenProgram> unseen_programs(const LogReader& log, const SeenElsewhere& seen) {
  std::map<std::pair<std::string, std::string>, UnseenProgram> programs;
  for (UnseenImage& image : unseen_images(log)) {
    if (seen.contains(image.pid)) continue;
    UnseenProgram& program = programs[{image.program, image.why}];
    if (program.count++ == 0)
      program = {std::move(image.program), std::move(image.why), image.pid, 1};
  }
  std::vector<UnseenProgram> list;
  for (auto& [key, program] : programs) list.push_back(std::move(program));
  return list;
}

std::string UnseenProgram::text() const {
  return fmt::format(
      "{} (pid {}{}) left no records: {}", program.empty() ? "a program" : escaped(program), pid,
      count > 1 ? fmt::format(" and {} more", grouped(count - 1)) : "", escaped(why));
}

}  // namespace ovc
