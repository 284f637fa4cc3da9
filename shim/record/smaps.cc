// SPDX-License-Identifier: MIT
//
// See smaps.h. Rules: as event_lane.cc.
#include "shim/record/smaps.h"

#include "shim/format/vm_flags.h"
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
  if (is_own_memory(start)) m.flags |= kMapOwn;
  return true;
}

// ---- VmFlags ----

constexpr uint32_t kLetters = 26;
struct FlagTable {
  uint32_t flags[kLetters * kLetters];
};

constexpr uint32_t place_of(const char* two) {
  const auto first = static_cast<uint32_t>(two[0] - 'a'),
             second = static_cast<uint32_t>(two[1] - 'a');
  return first < kLetters && second < kLetters ? first * kLetters + second : 0;
}

// By their two letters; "aa" is none.
constexpr FlagTable make_flag_table() {
  FlagTable table{};
  for (const auto& row : kVmFlagRows) table.flags[place_of(row.name)] = row.flag;
  return table;
}
constexpr FlagTable kFlagTable = make_flag_table();

uint32_t vm_flags(const char* list) {
  uint32_t flags = kMapFlagsKnown | kMapMayKnown;
  for (const char* c = list; c[0] && c[1]; c += c[2] ? 3 : 2)
    flags |= kFlagTable.flags[place_of(c)];
  return flags;
}

// ---- lines about a mapping ----

struct Attribute {
  const char* name;
  uint32_t len;
  uint32_t MappingEntry::*field;  // nullptr: VmFlags, the last line
};
constexpr Attribute kAttributes[] = {{"Rss:", 4, &MappingEntry::rss_kb},
                                     {"Anonymous:", 10, &MappingEntry::anonymous_kb},
                                     {"Swap:", 5, &MappingEntry::swap_kb},
                                     {"VmFlags: ", 9, nullptr}};
constexpr int kFlagsLine = 3;

bool begins_with(const char* line, const Attribute& a) {
  return line[0] == a.name[0] && sys::equal(line, a.name, a.len);
}

void take_figure(const char* line, const Attribute& a, MappingEntry& m) {
  const char* c = line + a.len;
  while (*c == ' ') ++c;
  uint64_t kb = 0;
  for (; *c >= '0' && *c <= '9'; ++c) kb = kb * 10 + static_cast<uint64_t>(*c - '0');
  m.*a.field = kb > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(kb);
}

// The figures before VmFlags: what is there up to it is read, and nothing behind.
bool is_in_order(const uint32_t* at) {
  for (int i = 0; i < kFlagsLine; ++i)
    if (at[i] == 0 || at[i] >= at[kFlagsLine]) return false;
  return true;
}

}  // namespace

bool is_own_memory(uint64_t start) {
  const auto log = reinterpret_cast<uint64_t>(g.header);
  return (start >= log && start < log + g.mapped_bytes) || is_private_memory(start);
}

// One more line about the mapping; true if it was VmFlags, its last. There are two dozen: the first
// letter tells most apart.
bool Smaps::parse_attribute(const char* line, MappingEntry& m) {
  static_assert(Layout::kLines == sizeof kAttributes / sizeof kAttributes[0]);
  const uint32_t at = walked_;
  walked_ += static_cast<uint32_t>(sys::length(line)) + 1;
  for (int i = 0; i < Layout::kLines; ++i) {
    if (!begins_with(line, kAttributes[i])) continue;
    layout_.at[i] = at;
    if (i != kFlagsLine) take_figure(line, kAttributes[i], m);
    else m.flags |= vm_flags(line + kAttributes[i].len);
    layout_.known = i == kFlagsLine && is_in_order(layout_.at);
    return i == kFlagsLine;
  }
  return false;
}

// False: a figure is wider than its column, or the end is near; line by line, then.
bool Smaps::take_by_layout(MappingEntry& m) {
  if (!layout_.known) return false;
  const char* text = lines_.ahead(layout_.at[kFlagsLine] + kAttributes[kFlagsLine].len);
  if (!text) return false;
  for (int i = 0; i < Layout::kLines; ++i)
    if (text[layout_.at[i] - 1] != '\n' || !begins_with(text + layout_.at[i], kAttributes[i]))
      return false;
  for (int i = 0; i < kFlagsLine; ++i) take_figure(text + layout_.at[i], kAttributes[i], m);
  lines_.skip(layout_.at[kFlagsLine] + kAttributes[kFlagsLine].len);
  if (const char* list = lines_.next()) m.flags |= vm_flags(list);
  return true;
}

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
    if (objects_) objects_->take(line);
    // without VmFlags (CONFIG_PROC_PAGE_MONITOR) the next header ends a mapping
    const bool had = open_;
    mapping = had ? ahead_ : fresh;
    if (!had && take_by_layout(mapping)) {
      ended_ = mapping.start == kVsyscall;
      return true;
    }
    ahead_ = fresh, open_ = true, walked_ = 0;
    if (had) return true;
  }
  const bool last = open_;
  mapping = ahead_;
  open_ = false;
  return last;
}

}  // namespace ovcshim
