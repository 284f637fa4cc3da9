// SPDX-License-Identifier: MIT
//
// Which objects the program was started with: they stay mapped until its end, so their headers and
// unwind tables may be read directly (memory.h).
#pragma once
#include <cstdint>

#pragma GCC visibility push(hidden)

namespace ovcshim {

// From the constructor. `auxv` may be null: then the program itself counts only if it is
// position-independent. `pid`: this process's.
void keep_startup_objects(const uint64_t* auxv, long pid);

struct Extent {
  uint64_t start, end;
};

// The object that begins at `head`, whose page can be read, by its own program headers: its
// segments, in ascending order, as one where there is no hole between them. What lies in a hole is
// not the object's: the kernel leaves those of the program and of the loader free for anybody's
// mmap. How many; 0: no object begins there. Further ones than there is room for are left out.
unsigned parts_of(uint64_t head, Extent* parts, unsigned room);

// The loader's own entry, the last that was there at the start: it may be read directly, and the
// list from it on by copy. 0: not known.
uint64_t last_startup_entry();

}  // namespace ovcshim

#pragma GCC visibility pop
