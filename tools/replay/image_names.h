// SPDX-License-Identifier: MIT
//
// Which program an image is: stacks are kept by image, not by process.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "tools/log/log_reader.h"

namespace ovc {

class ImageNames {
 public:
  explicit ImageNames(const LogReader& log);
  // As in comm, raw; of an image that was replaced by exec the name of its file.
  const std::string& of(uint32_t image) const;

 private:
  std::map<uint32_t, std::string> names_;
};

}  // namespace ovc
