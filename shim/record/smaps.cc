// SPDX-License-Identifier: MIT
//
// See smaps.h. Rules: as event_lane.cc.
#include "shim/record/smaps.h"

#include "shim/proc/proc_files.h"
#include "shim/record/hots.h"

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
  const auto log = reinterpret_cast<uint64_t>(g.header);
  if ((start >= log && start < log + g.mapped_bytes) || is_private_memory(start))
    m.flags |= kMapOwn;
  return true;
}

constexpr uint16_t two_letters(const char* s) {
  return static_cast<uint16_t>(static_cast<unsigned char>(s[0]) | static_cast<unsigned char>(s[1])
                                                                      << 8);
}

uint32_t vm_flags(const char* list) {
  static constexpr struct {
    uint16_t name;
    uint32_t flag;
  } kFlags[] = {
      {two_letters("ac"), kMapAc},      {two_letters("nr"), kMapNr},
      {two_letters("dc"), kMapDc},      {two_letters("wf"), kMapWf},
      {two_letters("ht"), kMapHt},      {two_letters("gd"), kMapGd},
      {two_letters("lo"), kMapLo},      {two_letters("sl"), kMapSl},
      {two_letters("dd"), kMapDd},      {two_letters("de"), kMapDe},
      {two_letters("pf"), kMapPf},      {two_letters("mw"), kMapMayWrite},
      {two_letters("me"), kMapMayExec},
  };
  uint32_t flags = kMapFlagsKnown | kMapMayKnown;
  for (const char* c = list; c[0] && c[1]; c += c[2] ? 3 : 2) {
    const uint16_t name = two_letters(c);
    for (const auto& row : kFlags) flags |= name == row.name ? row.flag : 0;
  }
  return flags;
}

// One more line about the mapping; true if it was VmFlags, its last. There are two dozen: the first
// letter tells most apart.
bool parse_attribute(const char* line, MappingEntry& m) {
  static constexpr struct {
    const char* name;
    uint64_t len;
    uint32_t MappingEntry::*field;
  } kAttributes[] = {{"Rss:", 4, &MappingEntry::rss_kb},
                     {"Anonymous:", 10, &MappingEntry::anonymous_kb},
                     {"Swap:", 5, &MappingEntry::swap_kb}};
  if (line[0] == 'V' && sys::equal(line, "VmFlags: ", 9)) {
    m.flags |= vm_flags(line + 9);
    return true;
  }
  for (const auto& a : kAttributes) {
    if (line[0] != a.name[0] || !sys::equal(line, a.name, a.len)) continue;
    const uint64_t kb = parse_number(line + a.len);
    m.*a.field = kb > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(kb);
  }
  return false;
}

}  // namespace

// Headers begin with an address in small letters, all other lines with a capital.
bool Smaps::next(MappingEntry& mapping) {
  if (!lines_.ok() || ended_) return false;
  MappingEntry fresh;
  while (char* line = lines_.next()) {
    if (*line >= 'A' && *line <= 'Z') {
      if (!open_ || !parse_attribute(line, ahead_)) continue;
      mapping = ahead_;
      open_ = false;
      ended_ = mapping.start == kVsyscall;
      return true;
    }
    if (!parse_header(line, fresh)) continue;
    // without VmFlags (CONFIG_PROC_PAGE_MONITOR) the next header ends a mapping
    const bool had = open_;
    mapping = ahead_;
    ahead_ = fresh, open_ = true;
    if (had) return true;
  }
  const bool last = open_;
  mapping = ahead_;
  open_ = false;
  return last;
}

}  // namespace ovcshim
