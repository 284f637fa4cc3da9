// SPDX-License-Identifier: MIT
//
// Reads figures from /proc and cgroup files with raw system calls into a caller's buffer. Returns
// kUnknown for what cannot be read. Callable anywhere; holds no descriptor; a value it cannot parse
// is kUnknown, never 0.
#pragma once
#include "shim/format/log_format.h"

namespace ovcshim {

// Whole small file into `to`, terminated. Bytes read, or -1.
long read_file(const char* path, char* to, uint64_t room);

// First number at or after `s`; "max" and "unlimited" give kInfinite. Advances *rest behind it if
// given.
uint64_t parse_number(const char* s, const char** rest = nullptr);

// Value behind `name` at the start of a line ("Committed_AS:", "max "), kUnknown if there is no
// such line.
uint64_t find_value(const char* text, const char* name);

// Behind the end of the line that `s` is in; nullptr if it is the last.
const char* next_line(const char* s);

// Owner, mode, size and number of an open descriptor (path "") or of a name itself, links not
// followed.
struct FileStat {
  uint64_t bytes, changed_ns;  // st_ctim since the epoch
  uint32_t uid, mode;
  uint64_t inode, device;
  bool is_regular() const { return (mode & 0170000) == 0100000; }
};
bool file_stat(long descriptor, const char* path, FileStat& out);

// The effective user id: of this moment, or where a filter refuses to say, of the program's start.
uint32_t effective_user();
// Of the program's start, by what the kernel gave it then.
uint32_t starting_user();

// A file that holds one number.
uint64_t read_number(const char* path);

// The number in a link like "pid:[4026531836]": kUnknown if the link cannot be read, 0 if it has no
// target yet.
uint64_t namespace_inode(const char* path);

// Appends facts to a list, dropping what does not fit.
struct Facts {
  Fact* list;
  uint32_t room;
  uint32_t count = 0;
  void add(FactKey key, uint64_t value) {
    if (count < room && value != kUnknown) list[count++] = {static_cast<uint32_t>(key), 0, value};
  }
};

// Of a list that ends at key 0, or after so many.
inline uint64_t fact_in(const Fact* list, uint64_t count, FactKey key) {
  for (uint64_t i = 0; i < count && list[i].key; ++i)
    if (list[i].key == static_cast<uint32_t>(key)) return list[i].value;
  return kUnknown;
}

// io: working memory of at least 2048 bytes.
void add_meminfo(Facts& facts, char* io, uint64_t room);
void add_overcommit(Facts& facts);
// sizes: also what statm says, by the same reading.
struct MemorySizes {
  uint64_t vm_size_kb = kUnknown, resident_kb = kUnknown, data_kb = kUnknown, stack_kb = kUnknown;
};
void add_status(Facts& facts, char* io, uint64_t room, MemorySizes* sizes = nullptr);
void add_limits(Facts& facts, char* io, uint64_t room);
void add_tasks(Facts& facts, char* io, uint64_t room);
// The host's OOM kill counter.
void add_oom_kills(Facts& facts, char* io, uint64_t room);

}  // namespace ovcshim
