// SPDX-License-Identifier: MIT
//
// See start.h. Rules: as session.cc.
#include "shim/session/start.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>

#include "shim/proc/proc_file.h"
#include "shim/proc/proc_files.h"
#include "shim/record/process.h"
#include "shim/record/samples.h"
#include "shim/sys/vdso.h"
#include "shim/unwind/memory.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ovcshim {
namespace {

uint64_t pid_namespace() {
  char link[64];
  const long n = sys::call(__NR_readlinkat, AT_FDCWD, reinterpret_cast<long>("/proc/self/ns/pid"),
                           reinterpret_cast<long>(link), sizeof link - 1);
  if (sys::failed(n)) return 0;
  link[n] = '\0';
  const char* c = link;
  while (*c && *c != '[') ++c;
  const uint64_t inode = *c ? parse_number(c + 1) : 0;
  return inode == kUnknown ? 0 : inode;
}

uint32_t namespace_index(uint64_t inode) {
  for (uint32_t i = 0; inode && i < kNoNamespace; ++i) {
    uint64_t there = 0;
    if (__atomic_compare_exchange_n(&g.header->namespaces[i], &there, inode, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
        there == inode)
      return i;
  }
  return kNoNamespace;
}

// The object's own writable segments (relro included: it was writable when it was mapped) are
// charged like any private mapping.
extern "C" [[gnu::visibility("hidden")]] const ElfW(Ehdr) __ehdr_start;

uint64_t own_segments_kb() {
  auto* headers = reinterpret_cast<const ElfW(Phdr)*>(reinterpret_cast<const char*>(&__ehdr_start) +
                                                      __ehdr_start.e_phoff);
  uint64_t bytes = 0;
  for (unsigned i = 0; i < __ehdr_start.e_phnum; ++i) {
    const ElfW(Phdr)& h = headers[i];
    if (h.p_type != PT_LOAD || !(h.p_flags & PF_W)) continue;
    const uint64_t start = h.p_vaddr & ~(kPageBytes - 1);
    bytes += (h.p_vaddr + h.p_memsz + kPageBytes - 1 - start) & ~(kPageBytes - 1);
  }
  return bytes / 1024;
}

}  // namespace

bool map_private(StartProblem& problem) {
  constexpr long kBytes = (sizeof(Private) + kPageBytes - 1) & ~(kPageBytes - 1);
  const long at = map_wiped(kBytes);
  if (sys::failed(at)) {
    problem.why = at == -EINVAL   ? "this kernel has no MADV_WIPEONFORK (Linux 4.14 has it)"
                  : at == -ENOMEM ? "cannot map private memory"
                                  : "a seccomp filter refuses madvise(MADV_WIPEONFORK)";
    problem.err = at == -EINVAL ? 0 : static_cast<int>(-at);
    return false;
  }
  g_private = reinterpret_cast<Private*>(at);
  own_pid_is_at(&g_private->pid);
  g.own_commit_kb = kBytes / 1024 + own_segments_kb();
  return true;
}

namespace {

// What a log that was joined has seen of the clock; false where that says nothing.
bool tick_rate_of_log() {
  constexpr uint64_t kLeastUs = 1000, kLeastRate = 100, kMostRate = 20000;  // ticks a microsecond
  constexpr long kMonotonic = 1;
  const ClockPair& first = g.header->created;
  const uint64_t now = tick_now(), ns = sys::clock_ns(kMonotonic);
  if (now < first.tick || ns < first.monotonic_ns + kLeastUs * 1000) return false;
  const uint64_t rate = (now - first.tick) / ((ns - first.monotonic_ns) / 1000);
  if (rate < kLeastRate || rate > kMostRate) return false;  // another time namespace
  g_ticks_per_ms = rate * 1000;
  return true;
}

// Rate of the clock, to about 1 %: good enough for ages and rate limits.
void estimate_tick_rate() {
  if (!g.use_tsc) return;
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_max(0, nullptr) >= 0x15 && __get_cpuid(0x15, &a, &b, &c, &d) && a && b && c) {
    g_ticks_per_ms = static_cast<uint64_t>(c) * b / a / 1000;
    return;
  }
  if (__get_cpuid_max(0, nullptr) >= 0x16 && __get_cpuid(0x16, &a, &b, &c, &d) && (a & 0xffff)) {
    g_ticks_per_ms = static_cast<uint64_t>(a & 0xffff) * 1000;
    return;
  }
  constexpr long kMonotonic = 1;
  const uint64_t from = sys::clock_ns(kMonotonic), start = tick_now();
  uint64_t ns = 0;
  do {  // 50 microseconds
    const uint64_t to = sys::clock_ns(kMonotonic);
    if (to <= from) return;  // a sandbox: the rate stays a guess
    ns = to - from;
  } while (ns < 50000);
  g_ticks_per_ms = (tick_now() - start) * 1000000 / ns;
#else
  uint64_t hz;
  asm("mrs %0, cntfrq_el0" : "=r"(hz));
  g_ticks_per_ms = hz / 1000;
#endif
}

}  // namespace

void know_tick_rate() {
  if (!g.joined || !g.use_tsc || !tick_rate_of_log()) estimate_tick_rate();
}

void enter_libc(const Settings& s, const StatFields& stat, OtherThreads others) {
  g.stack_depth = s.log.stack_depth;
  g.follow = s.log.follow;
  g.pidns = pid_namespace();
  g.ns_index = namespace_index(g.pidns);
  CodeWriting writing;
  const InternalsState state =
      s.internals ? patch_libc(stat.threads, writing, others, is_kept_head) : InternalsState::kOff;
  g.internals_word =
      internals_word({state, writing.mem_error, writing.mprotect_error, writing.filtered});
  g.own_commit_kb += writing.charged_kb;
  g.internals = state == InternalsState::kOn || state == InternalsState::kPartly;
}

uint64_t begin_recording(const Settings& s, const StatFields& stat) {
  g.recording = true;
  const uint64_t start = register_image(stat);
  if (!g.attached) spare_first_requests();
  keep_calls_from(g.chunk_count ? s.log.min_size : UINT64_MAX);
  return start;
}

}  // namespace ovcshim
