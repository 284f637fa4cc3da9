// SPDX-License-Identifier: MIT
//
// The one exception of ovc.
#pragma once
#include <stdexcept>

namespace ovc {

// "Cannot do the work": printed as `ovc: <what>` by main, exit status 2.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace ovc
