// SPDX-License-Identifier: MIT
#include "tools/symbols/function_name.h"

namespace ovc {

std::string without_arguments(std::string_view name) {
  constexpr std::string_view kPartsOfNames[] = {"(anonymous namespace)", "operator()"};
  int inside_template = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    bool skipped = false;
    for (const std::string_view part : kPartsOfNames)
      if (name.substr(i).starts_with(part)) i += part.size() - 1, skipped = true;
    if (skipped) continue;
    if (name[i] == '<') ++inside_template;
    if (name[i] == '>') --inside_template;
    if (name[i] == '(' && inside_template == 0 && i != 0) return std::string(name.substr(0, i));
  }
  return std::string(name);
}

}  // namespace ovc
