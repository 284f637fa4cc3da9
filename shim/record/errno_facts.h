// SPDX-License-Identifier: MIT
//
// One errno can have several sources: EACCES of mmap is a read-only file, MemoryDenyWriteExecute or
// SELinux. What tells them apart is read right after the failure, and only then: the file behind
// the descriptor, the pool of huge pages, the limits of namespaces. What each fact decides stands
// in tools/causes/errno_*.cc. Rules: as event_lane.cc; none of it once is_quiet().
#pragma once
#include "shim/proc/proc_files.h"

namespace ovcshim {

// Which security module labels the calling thread, and whether it enforces: it can deny, and keep a
// capability from being used that the thread has.
void add_security_module(Facts& facts, char* io, uint64_t room);

// About a failed call: op, err and args of `base`. io: working memory of at least 1024 bytes.
void add_errno_facts(Facts& facts, const EventBase& base, char* io, uint64_t room);

// The size of the huge pages that a call was refused with ENOMEM, kB; kUnknown: it is about none.
uint64_t huge_kb_asked_for(const EventBase& base, char* io, uint64_t room);

// A granted private mapping of a file is charged unless the file is one of huge pages; only its
// file system tells (mm/vma.c accountable_mapping()). Of a shared one in memory (tmpfs, hugetlbfs)
// what is free there, since a touch that finds no room is SIGBUS. A private one that does not begin
// where huge pages do is on neither, and is not asked for.
bool maps_special_file(const EventBase& base);
void add_file_system(Facts& facts, const EventBase& base);

}  // namespace ovcshim
