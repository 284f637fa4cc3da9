// SPDX-License-Identifier: MIT
//
// The process's own entry in the log: its slot, its counters' stripes, the list of objects that
// give names to its addresses.
#pragma once
#include "shim/proc/proc_files.h"
#include "shim/record/state.h"

namespace ovcshim {

// Makes sure this process is entered (a forked child is not, its private memory is zero). False if
// it does not record.
OVC_COLD bool register_process(uint64_t fork_position);
// A new image's, as the constructor just read it. The position of its kStart, kUnknown: none.
struct StatFields;
uint64_t register_image(const StatFields& stat);
inline bool ensure_process() {
  return OVC_LIKELY(__atomic_load_n(&g_private->registered, __ATOMIC_ACQUIRE) == 2) ||
         register_process(kUnknown);
}

// At the end of the program: a status if exit() or _exit() was called with one, then kEnd when the
// destructors run.
// `pid`: who calls, which may be a vfork child.
void note_exit_status(int status, uint32_t pid);
// The same, as libc comes by it. False where a record of this end is there already.
bool exit_is_news(int status);
void end_process();

// Counters for a new thread: its own, or the shared ones.
Stripe* claim_stripe(uint32_t tid);
// A dead thread's counters go on as another's of the same process.
bool pass_on_stripe(Stripe* stripe, uint32_t from, uint32_t to);
inline Stripe* shared_stripe() {
  return reinterpret_cast<Stripe*>(g.stripes + kSharedStripe * kStripeBytes);
}

// The table says what the shim's private memory is charged now.
void note_own_commit();

// What the shim itself costs this process, as facts.
void add_own_cost(Facts& facts);

// Copies a string of the program; stops at what cannot be read. Bytes copied.
uint64_t copy_text(char* to, uint64_t room, const char* from);

// Fields 4, 22, 20 and 47 of /proc/PID/stat. pid 0: self. kUnknown if it cannot be read.
struct StatFields {
  uint64_t parent_pid, start_ticks, threads;
  char name[16];                  // field 2, of the first thread; empty: not known
  uint64_t start_brk = kUnknown;  // where the heap begins; of another process it may be hidden
};
StatFields read_stat(uint32_t pid);
// The same of this process, just forked. The tick of the kernel's clock that it was forked in is
// known where that of the last moment before the fork is that of now; else the file is read.
StatFields stat_of_child();

// process_table.cc, the shared tables of processes and counter stripes: claims and fills this
// process's slot (g_private->slot, serial), and makes room by folding dead processes into the
// totals. fork_position: its fork's intent, kUnknown if not known.
void claim_process_slot(const StatFields& stat, uint64_t fork_position, bool new_image);

}  // namespace ovcshim
