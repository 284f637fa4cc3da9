// SPDX-License-Identifier: MIT
//
// The control groups of the process: where its own are among the mounts, their figures, and those
// of the groups above. A group's figures are given only if it is certain that it is the process's:
// its path of /proc/thread-self/cgroup lies below what is mounted there (field 4 of mountinfo), and
// the folder is on that very mount; or its cgroup.procs holds the process. Rules: as proc_files.h.
#pragma once
#include "shim/proc/proc_files.h"

namespace ovcshim {

// Where it looks. Tests put folders of their own there, which are no mounts.
struct GroupFiles {
  const char* cgroup = "/proc/thread-self/cgroup";
  const char* mountinfo = "/proc/thread-self/mountinfo";
  const char* namespace_link = "/proc/self/ns/cgroup";
  const char* before_points = "";  // goes before the mount points
  bool real = true;                // look whether a folder is on the mount that mountinfo names
};

// Text as Op::kSnapshot describes it, cut at the end of a line.
struct GroupText {
  char* text;
  uint64_t room;
  uint64_t length = 0;
};

// io: working memory of at least 4608 bytes (nothing is added if there is less), better kGroupsIo.
// text: nullptr if the groups above do not matter.
inline constexpr uint64_t kGroupsIo = 6144;
void add_cgroups(Facts& facts, char* io, uint64_t room, GroupText* text,
                 const GroupFiles& files = {});
// The same of the controller of huge pages, for pages of one size.
void add_huge_group(Facts& facts, uint64_t size_kb, char* io, uint64_t room, GroupText* text,
                    const GroupFiles& files = {});

}  // namespace ovcshim
