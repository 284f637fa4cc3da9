// SPDX-License-Identifier: MIT
//
// See cgroups.h.
#include "shim/proc/cgroups.h"

#include "shim/proc/group_files.h"
#include "shim/proc/group_place.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constexpr int kMostLevels = 8;

class TextLine {
 public:
  explicit TextLine(GroupText* to) : to_(to), at_(to ? to->length : 0) {}
  void word(const char* s) {
    while (*s) put(*s++);
    put(' ');
  }
  void number(uint64_t value) {
    if (value == kUnknown) return word("-");
    if (value == kInfinite) return word("max");
    char digits[24];
    int n = 0;
    do digits[n++] = static_cast<char>('0' + value % 10);
    while (value /= 10);
    while (n) put(digits[--n]);
    put(' ');
  }
  void end() {
    if (!to_ || at_ == to_->length) return;
    --at_;  // the last blank
    put('\n');
    if (!full_) to_->length = at_;
  }

 private:
  void put(char c) {
    if (!to_ || at_ + 1 >= to_->room) full_ = true;
    else to_->text[at_++] = c;
  }
  GroupText* to_;
  uint64_t at_;
  bool full_ = false;
};

struct Level {
  const Controller* controller;
  Files files;
  unsigned version;
};

}  // namespace

int read_group_file(GroupPlace& place, const CgroupFile* files, int count, uint64_t* values) {
  const char* lines[kMostGroupLines];
  const uint64_t name = sys::length(files[0].name) + 1;
  int n = 0;
  for (; n < count && n < kMostGroupLines && sys::equal(files[n].name, files[0].name, name); ++n)
    lines[n] = files[n].line;
  place.figures(files[0].name, lines, values, n);
  return n;
}

namespace {

// One group in the text; its facts if it is the process's own.
void add_group(Facts& facts, GroupPlace& place, const Level& level, int number, bool own,
               GroupText* text, bool with_path) {
  TextLine line(text);
  line.word(level.controller->name);
  line.number(level.version);
  line.number(static_cast<uint64_t>(number));
  for (int i = 0, n; i < level.files.count; i += n) {
    const CgroupFile* const files = level.files.list + i;
    uint64_t values[kMostGroupLines];
    n = read_group_file(place, files, level.files.count - i, values);
    for (int k = 0; k < n; ++k) {
      if (own) facts.add(files[k].key, values[k]);
      if (files[k].in_text) line.number(values[k]);
    }
  }
  if (with_path) line.word(place.path());
  line.end();
}

// The nearest group that has the controller's files is the one that is charged: in version 2 a
// group need not have every controller. True: it is the process's own folder.
bool add_groups(Facts& facts, GroupPlace& place, const Level& level, GroupText* text) {
  bool own_found = false;
  facts.add(level.controller->id, place.inode());
  for (int number = 0; number < kMostLevels; ++number) {
    const bool has = place.has(level.files.list[0].name);
    const bool own = has && !own_found;
    if (own) {
      facts.add(level.controller->group, 1);
      facts.add(level.controller->version, level.version);
    }
    own_found |= own;
    if (own || (text && own_found)) add_group(facts, place, level, number, own, text, own);
    if (own_found && !text) return number == 0;
    if (place.is_top()) {
      const bool root = place.is_root(level.version);
      if (root && !own_found) facts.add(level.controller->group, 2);
      if (root && text) facts.add(level.controller->seen, 1);
      return false;
    }
    place.up();
  }
  return false;
}

constexpr uint64_t kLeastIo = 2048, kOwnGroups = 1024;
static_assert(kLeastIo + GroupPlace::kMemory + kOwnGroups <= kGroupsIo);

void add_controller(Facts& facts, const Controller& controller, char* io, uint64_t room,
                    GroupText* text, const GroupFiles& files, const char* own_groups = nullptr,
                    GroupMemo::Place* memo = nullptr) {
  if (room < kLeastIo + GroupPlace::kMemory) return;
  room -= GroupPlace::kMemory;
  GroupPlace place(files, io + room, own_groups);
  if (!place.find(controller.name, io, room)) return;
  const unsigned version = place.version();
  if (place.is_initial_root()) {  // there is nothing above, and nothing to look at
    facts.add(controller.group, 2);
    facts.add(controller.seen, 1);
    facts.add(controller.version, version);
    if (memo) place.note(*memo);
    return;
  }
  if (!place.is_found()) return;
  if (memo) place.note(*memo);
  const Files& list = version == 1 ? controller.version1 : controller.version2;
  const bool own_folder = add_groups(facts, place, {&controller, list, version}, text);
  if (memo && !own_folder) memo->version = 0;
}

// Files of the huge pages of one size, "/hugetlb.2MB.rsvd.max" (mm/hugetlb_cgroup.c mem_fmt()).
// Reservations are charged to the group before the pool is asked (mm/hugetlb.c
// hugetlb_reserve_pages()); files of reservations came with Linux 5.7.
class HugeNames {
 public:
  explicit HugeNames(uint64_t kb) {
    const bool gb = kb >= 1 << 20, mb = kb >= 1 << 10;
    const uint64_t number = gb ? kb >> 20 : mb ? kb >> 10 : kb;
    const char* unit = gb ? "GB" : mb ? "MB" : "KB";
    put(limit1, number, unit, ".rsvd.limit_in_bytes");
    put(usage1, number, unit, ".rsvd.usage_in_bytes");
    put(limit2, number, unit, ".rsvd.max");
    put(usage2, number, unit, ".rsvd.current");
  }
  char limit1[64], usage1[64], limit2[64], usage2[64];

 private:
  static void put(char* to, uint64_t number, const char* unit, const char* end) {
    char digits[24];
    int n = 0;
    do digits[n++] = static_cast<char>('0' + number % 10);
    while (number /= 10);
    to = add(to, "/hugetlb.");
    while (n) *to++ = digits[--n];
    add(add(to, unit), end);
  }
  static char* add(char* to, const char* s) {
    while (*s) *to++ = *s++;
    *to = '\0';
    return to;
  }
};

}  // namespace

const char* read_own_groups(char* io, uint64_t& room, const GroupFiles& files) {
  if (room < kLeastIo + GroupPlace::kMemory + kOwnGroups) return nullptr;
  room -= kOwnGroups;
  const long bytes = read_file(files.cgroup, io + room, kOwnGroups);
  return bytes > 0 && bytes < static_cast<long>(kOwnGroups) - 1 ? io + room : nullptr;
}

void add_each_group(Facts& facts, char* io, uint64_t room, GroupText* text, const GroupFiles& files,
                    const char* own_groups, GroupMemo* memo) {
  for (const Controller& controller : kControllers)
    add_controller(facts, controller, io, room, text, files, own_groups,
                   memo ? &(memo->*controller.memo) : nullptr);
}

void add_cgroups(Facts& facts, char* io, uint64_t room, GroupText* text, const GroupFiles& files) {
  const char* own_groups = read_own_groups(io, room, files);
  add_each_group(facts, io, room, text, files, own_groups, nullptr);
}

void add_huge_group(Facts& facts, uint64_t size_kb, char* io, uint64_t room, GroupText* text,
                    const GroupFiles& files) {
  const HugeNames names(size_kb);
  const CgroupFile version1[] = {
      {names.limit1, nullptr, FactKey::kHugeGroupMax, true, false},
      {names.usage1, nullptr, FactKey::kHugeGroupUsage, true, false},
  };
  const CgroupFile version2[] = {
      {names.limit2, nullptr, FactKey::kHugeGroupMax, true, false},
      {names.usage2, nullptr, FactKey::kHugeGroupUsage, true, false},
  };
  const Controller controller{"hugetlb",
                              files_of(version1),
                              files_of(version2),
                              FactKey::kHugeGroup,
                              FactKey::kHugeGroupsSeen,
                              FactKey::kHugeGroupVersion,
                              FactKey::kHugeGroupId,
                              nullptr};
  add_controller(facts, controller, io, room, text, files);
}

}  // namespace ovcshim
