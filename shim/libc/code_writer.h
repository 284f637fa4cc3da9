// SPDX-License-Identifier: MIT
//
// Changes a few bytes of code that is mapped without write access, in one of two ways:
//   1. /proc/self/mem. The kernel gives the page a private copy (FOLL_FORCE, mm/gup.c) and leaves
//      the mapping's protection and accounting alone. A kernel may refuse it: CONFIG_PROC_MEM_*,
//      proc_mem.force_override= (fs/proc/base.c proc_mem_foll_force(), since 6.12); no /proc.
//   2. mprotect: the page is made writable for the moment. It is charged to the commit limit from
//      then on and stays a mapping of its own (mm/mprotect.c mprotect_fixup(): VM_ACCOUNT of a
//      file's private mapping is not taken back). Tried only where way 1 fails, never under a
//      seccomp filter (it may kill over W+X), and in one step to W+X, which is what
//      MemoryDenyWriteExecute and SELinux refuse at once, with nothing changed.
// Rules: one thread, or all others stand still; no libc calls.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ovcshim {

// What stood in the way, and what it cost. Errnos; 0: was not in the way, or not tried.
struct CodeWriting {
  uint16_t mem_error = 0, mprotect_error = 0;
  bool filtered = false;    // way 2 was not tried: a seccomp filter is in force
  uint32_t charged_kb = 0;  // by way 2
};

class CodeWriter {
 public:
  CodeWriter();
  ~CodeWriter();
  CodeWriter(const CodeWriter&) = delete;
  CodeWriter& operator=(const CodeWriter&) = delete;
  // True if the bytes stand there afterwards; else nothing of them does.
  bool write(unsigned char* at, const unsigned char* bytes, size_t count);
  // Data, of whatever protection it is: by way 1 alone, which leaves that as it is.
  bool write_data(void* at, uint64_t word);
  const CodeWriting& outcome() const { return outcome_; }

 private:
  bool write_by_mem(unsigned char* at, const unsigned char* bytes, size_t count);
  bool write_by_mprotect(unsigned char* at, const unsigned char* bytes, size_t count);
  long mem_;
  uint64_t charged_page_ = 0;  // the last one that way 2 has opened
  CodeWriting outcome_;
};

}  // namespace ovcshim
