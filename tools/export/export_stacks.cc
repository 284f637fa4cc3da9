// SPDX-License-Identifier: MIT
//
// See export_stacks.h.
#include "tools/export/export_stacks.h"

namespace ovc {

std::string_view ExportStack::caller() const {
  for (size_t i = 0; i < frames.size(); ++i)
    if (!is_plumbing(frames[i].module))
      return frames[i].function.empty() ? std::string_view(texts[i]) : frames[i].function;
  return {};
}

const ExportStack* ExportStacks::of(const Event& event) {
  if (event.base.op >= Op::kCallOps || event.frames.empty()) return nullptr;
  const auto [place, fresh] = stacks_.try_emplace({event.base.image, event.frames});
  ExportStack& stack = place->second;
  if (!fresh) return &stack;
  stack.id = stacks_.size();
  stack.frames = symbols_.stack(event.base.image, event.frames);
  for (const Frame& frame : stack.frames) stack.texts.push_back(frame.text());
  stack.cut = event.base.flags & ovcshim::kStackCut;
  return &stack;
}

}  // namespace ovc
