// SPDX-License-Identifier: MIT
#include "tools/log/call_families.h"

#include <linux/sched.h>

namespace ovc {

bool is_malloc_op(Op op) { return op >= Op::kMalloc && op <= Op::kPvalloc; }
bool is_memory_op(Op op) { return op >= Op::kMmap && op <= Op::kMadvise; }
bool is_lock_op(Op op) { return op >= Op::kMlock && op <= Op::kMlockall; }
bool is_exec(Op op) { return op >= Op::kExecve && op <= Op::kExecle; }
bool is_wait(Op op) { return op >= Op::kWait && op <= Op::kWaitid; }

bool is_spawn(Op op) {
  return op == Op::kPosixSpawn || op == Op::kPosixSpawnp || op == Op::kPidfdSpawn ||
         op == Op::kPidfdSpawnp;
}

bool starts_program(Op op) {
  return is_spawn(op) || op == Op::kPopen || op == Op::kSystem || op == Op::kWordexp;
}

bool makes_stack(Op op) {
  return op == Op::kPthreadCreate || op == Op::kThrdCreate || starts_program(op);
}

bool makes_thread(const ovcshim::EventBase& base) {
  return base.op == Op::kPthreadCreate || base.op == Op::kThrdCreate ||
         (base.op == Op::kClone && (base.args[0] & CLONE_THREAD));
}

bool copies_memory(const Event& event) {
  if (event.base.op == Op::kClone) return !(event.base.args[0] & CLONE_VM);
  const Op op = event.base.op;
  return op == Op::kFork || op == Op::kUnderscoreFork || op == Op::kDaemon || op == Op::kForkpty;
}

}  // namespace ovc
