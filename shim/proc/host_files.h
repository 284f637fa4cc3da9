// SPDX-License-Identifier: MIT
//
// Which of the files that figures of the host are read from are procfs's own, and what sysinfo(2)
// says beside them: containers (lxcfs, sysbox) mount files of their own over them. Rules: as
// proc_files.h.
#pragma once
#include "shim/proc/proc_files.h"

namespace ovcshim {

// sysinfo(2): RAM and swap as the kernel's own check counts them.
void add_kernel_totals(Facts& facts);
// kForeignFiles, unless the question itself is refused.
void add_foreign_files(Facts& facts);

// kPlaceFiles, unless the question itself is refused.
void add_place_files(Facts& facts);

// What statfs says of the file system behind a path or an open descriptor (path nullptr).
struct FsFigures {
  uint64_t type, block_bytes, blocks, free, available, nodes, free_nodes;
};
long fs_figures(const char* path, long descriptor, FsFigures& out);  // 0 or -errno
inline constexpr uint64_t kProcFs = 0x9fa0;                          // PROC_SUPER_MAGIC

}  // namespace ovcshim
