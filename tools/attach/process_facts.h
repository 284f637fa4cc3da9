// SPDX-License-Identifier: MIT
//
// What /proc tells of a running process before anybody stops it: what decides whether its threads
// can be looked at, and what lies where in its memory.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ovc {

// One line of /proc/PID/maps.
struct MapLine {
  uint64_t start = 0, end = 0, offset = 0, inode = 0;
  std::string access;  // "r-xp"
  std::string device;  // "fe:00"
  std::string path;    // as the process sees it; "[stack]", "[vdso]"; empty: anonymous
  bool runs() const { return access.size() == 4 && access[2] == 'x'; }
  bool is_file() const { return path.starts_with('/'); }
  bool is_deleted() const { return path.ends_with(" (deleted)"); }
};

struct ProcessFacts {
  uint32_t pid = 0;     // of the process, where a thread was named
  uint32_t parent = 0;  // 0: not of this pid namespace
  std::string comm;     // raw
  char state = '?';     // as in /proc/PID/stat
  uint64_t tracer = 0, threads = 0, uid = 0, effective_uid = 0, seccomp = 0;
  double age_seconds = 0;  // since it was forked
  bool is_kernel = false;
  bool is_gone = false;
};

ProcessFacts read_facts(uint32_t pid);
// ENOENT, EACCES, ... where they cannot be read.
std::vector<MapLine> read_map_lines(uint32_t pid, int* error = nullptr);
// nullptr if the address lies in none of them.
const MapLine* line_at(const std::vector<MapLine>& lines, uint64_t address);
// The first line of the object whose file name (without directories) begins with `name`.
const MapLine* object_named(const std::vector<MapLine>& lines, std::string_view name);
std::string_view file_name_of(std::string_view path);
std::string who(const ProcessFacts& facts);  // "redis-server (pid 7143)", escaped

// A file of the process as this one can open it, in the process's own view of the file system.
// Empty unless it is the very file that is mapped.
std::string reachable_path(uint32_t pid, const MapLine& line);

std::vector<uint32_t> thread_ids(uint32_t pid);
std::string thread_name(uint32_t pid, uint32_t tid);  // raw

// Why the threads of this process cannot be stopped for a look, with what to do; empty: nothing
// that is known speaks against it. `error`: of the call that was refused, 0 before any was made.
std::string why_not_stopped(const ProcessFacts& facts, int error);

}  // namespace ovc
