// SPDX-License-Identifier: MIT
//
// See export_mapping.h.
#include "tools/export/export_mapping.h"

#include "tools/causes/finding_json.h"
#include "tools/text/json.h"

namespace ovc {

using namespace ovcshim;

std::string permissions_text(const MappingEntry& mapping) {
  const auto mark = [&](MappingFlag flag, char set, char clear) {
    return mapping.flags & flag ? set : clear;
  };
  return {mark(kMapRead, 'r', '-'), mark(kMapWrite, 'w', '-'), mark(kMapExec, 'x', '-'),
          mark(kMapShared, 's', 'p')};
}

std::optional<bool> listed_flag(const MappingEntry& mapping, MappingFlag flag) {
  return mapping.flags & kMapFlagsKnown ? std::optional((mapping.flags & flag) != 0) : std::nullopt;
}

Json listed_json(const MappingEntry& mapping) {
  Json json = mapping_json(mapping);
  json["permissions"] = permissions_text(mapping);
  json["accounted"] = or_null(listed_flag(mapping, kMapAc));
  json["noreserve"] = or_null(listed_flag(mapping, kMapNr));
  json["dontfork"] = or_null(listed_flag(mapping, kMapDc));
  json["rss_kb"] = mapping.rss_kb;
  json["swap_kb"] = mapping.swap_kb;
  return json;
}

}  // namespace ovc
