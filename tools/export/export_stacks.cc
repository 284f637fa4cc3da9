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
  return of(event.base.image, event.frames, event.base.flags & ovcshim::kStackCut);
}

const ExportStack* ExportStacks::of(const KnownStack& stack) {
  return of(stack.image, stack.frames, stack.cut);
}

const ExportStack* ExportStacks::of(uint32_t image, const std::vector<uint64_t>& addresses,
                                    bool cut) {
  const auto [place, fresh] = stacks_.try_emplace({image, addresses});
  ExportStack& stack = place->second;
  if (!fresh) return &stack;
  stack.id = stacks_.size();
  stack.frames = symbols_.stack(image, addresses);
  for (const Frame& frame : stack.frames) stack.texts.push_back(frame.text());
  stack.cut = cut;
  return &stack;
}

}  // namespace ovc
