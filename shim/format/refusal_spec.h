// SPDX-License-Identifier: MIT
//
// The language of OVCSHIM_INJECT and OVCSHIM_REHEARSE: what a user types, parsed. Read by the shim
// when it starts and by `ovc run` before it starts anything; no state, no allocation, no libc.
//
//   OVCSHIM_INJECT    RULE[;RULE...]       RULE  CALLS:error=ERRNO[:when=WHEN][:size>=SIZE]
//     CALLS   fork,mmap,... or %malloc %memory %fork: the function, and for system calls the same
//             call inside libc, as in strace
//     ERRNO   ENOMEM, EAGAIN, ... or a number
//     WHEN    N the N-th only, N+ from the N-th on, N+S every S-th from the N-th on, N..M and
//             N..M+S up to the M-th; strace's
//             --inject. Counted from 1, per rule and process, over the calls of that size.
//     SIZE    bytes, or with K, M, G: of the request (malloc family, mmap, munmap, mremap's new
//             length, mprotect, madvise, sbrk, shmget, mlock)
//   OVCSHIM_REHEARSE  mode=MODE[,limit=SIZE]
//     MODE    0, 1 or 2: vm.overcommit_memory as it is to be rehearsed
//     SIZE    mode 2: CommitLimit; mode 0: RAM and swap. Bytes, or with K, M, G. Default: the
//             host's own
#pragma once
#include <errno.h>

#include "shim/format/log_format.h"

namespace ovcshim {

using OpSet = unsigned __int128;  // bit n: Op n
static_assert(static_cast<unsigned>(Op::kCallOps) <= 128);

struct InjectRule {
  OpSet ops = 0;
  uint16_t err = 0;
  uint64_t first = 1, last = UINT64_MAX, step = 1;  // of the calls that match, counted from 1
  uint64_t min_size = 0;                            // bytes
};
inline constexpr unsigned kMaxInjectRules = 8;
struct InjectSpec {
  InjectRule rules[kMaxInjectRules];
  unsigned count = 0;
};
struct RehearseSpec {
  uint64_t mode = kUnknown;
  uint64_t limit_kb = kUnknown;  // kUnknown: the host's own
};

// What is wrong and where in the text; `what` is null if nothing is.
struct SpecError {
  const char* what = nullptr;
  const char* at = nullptr;
};

// Which of the calls that match, counted from 1, the rule refuses.
constexpr bool refuses_call(const InjectRule& rule, uint64_t n) {
  return n >= rule.first && n <= rule.last && (n - rule.first) % rule.step == 0;
}

namespace spec {

struct CallName {
  const char* name;
  OpSet ops;
};
constexpr OpSet bit(Op op) { return OpSet{1} << static_cast<unsigned>(op); }
constexpr OpSet bits(Op first, Op last) { return (bit(last) << 1) - bit(first); }

// free is not among them: it cannot fail. Waits, exec and ends are no requests for memory.
inline constexpr CallName kCallNames[] = {
    {"malloc", bit(Op::kMalloc)},
    {"calloc", bit(Op::kCalloc)},
    {"realloc", bit(Op::kRealloc)},
    {"reallocarray", bit(Op::kReallocarray)},
    {"posix_memalign", bit(Op::kPosixMemalign)},
    {"aligned_alloc", bit(Op::kAlignedAlloc)},
    {"memalign", bit(Op::kMemalign)},
    {"valloc", bit(Op::kValloc)},
    {"pvalloc", bit(Op::kPvalloc)},
    {"mmap", bit(Op::kMmap)},
    {"munmap", bit(Op::kMunmap)},
    {"mremap", bit(Op::kMremap)},
    {"mprotect", bit(Op::kMprotect)},
    {"brk", bit(Op::kBrk)},
    {"sbrk", bit(Op::kSbrk)},
    {"madvise", bit(Op::kMadvise)},
    {"fork", bit(Op::kFork)},
    {"_Fork", bit(Op::kUnderscoreFork)},
    {"vfork", bit(Op::kVfork)},
    {"clone", bit(Op::kClone)},
    {"pthread_create", bit(Op::kPthreadCreate)},
    {"posix_spawn", bit(Op::kPosixSpawn)},
    {"posix_spawnp", bit(Op::kPosixSpawnp)},
    {"popen", bit(Op::kPopen)},
    {"system", bit(Op::kSystem)},
    {"daemon", bit(Op::kDaemon)},
    {"forkpty", bit(Op::kForkpty)},
    {"thrd_create", bit(Op::kThrdCreate)},
    {"shmget", bit(Op::kShmget)},
    {"shmat", bit(Op::kShmat)},
    {"mlock", bit(Op::kMlock) | bit(Op::kMlock2)},
    {"mlockall", bit(Op::kMlockall)},
    {"memfd_create", bit(Op::kMemfdCreate)},
    {"shm_open", bit(Op::kShmOpen)},
    {"ftruncate", bit(Op::kFtruncate)},
    {"fallocate", bit(Op::kFallocate)},
    {"posix_fallocate", bit(Op::kPosixFallocate)},
    {"%malloc", bits(Op::kMalloc, Op::kPvalloc) & ~bit(Op::kFree)},
    {"%memory", bits(Op::kMmap, Op::kMadvise)},
    {"%fork",
     bits(Op::kFork, Op::kPosixSpawnp) | bits(Op::kPopen, Op::kForkpty) | bit(Op::kThrdCreate)},
};

struct ErrnoName {
  const char* name;
  uint16_t value;
};
inline constexpr ErrnoName kErrnoNames[] = {
    {"ENOMEM", ENOMEM}, {"EAGAIN", EAGAIN},   {"EPERM", EPERM},   {"EACCES", EACCES},
    {"EINVAL", EINVAL}, {"EINTR", EINTR},     {"ENOSYS", ENOSYS}, {"EFAULT", EFAULT},
    {"EEXIST", EEXIST}, {"ENOSPC", ENOSPC},   {"EMFILE", EMFILE}, {"ENFILE", ENFILE},
    {"EBUSY", EBUSY},   {"EBADF", EBADF},     {"ENODEV", ENODEV}, {"EIO", EIO},
    {"ENOENT", ENOENT}, {"ENOEXEC", ENOEXEC},
};

// Reads a text from left to right; every reader leaves `at` where it stopped.
struct Cursor {
  const char* at;

  constexpr bool take(const char* word) {
    const char* c = at;
    for (; *word; ++word, ++c)
      if (*c != *word) return false;
    at = c;
    return true;
  }
  // A name up to a delimiter.
  constexpr bool take_name(const char* name) {
    const Cursor before = *this;
    if (take(name) && (*at == '\0' || *at == ',' || *at == ':' || *at == ';')) return true;
    *this = before;
    return false;
  }
  constexpr bool number(uint64_t& to) {
    if (*at < '0' || *at > '9') return false;
    for (to = 0; *at >= '0' && *at <= '9'; ++at) {
      if (to > UINT64_MAX / 20) return false;
      to = to * 10 + static_cast<uint64_t>(*at - '0');
    }
    return true;
  }
  constexpr bool size(uint64_t& to) {
    if (!number(to)) return false;
    const unsigned shift = *at == 'K' || *at == 'k'   ? 10
                           : *at == 'M' || *at == 'm' ? 20
                           : *at == 'G' || *at == 'g' ? 30
                                                      : 0;
    if (shift) ++at;
    if (to > UINT64_MAX >> 1 >> shift) return false;
    to <<= shift;
    return true;
  }
};

constexpr bool parse_calls(Cursor& c, OpSet& ops) {
  do {
    OpSet found = 0;
    for (const CallName& row : kCallNames)
      if (!found && c.take_name(row.name)) found = row.ops;
    if (!found) return false;
    ops |= found;
  } while (c.take(","));
  return true;
}

constexpr bool parse_errno(Cursor& c, uint16_t& err) {
  for (const ErrnoName& row : kErrnoNames)
    if (c.take_name(row.name)) {
      err = row.value;
      return true;
    }
  uint64_t n = 0;
  if (!c.number(n) || n == 0 || n > 4095) return false;
  err = static_cast<uint16_t>(n);
  return true;
}

constexpr bool parse_when(Cursor& c, InjectRule& rule) {
  if (!c.number(rule.first) || rule.first == 0) return false;
  rule.last = rule.first;
  const bool range = c.take("..");
  if (range && (!c.number(rule.last) || rule.last < rule.first)) return false;
  if (!c.take("+")) return true;
  if (!range) rule.last = UINT64_MAX;
  rule.step = 1;
  const bool has_step = *c.at >= '0' && *c.at <= '9';
  return !has_step || (c.number(rule.step) && rule.step != 0);
}

constexpr const char* parse_rule(Cursor& c, InjectRule& rule) {
  if (!parse_calls(c, rule.ops)) return "no call of that name can be refused";
  while (c.take(":")) {
    if (c.take("error=")) {
      if (!parse_errno(c, rule.err)) return "not an errno";
    } else if (c.take("when=")) {
      if (!parse_when(c, rule)) return "not N, N+, N+STEP, N..M or N..M+STEP";
    } else if (c.take("size>=")) {
      if (!c.size(rule.min_size)) return "not a size";
    } else {
      return "expected error=, when= or size>=";
    }
  }
  if (*c.at && *c.at != ';') return "unexpected text";
  return rule.err ? nullptr : "error= is missing";
}

}  // namespace spec

constexpr SpecError parse_inject(const char* text, InjectSpec& out) {
  spec::Cursor c{text};
  do {
    if (out.count == kMaxInjectRules) return {"more than 8 rules", c.at};
    if (const char* wrong = spec::parse_rule(c, out.rules[out.count])) return {wrong, c.at};
    ++out.count;
  } while (c.take(";"));
  return {};
}

constexpr SpecError parse_rehearse(const char* text, RehearseSpec& out) {
  spec::Cursor c{text};
  uint64_t bytes = 0;
  if (!c.take("mode=")) return {"expected mode=0, mode=1 or mode=2", c.at};
  if (!c.number(out.mode) || out.mode > 2) return {"the modes are 0, 1 and 2", c.at};
  if (c.take(",limit=")) {
    if (!c.size(bytes)) return {"not a size", c.at};
    out.limit_kb = bytes / 1024;
  }
  return {*c.at ? "expected limit=SIZE, and no more" : nullptr, c.at};
}

}  // namespace ovcshim
