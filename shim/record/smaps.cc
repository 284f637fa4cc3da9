// SPDX-License-Identifier: MIT
//
// See smaps.h. Rules: as event_lane.cc.
#include "shim/record/smaps.h"

#include "shim/proc/proc_files.h"

namespace ovcshim {
namespace {

uint64_t parse_hex(const char* s, const char** rest) {
  uint64_t value = 0;
  for (;; ++s) {
    const int digit = *s >= '0' && *s <= '9'   ? *s - '0'
                      : *s >= 'a' && *s <= 'f' ? *s - 'a' + 10
                                               : -1;
    if (digit < 0) break;
    value = value << 4 | static_cast<uint64_t>(digit);
  }
  *rest = s;
  return value;
}

uint32_t kind_of(const char* name) {
  if (name[0] == '/') return kMapFile;
  if (name[0] != '[') return 0;
  if (sys::equal(name, "[heap]", 6)) return kMapHeap;
  if (sys::equal(name, "[stack]", 7)) return kMapStack;
  if (sys::equal(name, "[anon", 5)) return kMapNamedAnon;
  return kMapSpecial;
}

// "55d0c8a00000-55d0c8a21000 rw-p 00000000 00:00 0    [heap]"
bool parse_header(const char* line, MappingEntry& m) {
  const char* rest = line;
  const uint64_t start = parse_hex(line, &rest);
  if (rest == line || *rest != '-') return false;
  const char* second = rest + 1;
  const uint64_t end = parse_hex(second, &rest);
  if (rest == second || *rest != ' ' || !rest[1] || !rest[2] || !rest[3] || !rest[4]) return false;
  m = {start, end, 0, 0, 0, 0};
  m.flags = (rest[1] == 'r' ? kMapRead : 0u) | (rest[2] == 'w' ? kMapWrite : 0u) |
            (rest[3] == 'x' ? kMapExec : 0u) | (rest[4] == 's' ? kMapShared : 0u);
  rest += 5;
  for (int fields = 0; fields < 3; ++fields) {  // offset, device, inode
    while (*rest == ' ') ++rest;
    while (*rest && *rest != ' ') ++rest;
  }
  while (*rest == ' ') ++rest;
  m.flags |= kind_of(rest);
  const auto log = reinterpret_cast<uint64_t>(g.header),
             own = reinterpret_cast<uint64_t>(g_private);
  if ((start >= log && start < log + g.mapped_bytes) ||
      (start >= own && start < own + sizeof(Private)))
    m.flags |= kMapOwn;
  return true;
}

uint32_t vm_flags(const char* list) {
  static constexpr struct {
    char name[3];
    uint32_t flag;
  } kFlags[] = {
      {"ac", kMapAc}, {"nr", kMapNr},       {"dc", kMapDc},      {"wf", kMapWf}, {"ht", kMapHt},
      {"gd", kMapGd}, {"lo", kMapLo},       {"sl", kMapSl},      {"dd", kMapDd}, {"de", kMapDe},
      {"pf", kMapPf}, {"mw", kMapMayWrite}, {"me", kMapMayExec},
  };
  uint32_t flags = kMapFlagsKnown | kMapMayKnown;
  for (const char* c = list; c[0] && c[1]; c += c[2] ? 3 : 2)
    for (const auto& row : kFlags)
      if (c[0] == row.name[0] && c[1] == row.name[1]) flags |= row.flag;
  return flags;
}

struct Attribute {
  const char* name;
  uint32_t MappingEntry::*field;
};

// One more line about the mapping; true if it was VmFlags, its last.
bool parse_attribute(const char* line, MappingEntry& m) {
  static constexpr Attribute kAttributes[] = {{"Rss:", &MappingEntry::rss_kb},
                                              {"Anonymous:", &MappingEntry::anonymous_kb},
                                              {"Swap:", &MappingEntry::swap_kb}};
  if (sys::equal(line, "VmFlags: ", 9)) {
    m.flags |= vm_flags(line + 9);
    return true;
  }
  for (const Attribute& a : kAttributes) {
    const uint64_t len = sys::length(a.name);
    if (!sys::equal(line, a.name, len)) continue;
    const uint64_t kb = parse_number(line + len);
    m.*a.field = kb > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(kb);
  }
  return false;
}

}  // namespace

bool Smaps::next(MappingEntry& mapping) {
  if (!lines_.ok()) return false;
  MappingEntry fresh;
  while (char* line = lines_.next()) {
    if (parse_header(
            line,
            fresh)) {  // without VmFlags (CONFIG_PROC_PAGE_MONITOR) the next header ends a mapping
      const bool had = open_;
      mapping = ahead_;
      ahead_ = fresh, open_ = true;
      if (had) return true;
    } else if (open_ && parse_attribute(line, ahead_)) {
      mapping = ahead_;
      open_ = false;
      return true;
    }
  }
  const bool last = open_;
  mapping = ahead_;
  open_ = false;
  return last;
}

}  // namespace ovcshim
