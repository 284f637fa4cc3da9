// SPDX-License-Identifier: MIT
//
// `ovc report`: what a log tells, as one HTML page that opens without a network.
#pragma once
#include <string>

namespace ovc {

struct ReportOptions {
  std::string log;
  std::string page;  // a file; empty or "-": standard output
};

// 0: nothing found wrong, 1: something found, as `ovc why`.
int report(const ReportOptions& options);

}  // namespace ovc
