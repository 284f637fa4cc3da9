// SPDX-License-Identifier: MIT
#include "tools/replay/image_names.h"

#include <algorithm>

namespace ovc {

using namespace ovcshim;

ImageNames::ImageNames(const LogReader& log) {
  std::vector<Process> list = log.processes();
  // A forked child has its parent's image, and perhaps another name.
  std::stable_sort(list.begin(), list.end(), [](const Process& a, const Process& b) {
    return a.slot.start_tick < b.slot.start_tick;
  });
  for (const Process& p : list) names_.try_emplace(p.slot.image, p.comm());
  log.for_each_event(
      [this](const Event& event) {
        const std::string& file = event.text;
        names_.try_emplace(event.base.image, file.substr(file.rfind('/') + 1));
        return true;
      },
      {}, [](Op op) { return op == Op::kStart; });
}

const std::string& ImageNames::of(uint32_t image) const {
  static const std::string unknown = "unknown process";
  const auto found = names_.find(image);
  return found == names_.end() || found->second.empty() ? unknown : found->second;
}

}  // namespace ovc
