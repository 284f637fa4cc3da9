// SPDX-License-Identifier: MIT
//
// The shim's unwinder, made to read another process: what shim/unwind asks of memory, of the kernel
// and of /proc is answered here from that process, by linking this file in place of the shim's own
// (memory.cc, known_stack.cc, startup_objects.cc, proc_file.cc, readable.cc). Its walk itself is
// the shim's, unchanged.
#pragma once
#include <cstdint>

namespace oracle {

// From now on.
void read_from_process(uint32_t pid);

// Runs `work` on a stack at an address that no program's stack has: the unwinder reads the pages
// that it runs on directly.
void on_a_stack_apart(void (*work)(void*), void* argument);

}  // namespace oracle
