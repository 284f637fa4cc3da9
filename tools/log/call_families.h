// SPDX-License-Identifier: MIT
//
// Which family a call belongs to, for everything that decides by family, and what the records of
// one family tell alike. How each call is printed stands in op_table.cc.
#pragma once
#include <cstdint>
#include <optional>

#include "tools/log/log_reader.h"
#include "tools/log/names.h"

namespace ovc {

bool in_family(Op op, Family family);
bool is_malloc_op(Op op);
bool is_memory_op(Op op);    // mmap family and break
bool is_lock_op(Op op);      // mlock, mlock2, mlockall
bool is_exec(Op op);         // execve and its kin
bool is_spawn(Op op);        // posix_spawn and its kin
bool is_wait(Op op);         // wait, waitpid, wait3, wait4, waitid
bool starts_program(Op op);  // posix_spawn, popen, system and their kin
bool hides_errno(Op op);  // popen, wordexp: ENOMEM, whatever the start of the shell was refused for
bool makes_stack(Op op);  // libc maps a stack for the new task before it asks for the task
bool makes_thread(
    const ovcshim::EventBase& base);     // pthread_create, thrd_create, clone with CLONE_THREAD
bool copies_memory(const Event& event);  // fork, _Fork, clone without CLONE_VM, daemon, forkpty

// Where a granted brk or sbrk left the break: libc's brk() returns 0, the system call the new
// break.
uint64_t break_after(const ovcshim::EventBase& call);

// The child whose end a call of the wait family tells of. pid 0: none, it did not return, or the
// child only stopped or went on.
struct WaitedFor {
  uint32_t pid = 0;
  std::optional<int> status;  // as wait(2) gives it; nullopt: not asked for
};
WaitedFor waited_for(const Event& event);

}  // namespace ovc
