// SPDX-License-Identifier: MIT
//
// The files of a control group that figures are read from, as tables. The two versions differ in
// names only: a table each.
#pragma once
#include "shim/proc/group_place.h"

namespace ovcshim {

struct CgroupFile {
  const char* name;  // below the cgroup's directory
  const char* line;  // nullptr: the file is one number
  FactKey key;
  bool in_text;  // has a column in GroupText, in this order
  bool counts;   // only ever grows, or is read with one that does
};

// Documentation/admin-guide/cgroup-v1/memory.rst and pids.rst. The first file is the limit.
inline constexpr CgroupFile kMemoryV1[] = {
    {"/memory.limit_in_bytes", nullptr, FactKey::kMemcgLimit, true, false},
    {"/memory.usage_in_bytes", nullptr, FactKey::kMemcgUsage, true, false},
    {"/memory.failcnt", nullptr, FactKey::kMemcgFailcnt, true, true},
    {"/memory.oom_control", "oom_kill ", FactKey::kMemcgOomKill, true, true},
    {"/memory.oom_control", "oom_kill_disable ", FactKey::kMemcgOomKillDisable, false, true},
};
inline constexpr CgroupFile kPids[] = {
    {"/pids.max", nullptr, FactKey::kPidsMax, true, false},
    {"/pids.current", nullptr, FactKey::kPidsCurrent, true, false},
    {"/pids.events", "max ", FactKey::kPidsEventsMax, true, true},
};
// Documentation/admin-guide/cgroup-v2.rst
inline constexpr CgroupFile kMemoryV2[] = {
    {"/memory.max", nullptr, FactKey::kMemcgLimit, true, false},
    {"/memory.current", nullptr, FactKey::kMemcgUsage, true, false},
    {"/memory.events", "max ", FactKey::kMemcgFailcnt, true, true},
    {"/memory.events", "oom ", FactKey::kMemcgOom, false, true},
    {"/memory.events", "oom_kill ", FactKey::kMemcgOomKill, true, true},
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
  GroupMemo::Place GroupMemo::*memo;
};
inline constexpr Controller kControllers[] = {
    {"memory", files_of(kMemoryV1), files_of(kMemoryV2), FactKey::kMemcgGroup,
     FactKey::kMemcgGroupsSeen, FactKey::kMemcgVersion, FactKey::kMemcgGroupId, &GroupMemo::memory},
    {"pids", files_of(kPids), files_of(kPids), FactKey::kPidsGroup, FactKey::kPidsGroupsSeen,
     FactKey::kPidsVersion, FactKey::kPidsGroupId, &GroupMemo::pids},
};

// What the process's control groups are called (GroupFiles::cgroup), read whole into the end of the
// room, which gets smaller by it; nullptr: it is too long, or cannot be read.
const char* read_own_groups(char* io, uint64_t& room, const GroupFiles& files);
// The figures of all controllers. own_groups: from there, or null. `memo` gets the places.
void add_each_group(Facts& facts, char* io, uint64_t room, GroupText* text, const GroupFiles& files,
                    const char* own_groups, GroupMemo* memo);

// The first of `files`, and those behind it that are other lines of the same file: how many. Their
// values, kUnknown for what is not there.
inline constexpr int kMostGroupLines = 3;  // of one file
int read_group_file(GroupPlace& place, const CgroupFile* files, int count, uint64_t* values);

}  // namespace ovcshim
