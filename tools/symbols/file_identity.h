// SPDX-License-Identifier: MIT
#pragma once
#include <compare>
#include <cstdint>

namespace ovc {

// A file as it was when it was mapped; 0 each if that was not recorded.
struct FileIdentity {
  uint64_t inode = 0;
  uint64_t changed_ns = 0;  // st_ctim
  auto operator<=>(const FileIdentity&) const = default;
};

}  // namespace ovc
