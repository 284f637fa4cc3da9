// SPDX-License-Identifier: MIT
#include "tools/host/process_age.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace ovc {

double process_age(unsigned long start_ticks) {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double seconds = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  const auto per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  return std::max(0.0, seconds - static_cast<double>(start_ticks) / per_second);
}

}  // namespace ovc
