// SPDX-License-Identifier: MIT
//
// See smaps.h.
#include "tools/host/smaps.h"

#include <algorithm>
#include <charconv>

#include "shim/format/vm_flags.h"
#include "tools/host/proc_files.h"

namespace ovc {
namespace {

using ovcshim::MappingEntry;

struct Flag {
  std::string_view name;
  uint32_t flag;
};
constexpr Flag kNames[] = {
    {"/", ovcshim::kMapFile},       {"[heap]", ovcshim::kMapHeap},
    {"[stack", ovcshim::kMapStack}, {"[anon", ovcshim::kMapNamedAnon},
    {"[", ovcshim::kMapSpecial},
};
struct Size {
  std::string_view name;
  uint32_t MappingEntry::*field;
};
constexpr Size kSizes[] = {{"Rss:", &MappingEntry::rss_kb},
                           {"Anonymous:", &MappingEntry::anonymous_kb},
                           {"Swap:", &MappingEntry::swap_kb}};

// Takes a number in base 16 and the character after it.
bool take_hex(std::string_view& text, uint64_t& value, char after) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (code != std::errc{} || text.empty() || text.front() != after) return false;
  text.remove_prefix(1);
  return true;
}

uint32_t permissions(std::string_view text) {
  return (text[0] == 'r' ? ovcshim::kMapRead : 0u) | (text[1] == 'w' ? ovcshim::kMapWrite : 0u) |
         (text[2] == 'x' ? ovcshim::kMapExec : 0u) | (text[3] == 's' ? ovcshim::kMapShared : 0u);
}

uint32_t flag_of_name(std::string_view name) {
  for (const Flag& row : kNames)
    if (name.starts_with(row.name)) return row.flag;
  return 0;
}

// "start-end rwxp offset dev inode      name"
bool parse_header(std::string_view line, MappingEntry& mapping, std::string& name) {
  MappingEntry fresh{};
  if (!take_hex(line, fresh.start, '-') || !take_hex(line, fresh.end, ' ') ||
      fresh.end < fresh.start || line.size() < 5 || line[4] != ' ')
    return false;
  fresh.flags = permissions(line);
  for (int field = 0; field < 4 && !line.empty(); ++field) {  // permissions, offset, device, inode
    const size_t blank = line.find(' ');
    line.remove_prefix(blank == line.npos ? line.size() : blank + 1);
  }
  const size_t start = line.find_first_not_of(' ');
  name = start == line.npos ? "" : line.substr(start);
  fresh.flags |= flag_of_name(name);
  mapping = fresh;
  return true;
}

void parse_attribute(std::string_view line, MappingEntry& mapping) {
  if (line.starts_with("VmFlags:")) {
    mapping.flags |= ovcshim::kMapFlagsKnown | ovcshim::kMapMayKnown;
    line.remove_prefix(8);
    for (const auto& row : ovcshim::kVmFlagRows)
      for (size_t at = line.find(row.name); at != line.npos; at = line.find(row.name, at + 1))
        if (at > 0 && line[at - 1] == ' ' && (at + 2 == line.size() || line[at + 2] == ' '))
          mapping.flags |= row.flag;
    return;
  }
  for (const Size& row : kSizes)
    if (line.starts_with(row.name))
      mapping.*row.field = static_cast<uint32_t>(
          std::min<uint64_t>(first_number(line.substr(row.name.size())).value_or(0), UINT32_MAX));
}

uint64_t size_kb(const MappingEntry& mapping) { return (mapping.end - mapping.start) / 1024; }

bool is_outside_mm(std::string_view name) {
  return name == "[vsyscall]";
}  // shown by the kernel, part of no process
bool never_accountable(std::string_view name) {
  return is_outside_mm(name) || name.starts_with("[vvar");
}

}  // namespace

void MappingParser::line(std::string_view line) {
  MappingEntry fresh;
  std::string name;
  if (!parse_header(line, fresh, name)) {
    if (open_) parse_attribute(line, mapping_);
    return;
  }
  end();
  mapping_ = fresh;
  name_ = std::move(name);
  open_ = true;
}

void MappingParser::end() {
  if (open_ && !is_outside_mm(name_)) each_(mapping_, name_);
  open_ = false;
}

int for_each_mapping(const std::string& path, const EachMapping& each) {
  MappingParser parser(each);
  const int error = for_each_line(path, [&](std::string_view line) { parser.line(line); });
  parser.end();
  return error;
}

void MappingSums::add(const MappingEntry& mapping, std::string_view name) {
  using namespace ovcshim;
  const uint64_t kb = size_kb(mapping);
  const auto has = [&](uint32_t flags) { return (mapping.flags & flags) == flags; };
  const bool anonymous = !(mapping.flags & (kMapFile | kMapSpecial | kMapShared));
  ++mappings;
  if (has(kMapHt)) huge_kb += kb;
  if (has(kMapShared | kMapWrite)) shared_kb += kb;
  if (has(kMapAc | kMapDc)) dont_copy_kb += kb;
  if (has(kMapNr | kMapWrite) && !has(kMapShared) && !has(kMapHt)) noreserve_kb += kb;
  // Droppable memory (since 6.11) is nr in every mode; it is the only kind that is always wf and dd
  // as well.
  if (has(kMapNr | kMapWrite) && anonymous && !has(kMapHt) && !has(kMapWf | kMapDd))
    chosen_noreserve_kb += kb;
  if (has(kMapAc | kMapWrite) && !has(kMapDc) && anonymous &&
      !(mapping.flags & (kMapHeap | kMapStack)))
    could_be_noreserve_kb += kb;
  if (!has(kMapShared) && !has(kMapDc))
    anonymous_kb += mapping.anonymous_kb, swapped_kb += mapping.swap_kb;
  if (mapping.flags & (kMapHeap | kMapStack)) heap_and_stack_kb += kb;
  if (!has(kMapShared) && !never_accountable(name)) {
    private_kb += kb;
    biggest_private_kb = std::max(biggest_private_kb, kb);
  }
  if (has(kMapShared | kMapWrite) && name.ends_with(".ovc")) log = name;
  const size_t slash = name.rfind('/');
  if (slash != name.npos && name.substr(slash + 1).starts_with("libjemalloc")) jemalloc = true;
}

}  // namespace ovc
