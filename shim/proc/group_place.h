// SPDX-License-Identifier: MIT
//
// The folder of the control group that a controller counts the process in. Rules: as proc_files.h.
#pragma once
#include "shim/proc/cgroups.h"

namespace ovcshim {

class GroupPlace {
 public:
  static constexpr uint64_t kPathRoom = 640, kMemory = 4 * kPathRoom;
  // memory: kMemory bytes, for as long as this lives; a stack may be too small for them.
  // own_groups: what files.cgroup says, if it is at hand.
  GroupPlace(const GroupFiles& files, char* memory, const char* own_groups = nullptr)
      : files_(files),
        own_groups_(own_groups),
        group_(memory),
        path_(memory + kPathRoom),
        other_(memory + 2 * kPathRoom),
        built_(memory + 3 * kPathRoom) {}

  // Looks it up; false: /proc says nothing of such a controller. io: of at least 2048 bytes.
  bool find(const char* controller, char* io, uint64_t room);
  // No more than what it is called, and where: as an earlier find() noted it. False: it may be
  // another one by now.
  bool find_again(const char* controller, const GroupMemo::Place& memo, char* io, uint64_t room);
  void note(GroupMemo::Place& memo) const;  // of what was found
  bool is_found() const { return length_ != 0; }
  unsigned version() const { return version_; }
  uint64_t inode() const { return inode_; }
  // It is the root of the hierarchy by its path alone: in the initial namespace "/" can be nothing
  // else, whatever is mounted.
  bool is_initial_root() const { return initial_root_; }

  const char* path() const { return path_ + prefix_; }  // as the program sees it
  bool has(const char* file);
  // The number in a file of one, or behind `line` at the start of a line. kUnknown: there is none.
  uint64_t figure(const char* file, const char* line = nullptr) {
    uint64_t value;
    figures(file, &line, &value, 1);
    return value;
  }
  // Those behind several lines, by one reading of the file.
  void figures(const char* file, const char* const* lines, uint64_t* values, int count);
  bool is_top() const { return length_ <= top_; }  // nothing above is visible
  bool is_root(unsigned version);                  // it is the root of the hierarchy
  void up();

 private:
  bool own_path(const char* controller, char* io, uint64_t room);
  enum class Path : uint8_t { kNone, kUnified, kOwn, kTooLong };
  Path path_in(char* line, const char* controller);
  void look_at_mounts(const char* controller, char* io, uint64_t room);
  void try_mount(char* line, const char* controller);
  bool take(const char* point, const char* rest);
  bool holds_us(char* io, uint64_t room);

  const GroupFiles& files_;
  const char* own_groups_;
  unsigned version_ = 0;
  bool initial_root_ = false, ambiguous_ = false, holds_us_ = false;
  uint64_t length_ = 0, top_ = 0, prefix_ = 0;  // of path_
  char* group_;                                 // as /proc/thread-self/cgroup has it
  char* path_;
  char* other_;  // a mount's root, which is ours if its cgroup.procs says so
  char* built_;  // one that is just being looked at
  uint64_t other_length_ = 0;
  uint64_t inode_ = kUnknown, other_inode_ = kUnknown, device_ = kUnknown;
};

}  // namespace ovcshim
