// SPDX-License-Identifier: MIT
#include "tools/text/json.h"

#include "shim/format/log_format.h"
#include "tools/text/output.h"

namespace ovc {

std::string json_text(const Json& value, int indent) {
  return value.dump(indent, ' ', true, Json::error_handler_t::replace);
}

Json json_figure(uint64_t value) {
  if (value == ovcshim::kUnknown) return nullptr;
  if (value == ovcshim::kInfinite) return "unlimited";
  return value;
}

}  // namespace ovc
