// SPDX-License-Identifier: MIT
//
// See openmetrics.h.
#include "tools/text/openmetrics.h"

#include <fmt/format.h>

#include "tools/text/output.h"

namespace ovc {

void append_metric_head(std::string& out, std::string_view name, std::string_view unit,
                        std::string_view help) {
  out += fmt::format("# TYPE {} gauge\n", name);
  if (!unit.empty()) out += fmt::format("# UNIT {} {}\n", name, unit);
  out += fmt::format("# HELP {} {}\n", name, help);
}

void append_metric_sample(std::string& out, std::string_view name, std::string_view labels,
                          double value) {
  out += fmt::format("{}{} {}\n", name, labels, value);
}

std::string metric_label(std::string_view raw) {
  std::string text;
  for (const char c : escaped(raw)) {
    if (c == '\\' || c == '"') text += '\\';
    text += c;
  }
  return text;
}

}  // namespace ovc
