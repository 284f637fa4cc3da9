// SPDX-License-Identifier: MIT
//
// See mapping_origins.h.
#include "tools/replay/mapping_origins.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/text/output.h"

namespace ovc {

using namespace ovcshim;

std::string flags_text(const Piece& p) {
  std::string text = {p.has(kMapRead) ? 'r' : '-', p.has(kMapWrite) ? 'w' : '-',
                      p.has(kMapExec) ? 'x' : '-', p.has(kMapShared) ? 's' : 'p'};
  const auto add = [&](Sure value, std::string_view name) {
    if (value != Sure::kNo) text += fmt::format(" {}{}", name, value == Sure::kOpen ? "?" : "");
  };
  add(p.charged, "ac");
  add(p.noreserve, "nr");
  add(sure(p.has(kMapDc)), "dc");
  add(sure(p.has(kMapWf)), "wf");
  add(sure(p.has(kMapHt)), "ht");
  add(sure(p.has(kMapGd)), "gd");
  add(sure(p.has(kMapLo)), "lo");
  return text;
}

Bounds charge_of(const Mapping& mapping) {
  Bounds kb;
  for (const Piece& p : mapping.pieces) {
    if (p.charged == Sure::kYes) kb.low += p.kb();
    if (p.charged != Sure::kNo) kb.high += p.kb();
  }
  return kb;
}

std::string MappingOrigins::what(const Mapping& mapping, uint32_t image) const {
  const Piece& p = mapping.pieces.front();
  if (p.has(kMapOwn)) return "the shim's own";
  if (p.has(kMapHeap)) return "[heap]";
  if (p.has(kMapStack)) return "[stack]";
  if (p.has(kMapSpecial)) return "the kernel's";
  if (p.has(kMapShared) && is_shared_memory(p)) return "shared memory";  // smaps names it a file
  if (!p.has(kMapFile)) return "";
  const std::string module = symbols_.module_of(image, p.start);
  return module.empty() ? "file" : escaped(module);
}

bool MappingOrigins::is_shared_memory(const Piece& p) const {
  const auto event = p.made_by == kUnknown ? std::nullopt : log_.event_at(p.made_by);
  return !p.has(kMapFile) || (event && event->base.op == Op::kMmap &&
                              !mapping_kind(event->base.args[2], event->base.args[3]).file);
}

const Piece& MappingOrigins::main_piece(const Mapping& mapping) const {
  const auto known = [](const Piece& p) { return p.made_by == kUnknown ? 0 : p.kb(); };
  return *std::max_element(mapping.pieces.begin(), mapping.pieces.end(),
                           [&](const Piece& a, const Piece& b) { return known(a) < known(b); });
}

std::string MappingOrigins::caller_of(const Event& event) const {
  const auto frames = symbols_.stack(event.base.image, event.frames);
  for (const Frame& frame : frames)
    if (!is_plumbing(frame.module)) return frame.text();
  return frames.empty() ? "" : frames.front().text();
}

}  // namespace ovc
