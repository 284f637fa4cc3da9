// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace ovc {
namespace {

// The shim's own (tests/trust/faults/calls.table), the loader's, and those that bring it in.
#define OVC_CALL(name) \
  { SYS_##name, #name }
constexpr ShimCall kShimCalls[] = {
    OVC_CALL(brk),
    OVC_CALL(capget),
    OVC_CALL(clock_gettime),
    OVC_CALL(close),
    OVC_CALL(faccessat),
    OVC_CALL(fallocate),
    OVC_CALL(fcntl),
    OVC_CALL(fstat),
    OVC_CALL(fstatfs),
    OVC_CALL(ftruncate),
    OVC_CALL(getcwd),
    OVC_CALL(getdents64),
    OVC_CALL(geteuid),
    OVC_CALL(getpgid),
    OVC_CALL(getpid),
    OVC_CALL(getppid),
    OVC_CALL(getresuid),
    OVC_CALL(getrusage),
    OVC_CALL(getsockopt),
    OVC_CALL(gettid),
    OVC_CALL(ioctl),
    OVC_CALL(kill),
    OVC_CALL(madvise),
    OVC_CALL(memfd_create),
    OVC_CALL(mmap),
    OVC_CALL(mprotect),
    OVC_CALL(mremap),
    OVC_CALL(munlock),
    OVC_CALL(munmap),
    OVC_CALL(nanosleep),
    OVC_CALL(newfstatat),
    OVC_CALL(openat),
    OVC_CALL(ppoll),
    OVC_CALL(prctl),
    OVC_CALL(pread64),
    OVC_CALL(prlimit64),
    OVC_CALL(process_vm_readv),
    OVC_CALL(pwrite64),
    OVC_CALL(read),
    OVC_CALL(readlinkat),
    OVC_CALL(renameat2),
    OVC_CALL(rt_sigpending),
    OVC_CALL(rt_sigprocmask),
    OVC_CALL(rt_sigreturn),
    OVC_CALL(rt_sigtimedwait),
    OVC_CALL(sched_getaffinity),
    OVC_CALL(sched_getscheduler),
    OVC_CALL(sendto),
    OVC_CALL(shmget),
    OVC_CALL(statfs),
    OVC_CALL(statx),
    OVC_CALL(symlinkat),
    OVC_CALL(sysinfo),
    OVC_CALL(tkill),
    OVC_CALL(uname),
    OVC_CALL(unlinkat),
    OVC_CALL(vmsplice),
    OVC_CALL(write),
};
#undef OVC_CALL

#if defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#endif

using Value = std::optional<uint32_t>;  // nullopt: anything

struct Machine {
  size_t at = 0;
  Value a = 0, x = 0;
  std::array<Value, BPF_MEMWORDS> memory{};
};

// What the kernel shows a filter of this call (struct seccomp_data).
Value shown(uint32_t offset, uint32_t nr) {
  if (offset == offsetof(seccomp_data, nr)) return nr;
  if (offset == offsetof(seccomp_data, arch)) return kArchitecture;
  return std::nullopt;
}

Value computed(uint16_t operation, Value a, Value b) {
  if (operation == BPF_NEG) return a ? Value(0 - *a) : a;
  if (!a || !b) return std::nullopt;
  switch (operation) {
    case BPF_ADD: return *a + *b;
    case BPF_SUB: return *a - *b;
    case BPF_MUL: return *a * *b;
    case BPF_DIV: return *b ? Value(*a / *b) : 0;
    case BPF_AND: return *a & *b;
    case BPF_OR: return *a | *b;
    case BPF_XOR: return *a ^ *b;
    case BPF_LSH: return *b < 32 ? *a << *b : 0;
    case BPF_RSH: return *b < 32 ? *a >> *b : 0;
    default: return std::nullopt;
  }
}

std::optional<bool> compared(uint16_t operation, Value a, Value b) {
  if (!a || !b) return std::nullopt;
  switch (operation) {
    case BPF_JEQ: return *a == *b;
    case BPF_JGT: return *a > *b;
    case BPF_JGE: return *a >= *b;
    case BPF_JSET: return (*a & *b) != 0;
    default: return std::nullopt;
  }
}

bool is_harmless(Value action) {
  if (!action) return false;
  const uint32_t what = *action & SECCOMP_RET_ACTION_FULL;
  return what == SECCOMP_RET_ALLOW || what == SECCOMP_RET_LOG || what == SECCOMP_RET_ERRNO;
}

// Every path that the program may take.
class Paths {
 public:
  Paths(std::span<const sock_filter> program, uint32_t nr) : program_(program), nr_(nr) {}

  FilterAnswer answer() {
    constexpr unsigned kMostSteps = 200000;
    open_.push_back({});
    for (unsigned steps = 0; !open_.empty(); ++steps) {
      Machine m = open_.back();
      open_.pop_back();
      if (steps == kMostSteps || m.at >= program_.size() || !step(m)) return FilterAnswer::kUnknown;
      if (harmful_) return FilterAnswer::kHarmful;
    }
    return FilterAnswer::kHarmless;
  }

 private:
  // False: no instruction of a filter.
  bool step(Machine m) {
    const sock_filter& code = program_[m.at++];
    const Value operand = BPF_SRC(code.code) == BPF_X ? m.x : Value(code.k);
    switch (BPF_CLASS(code.code)) {
      case BPF_RET:
        harmful_ = !is_harmless(BPF_RVAL(code.code) == BPF_A ? m.a : Value(code.k));
        return true;
      case BPF_JMP: return jump(m, code, operand);
      case BPF_ALU: m.a = computed(BPF_OP(code.code), m.a, operand); break;
      case BPF_LD:
        if (!load(m, code, m.a)) return false;
        break;
      case BPF_LDX:
        if (!load(m, code, m.x)) return false;
        break;
      case BPF_ST:
      case BPF_STX:
        if (code.k >= m.memory.size()) return false;
        m.memory[code.k] = BPF_CLASS(code.code) == BPF_ST ? m.a : m.x;
        break;
      case BPF_MISC:
        if (BPF_MISCOP(code.code) == BPF_TAX) m.x = m.a;
        else m.a = m.x;
        break;
    }
    open_.push_back(m);
    return true;
  }

  bool load(Machine& m, const sock_filter& code, Value& to) {
    switch (BPF_MODE(code.code)) {
      case BPF_IMM: to = code.k; return true;
      case BPF_ABS: to = shown(code.k, nr_); return true;
      case BPF_LEN: to = sizeof(seccomp_data); return true;
      case BPF_MEM:
        if (code.k >= m.memory.size()) return false;
        to = m.memory[code.k];
        return true;
      default: return false;
    }
  }

  bool jump(Machine m, const sock_filter& code, Value operand) {
    const size_t next = m.at;
    if (BPF_OP(code.code) == BPF_JA) {
      m.at = next + code.k;
      open_.push_back(m);
      return true;
    }
    const auto taken = compared(BPF_OP(code.code), m.a, operand);
    for (const bool way : {true, false}) {
      if (taken && *taken != way) continue;
      m.at = next + (way ? code.jt : code.jf);
      open_.push_back(m);
    }
    return true;
  }

  std::span<const sock_filter> program_;
  uint32_t nr_;
  std::vector<Machine> open_;
  bool harmful_ = false;
};

}  // namespace

FilterAnswer answer_to(std::span<const sock_filter> program, uint32_t nr) {
  return Paths(program, nr).answer();
}

std::span<const ShimCall> shim_calls() { return kShimCalls; }

std::optional<Filters> read_filters(uint32_t tid, int& error) {
  Filters filters;
  for (uintptr_t n = 0;; ++n) {
    const long length = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, n, nullptr);
    if (length < 0 && errno == ENOENT) return filters;
    std::vector<sock_filter> program(length > 0 ? static_cast<size_t>(length) : 0);
    if (length <= 0 || ptrace(PTRACE_SECCOMP_GET_FILTER, tid, n, program.data()) != length) {
      error = errno;
      return std::nullopt;
    }
    filters.push_back(std::move(program));
  }
}

std::string call_against(const Filters& filters) {
  for (const auto& program : filters)
    for (const ShimCall& call : kShimCalls)
      if (answer_to(program, call.nr) != FilterAnswer::kHarmless) return call.name;
  return "";
}

}  // namespace ovc

#endif
