// SPDX-License-Identifier: MIT
//
// Which ELF objects are mapped where: read from /proc/self/maps and the objects' own headers,
// without the loader's lock. For the unwinder (where is .eh_frame_hdr) and for the log (kModule
// records).
// Rules in this file: no allocation, no locks, no libc calls; at most 4 kB of stack; every read of
// foreign memory through copy_memory, since a dlclose in another thread may unmap anything at
// any time.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ovcshim {

struct Module {
  uint64_t start, end;            // first to last mapped byte of the object
  uint64_t bias;                  // address in memory minus address in the file
  uint64_t text_start, text_end;  // executable part
  uint64_t eh_frame_hdr;          // address in memory, 0 if none
  uint32_t eh_frame_hdr_bytes;
  uint16_t build_id_len;  // 0 if none
  uint16_t path_len;
  unsigned char build_id[20];
  char path[212];       // cut at its end if longer; not terminated when full
  uint64_t inode;       // of its file; 0: none
  uint64_t changed_ns;  // st_ctim of that file when the object was first seen; 0: not known
};

inline constexpr unsigned kMaxModules = 128;
inline constexpr uint64_t kVsyscall = 0xffffffffff600000;  // x86-64: the last of every list

struct ModuleTable {
  unsigned count;
  unsigned cut;                 // 1 if there were more than kMaxModules
  Module modules[kMaxModules];  // ascending by start
};

// An object in the making: see modules.cc.
struct ModuleDraft {
  enum class Content : uint8_t { kUnread, kElf, kOther };
  Module module;
  uint64_t device, inode, offset;
  uint64_t extent_end;  // where its last PT_LOAD ends; valid if kElf
  Content content;
};

// Fills a table from the lines of a list of mappings that somebody else reads: those that begin
// with addresses, in smaps as in maps.
struct MapsLine;
class ModuleCollector {
 public:
  explicit ModuleCollector(ModuleTable& table);
  void take(const char* line);      // terminated
  bool take(const MapsLine& line);  // false: nothing can follow
  bool finish();                    // false: there was nothing

 private:
  void add();
  static void reverse(Module* first, Module* last);
  ModuleTable& table_;
  unsigned long seen_ = 0;
  ModuleDraft draft_;
};

// Fills the table from the running process. False if /proc cannot be read; the table is then empty.
// With more room than it has on the stack the list takes fewer reads.
bool read_modules(ModuleTable& table);
bool read_modules(ModuleTable& table, char* io, size_t room);

// The module whose executable part holds pc, or nullptr.
const Module* find_module(const ModuleTable& table, uint64_t pc);

}  // namespace ovcshim
