// SPDX-License-Identifier: MIT
#include "tools/log/call_families.h"

#include <linux/sched.h>
#include <sys/wait.h>

#include <csignal>

namespace ovc {

bool in_family(Op op, Family family) {
  const OpInfo* info = op_info(op);
  return info && info->family == family;
}

bool is_malloc_op(Op op) { return in_family(op, Family::kMalloc); }
bool is_memory_op(Op op) {  // remap_file_pages maps pages of a shared file anew: nothing is charged
  return in_family(op, Family::kMemory) && op != Op::kRemapFilePages;
}
bool is_lock_op(Op op) { return op == Op::kMlock || op == Op::kMlock2 || op == Op::kMlockall; }
bool is_exec(Op op) { return in_family(op, Family::kExec); }
bool is_wait(Op op) { return in_family(op, Family::kWait); }

bool is_spawn(Op op) {
  return op == Op::kPosixSpawn || op == Op::kPosixSpawnp || op == Op::kPidfdSpawn ||
         op == Op::kPidfdSpawnp;
}

bool hides_errno(Op op) { return op == Op::kPopen || op == Op::kWordexp; }
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

uint64_t break_after(const ovcshim::EventBase& call) {
  const auto result = static_cast<uint64_t>(call.result);
  if (call.op == Op::kSbrk) return result + call.args[0];
  return is_system_call(call) ? result : call.args[0];
}

WaitedFor waited_for(const Event& event) {
  const ovcshim::EventBase& b = event.base;
  if (!is_wait(b.op) || !event.returned() || event.failed()) return {};
  if (b.op == Op::kWaitid) {
    const auto pid = static_cast<uint32_t>(b.args[5]);
    const auto value = static_cast<int>(b.args[4]);
    if (b.args[3] == CLD_EXITED) return {pid, (value & 0xff) << 8};
    if (b.args[3] == CLD_KILLED || b.args[3] == CLD_DUMPED) return {pid, value & 0x7f};
    return {};
  }
  const auto pid = static_cast<uint32_t>(b.result);
  if (b.args[2] == ovcshim::kUnknown) return {pid, std::nullopt};
  const auto status = static_cast<int>(b.args[2]);
  return WIFEXITED(status) || WIFSIGNALED(status) ? WaitedFor{pid, status} : WaitedFor{};
}

}  // namespace ovc
