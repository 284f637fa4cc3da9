// SPDX-License-Identifier: MIT
//
// What `ovc attach` and `ovc detach` hand to the shim in a process that runs, and what it answers.
// Lies in memory that ovc had the process map; both are of one build: ovc looks at the build id
// first. Entries of the shim, each called in one thread of the process:
//     uint64_t ovcshim_attach(AttachOrder*)
// Rules: an entry that fails leaves the process as it was.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ovcshim {

enum class AttachStep : uint32_t {
  kOpen = 1,   // the log and the private memory; the other threads run
  kBegin = 2,  // libc's sites, then recording; all other threads stand still
  kEnd = 3,    // sites given back, recording ended; all other threads stand still
  kClose = 4,  // the memory given back; no thread is inside the shim, all others stand still
  kList = 5,   // the mappings, as ovc has read them while the process ran; the other threads run
};

enum class AttachState : uint32_t {
  kIdle = 0,    // in the process, and silent
  kOpened = 1,  // the log is there, nothing is recorded yet
  kRecording = 2,
  kEnded = 3,      // nothing is recorded any more, the memory is still there
  kPreloaded = 4,  // it came with the program: not to be attached or detached
  kBusy = 5,       // an earlier step is under way in another thread: its ovc was killed
};

// Whose turn it is. The thread runs a step without a stop, then waits for ovc to stop it: else it
// would stop twice for each system call of the step, and all others stand still meanwhile.
enum class AttachTurn : uint32_t {
  kShim = 0,
  kOvc = 1,    // the step is done
  kBack = 2,   // ovc holds the thread: it may go on
  kAlone = 3,  // ovc is gone, or did not come: the thread goes on by itself
};

// A part of /proc/PID/smaps that was read between two ticks; its entries follow those of the part
// before it.
struct ReadPart {
  uint64_t from_tick, to_tick, entries;
};
inline constexpr uint32_t kEntriesOfPart = 60;  // of all but the last

// In memory of the process, by address.
struct ReadList {
  uint64_t begin_tick;
  uint64_t parts, part_count;  // ReadPart
  uint64_t entries;            // MappingEntry
};

struct AttachOrder {
  AttachStep step;
  uint32_t stack_depth;
  uint64_t events_bytes;
  char log[1024];  // as the process sees it
  ReadList list;   // kList

  // answers
  uint32_t done;       // 1: yes
  int32_t err;         // else the errno of what failed; 0: none fits
  AttachState state;   // after it
  uint32_t internals;  // InternalsState
  uint32_t mem_error, mprotect_error;
  uint32_t clock;  // Clock
  AttachTurn turn;
  uint64_t own_ns;     // that the step took
  uint64_t near_page;  // of code beside libc, 0: none
  char why[256];

  // asked: 1: malloc's family, too, by rewriting the addresses that modules are bound to
  uint32_t malloc_family;
  uint32_t again;  // answer: nothing was done, a thread is in the loader; to be asked again
  uint64_t calls_bytes, min_size;  // asked, with malloc_family
  // answers of kBegin, as FactKey::kBoundSlots and those behind it; of kEnd: stay the shim's, 0, 0
  uint64_t bound, bound_elsewhere, bound_unwritable;
};
static_assert(sizeof(AttachOrder) % 8 == 0);

}  // namespace ovcshim
