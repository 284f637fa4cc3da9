// SPDX-License-Identifier: MIT
//
// `ovc why`: the verdict for each failed call and each suspicious end.
#pragma once
#include <string>

namespace ovc {

struct WhyOptions {
  std::string log;
  bool json = false;
};

// Prints the verdicts on stdout. 0: nothing found wrong, 1: something found.
int why(const WhyOptions& options);

}  // namespace ovc
