// SPDX-License-Identifier: MIT
//
// See cgroups.h. The two versions differ in names only: a table each.
#include "shim/proc/cgroups.h"

#include "shim/proc/group_place.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

struct CgroupFile {
  const char* name;  // below the cgroup's directory
  const char* line;  // nullptr: the file is one number
  FactKey key;
  bool in_text;  // has a column in GroupText, in this order
};

// Documentation/admin-guide/cgroup-v1/memory.rst and pids.rst. The first file is the limit.
constexpr CgroupFile kMemoryV1[] = {
    {"/memory.limit_in_bytes", nullptr, FactKey::kMemcgLimit, true},
    {"/memory.usage_in_bytes", nullptr, FactKey::kMemcgUsage, true},
    {"/memory.failcnt", nullptr, FactKey::kMemcgFailcnt, true},
    {"/memory.oom_control", "oom_kill ", FactKey::kMemcgOomKill, true},
    {"/memory.oom_control", "oom_kill_disable ", FactKey::kMemcgOomKillDisable, false},
};
constexpr CgroupFile kPids[] = {
    {"/pids.max", nullptr, FactKey::kPidsMax, true},
    {"/pids.current", nullptr, FactKey::kPidsCurrent, true},
    {"/pids.events", "max ", FactKey::kPidsEventsMax, true},
};
// Documentation/admin-guide/cgroup-v2.rst
constexpr CgroupFile kMemoryV2[] = {
    {"/memory.max", nullptr, FactKey::kMemcgLimit, true},
    {"/memory.current", nullptr, FactKey::kMemcgUsage, true},
    {"/memory.events", "max ", FactKey::kMemcgFailcnt, true},
    {"/memory.events", "oom ", FactKey::kMemcgOom, false},
    {"/memory.events", "oom_kill ", FactKey::kMemcgOomKill, true},
};

struct Files {
  const CgroupFile* list;
  int count;
};
template <int N>
constexpr Files files_of(const CgroupFile (&list)[N]) {
  return {list, N};
}

// What a controller's facts are called.
struct Controller {
  const char* name;
  Files version1, version2;
  FactKey group, seen, version, id;
};
constexpr Controller kControllers[] = {
    {"memory", files_of(kMemoryV1), files_of(kMemoryV2), FactKey::kMemcgGroup,
     FactKey::kMemcgGroupsSeen, FactKey::kMemcgVersion, FactKey::kMemcgGroupId},
    {"pids", files_of(kPids), files_of(kPids), FactKey::kPidsGroup, FactKey::kPidsGroupsSeen,
     FactKey::kPidsVersion, FactKey::kPidsGroupId},
};

constexpr int kMostLevels = 8;

// The group's files, one after the other; rows of one file stand together and are one reading.
class Figures {
 public:
  explicit Figures(GroupPlace& place) : place_(place) {}
  uint64_t of(const CgroupFile& file) {
    if (!name_ || !same_name(name_, file.name)) {
      name_ = file.name;
      read_ = place_.read(file.name, text_, sizeof text_);
    }
    if (!read_) return kUnknown;
    return file.line ? find_value(text_, file.line) : parse_number(text_);
  }

 private:
  static bool same_name(const char* a, const char* b) {
    return sys::length(a) == sys::length(b) && sys::equal(a, b, sys::length(a));
  }
  GroupPlace& place_;
  const char* name_ = nullptr;
  bool read_ = false;
  char text_[512];
};

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

// One group in the text; its facts if it is the process's own.
void add_group(Facts& facts, GroupPlace& place, const Level& level, int number, bool own,
               GroupText* text, bool with_path) {
  TextLine line(text);
  line.word(level.controller->name);
  line.number(level.version);
  line.number(static_cast<uint64_t>(number));
  Figures figures(place);
  for (int i = 0; i < level.files.count; ++i) {
    const CgroupFile& file = level.files.list[i];
    if (!own && (!text || !file.in_text)) continue;
    const uint64_t value = figures.of(file);
    if (own) facts.add(file.key, value);
    if (file.in_text) line.number(value);
  }
  if (with_path) line.word(place.path());
  line.end();
}

// The nearest group that has the controller's files is the one that is charged: in version 2 a
// group need not have every controller.
void add_groups(Facts& facts, GroupPlace& place, const Level& level, GroupText* text) {
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
    if (own_found && !text) return;
    if (place.is_top()) {
      const bool root = place.is_root(level.version);
      if (root && !own_found) facts.add(level.controller->group, 2);
      if (root && text) facts.add(level.controller->seen, 1);
      return;
    }
    place.up();
  }
}

}  // namespace

constexpr uint64_t kLeastIo = 2048, kOwnGroups = 1024;

void add_cgroups(Facts& facts, char* io, uint64_t room, GroupText* text, const GroupFiles& files) {
  if (room < kLeastIo + GroupPlace::kMemory) return;
  room -= GroupPlace::kMemory;
  char *const memory = io + room, *own_groups = nullptr;
  if (room >= kLeastIo + kOwnGroups) {  // one reading for all controllers, if it is whole
    room -= kOwnGroups;
    const long bytes = read_file(files.cgroup, io + room, kOwnGroups);
    if (bytes > 0 && bytes < static_cast<long>(kOwnGroups) - 1) own_groups = io + room;
  }
  for (const Controller& controller : kControllers) {
    GroupPlace place(files, memory, own_groups);
    if (!place.find(controller.name, io, room)) continue;
    const unsigned version = place.version();
    if (place.is_initial_root()) {  // there is nothing above, and nothing to look at
      facts.add(controller.group, 2);
      facts.add(controller.seen, 1);
      facts.add(controller.version, version);
      continue;
    }
    if (!place.is_found()) continue;
    add_groups(facts, place,
               {&controller, version == 1 ? controller.version1 : controller.version2, version},
               text);
  }
}

}  // namespace ovcshim
