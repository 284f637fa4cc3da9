// SPDX-License-Identifier: MIT
//
// libc_patch.h for aarch64. A site is `mov x8, #nr; svc #0` with glibc's look at the result behind
// it; the mov becomes a branch to the site's thunk, the svc stays. A system call changes x0 alone,
// so nothing is free to jump back through: each thunk ends with a branch of its own to behind the
// site. The thunks lie in the shim's text and are written as libc's code is.
// Rules in this file: those of libc_patch.cc. What does not look exactly as expected stays as it
// is.
#include "shim/libc/libc_patch.h"

#if defined(__aarch64__)
#include <cstddef>

#include "shim/libc/code_writer.h"
#include "shim/libc/loaded_libc.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

enum class Tail {
  kErrno,  // cmn x0, #1, lsl #12; b.hi    or    cmn x0, #0xfff; b.cs
  kBreak,  // adrp x2; ldr x2, [x2, ...]; str x0, [x2]; cmp x1, x0; b.hi    (__curbrk)
};
struct Site {
  const char* symbol;
  uint32_t nr;
  Tail tail;
};
// As on x86-64 (libc_sites.h), but for the marks. Read from the code of glibc 2.36 (Debian 12).
constexpr Site kSites[] = {
    {"mmap", __NR_mmap, Tail::kErrno},     {"mprotect", __NR_mprotect, Tail::kErrno},
    {"munmap", __NR_munmap, Tail::kErrno}, {"brk", __NR_brk, Tail::kBreak},
    {"mremap", __NR_mremap, Tail::kErrno}, {"madvise", __NR_madvise, Tail::kErrno},
    {"_Fork", __NR_clone, Tail::kErrno},
};
constexpr unsigned kSiteCount = sizeof kSites / sizeof kSites[0];
constexpr unsigned kSiteWords = 2;
constexpr unsigned tail_words(Tail tail) { return tail == Tail::kBreak ? 5 : 2; }

struct Thunk {
  uint32_t code[8];
  uint64_t stub, site_return;
};
constexpr unsigned kThunkBytes = 48;
static_assert(sizeof(Thunk) == kThunkBytes && kSiteCount == 7, "the assembly below has the room");

}  // namespace
}  // namespace ovcshim

extern "C" {
[[gnu::visibility("hidden")]] extern unsigned char ovcshim_libc_thunks[];
[[gnu::visibility("hidden")]] extern const unsigned char ovcshim_libc_stub[];
}

// THE FRAME, below a site's stack pointer S:
//     S-16         x30 at the site             S-32, S-24   x16, x17: the thunk's
//     S-224        x29, x30 (in the thunk)     S-208..      x0 to x15, of which x0 to x5 are `args`
//     S-80         x18                         S-72..S-48   LibcSyscallFrame: x29, x30, S,
//     site_return
// Comes back with everything but x0 as it was, and with the flags at anything: dead by the tails.
// clang-format off
asm(R"(.pushsection .text
        .p2align 4
        .type   ovcshim_libc_thunks, %object
ovcshim_libc_thunks:
        .space  48 * 7
        .size   ovcshim_libc_thunks, . - ovcshim_libc_thunks
        .type   ovcshim_libc_stub, %function
ovcshim_libc_stub:
        .cfi_startproc
        .cfi_undefined x30                  // the thunk's caller is told by nothing
        sub     sp, sp, 192
        .cfi_adjust_cfa_offset 192
        stp     x29, x30, [sp]
        stp     x0, x1, [sp, 16]
        stp     x2, x3, [sp, 32]
        stp     x4, x5, [sp, 48]
        stp     x6, x7, [sp, 64]
        stp     x8, x9, [sp, 80]
        stp     x10, x11, [sp, 96]
        stp     x12, x13, [sp, 112]
        stp     x14, x15, [sp, 128]
        str     x18, [sp, 144]
        ldr     x16, [sp, 208]
        stp     x29, x16, [sp, 152]
        add     x16, sp, 224
        ldr     x17, [x30, 20]              // Thunk::site_return, seen from behind the blr
        stp     x16, x17, [sp, 168]
        mov     x0, x8
        add     x1, sp, 16
        add     x2, sp, 152
        bl      ovcshim_libc_syscall
        ldr     x1, [sp, 24]
        ldp     x2, x3, [sp, 32]
        ldp     x4, x5, [sp, 48]
        ldp     x6, x7, [sp, 64]
        ldp     x8, x9, [sp, 80]
        ldp     x10, x11, [sp, 96]
        ldp     x12, x13, [sp, 112]
        ldp     x14, x15, [sp, 128]
        ldr     x18, [sp, 144]
        ldp     x29, x30, [sp]
        add     sp, sp, 192
        .cfi_adjust_cfa_offset -192
        ret
        .cfi_endproc
        .size   ovcshim_libc_stub, . - ovcshim_libc_stub
        .popsection
)");
// clang-format on
static_assert(sizeof(LibcSyscallFrame) == 32 && offsetof(LibcSyscallFrame, site_return) == 24,
              "the stub builds it");

namespace ovcshim {
namespace {

uint32_t word(const unsigned char* at) {
  return uint32_t{at[0]} | uint32_t{at[1]} << 8 | uint32_t{at[2]} << 16 | uint32_t{at[3]} << 24;
}

// ---- shapes

constexpr uint32_t kSvc = 0xd4000001;
constexpr uint32_t load_number(uint32_t nr) { return 0xd2800008 | nr << 5; }  // mov x8, #nr

bool is_branch(uint32_t code, uint32_t condition) {
  return (code & 0xff00001f) == (0x54000000 | condition);
}

bool has_tail(const unsigned char* at, Tail tail) {
  constexpr uint32_t kCarrySet = 2, kHigher = 8;
  if (tail == Tail::kBreak)
    return (word(at) & 0x9f00001f) == 0x90000002 && (word(at + 4) & 0xffc003ff) == 0xf9400042 &&
           word(at + 8) == 0xf9000040 && word(at + 12) == 0xeb00003f &&
           is_branch(word(at + 16), kHigher);
  return (word(at) == 0xb140041f && is_branch(word(at + 4), kHigher)) ||
         (word(at) == 0xb13ffc1f && is_branch(word(at + 4), kCarrySet));
}

// mov x0, #0x11; movk x0, #0x120, lsl #16 before the site: CLONE_CHILD_SETTID |
// CLONE_CHILD_CLEARTID | SIGCHLD tells the clone of fork from any other.
bool is_forks(Code code, const unsigned char* site) {
  bool low = false, high = false;
  for (const unsigned char* at = code.begin; at < site; at += 4)
    low = low || word(at) == 0xd2800220, high = high || word(at) == 0xf2a02400;
  return low && high;
}

// The one place in the function that makes this system call, or nullptr if there is none, or two,
// or it has another shape.
unsigned char* find_site(Code code, const Site& site) {
  const unsigned char* found = nullptr;
  const size_t bytes = 4 * (kSiteWords + tail_words(site.tail));
  for (const unsigned char* at = code.begin; at && at + bytes <= code.end; at += 4) {
    if (word(at) != load_number(site.nr)) continue;
    if (found || word(at + 4) != kSvc) return nullptr;
    found = at;
  }
  if (!found || !has_tail(found + 4 * kSiteWords, site.tail)) return nullptr;
  if (site.nr == __NR_clone && !is_forks(code, found)) return nullptr;
  return const_cast<unsigned char*>(found);
}

constexpr int64_t kReach = int64_t{1} << 27;

uint32_t branch(const unsigned char* from, const unsigned char* to) {
  return 0x14000000 | (static_cast<uint32_t>((to - from) / 4) & 0x03ffffff);
}
bool reaches(const unsigned char* from, const unsigned char* to) {
  return to - from < kReach && to - from >= -kReach;
}

bool calls(Code caller, const unsigned char* callee) {
  for (const unsigned char* at = caller.begin; at && at + 4 <= caller.end; at += 4)
    if (word(at) == (branch(at, callee) | 0x80000000) && reaches(at, callee)) return true;
  return false;
}

// ---- the replacement

struct Plan {
  unsigned known = 0;
  bool near = true, fork_covered = false;
  unsigned char* at[kSiteCount] = {};  // nullptr: leave alone
};

unsigned char* thunk_of(unsigned i) { return ovcshim_libc_thunks + i * kThunkBytes; }

Plan make_plan(const LoadedLibc& libc) {
  Plan plan;
  for (unsigned i = 0; i < kSiteCount; ++i) {
    const Code code = find_function(libc, kSites[i].symbol);
    plan.at[i] = find_site(code, kSites[i]);
    if (!plan.at[i]) continue;
    ++plan.known;
    plan.near = plan.near && reaches(plan.at[i], thunk_of(i)) &&
                reaches(thunk_of(i) + kThunkBytes, plan.at[i]);
    if (kSites[i].nr == __NR_clone)
      plan.fork_covered = calls(find_function(libc, "fork"), code.begin);
  }
  return plan;
}

// What was written as data is to be fetched as code.
void synchronize(const unsigned char* at, size_t bytes) {
  uint64_t type;
  asm volatile("mrs %0, ctr_el0" : "=r"(type));
  const uint64_t data_line = uint64_t{4} << (type >> 16 & 15),
                 code_line = uint64_t{4} << (type & 15);
  const auto begin = reinterpret_cast<uint64_t>(at), end = begin + bytes;
  for (uint64_t line = begin & ~(data_line - 1); line < end; line += data_line)
    asm volatile("dc cvau, %0" : : "r"(line) : "memory");
  asm volatile("dsb ish" : : : "memory");
  for (uint64_t line = begin & ~(code_line - 1); line < end; line += code_line)
    asm volatile("ic ivau, %0" : : "r"(line) : "memory");
  asm volatile("dsb ish\n\tisb" : : : "memory");
}

bool put(CodeWriter& code, unsigned char* at, const void* bytes, size_t count) {
  const bool written = code.write(at, static_cast<const unsigned char*>(bytes), count);
  if (written) synchronize(at, count);
  return written;
}

bool put_thunk(CodeWriter& code, unsigned i, const unsigned char* site) {
  unsigned char* to = thunk_of(i);
  const Thunk thunk = {{0xa9be47f0,                 // stp x16, x17, [sp, #-32]!
                        0xf9000bfe,                 // str x30, [sp, #16]
                        0x580000d0,                 // ldr x16, Thunk::stub
                        load_number(kSites[i].nr),  // what the branch took the place of
                        0xd63f0200,                 // blr x16
                        0xf9400bfe,                 // ldr x30, [sp, #16]
                        0xa8c247f0,                 // ldp x16, x17, [sp], #32
                        branch(to + 28, site + 4 * kSiteWords)},
                       reinterpret_cast<uint64_t>(ovcshim_libc_stub),
                       reinterpret_cast<uint64_t>(site + 4 * kSiteWords)};
  return put(code, to, &thunk, sizeof thunk);
}

constinit unsigned char* g_replaced[kSiteCount]{};  // nullptr: was left alone

unsigned replace_all(const Plan& plan, CodeWriting& writing) {
  CodeWriter code;
  unsigned done = 0;
  for (unsigned i = 0; i < kSiteCount; ++i) {
    unsigned char* at = plan.at[i];
    if (!at || !put_thunk(code, i, at)) continue;
    const uint32_t jump = branch(at, thunk_of(i));
    if (put(code, at, &jump, sizeof jump)) g_replaced[i] = at, ++done;
  }
  writing = code.outcome();
  return done;
}

}  // namespace

InternalsState patch_libc(uint64_t threads, CodeWriting& writing, OtherThreads others,
                          bool (*proven)(uint64_t)) {
  LoadedLibc libc;
  if (!find_libc(libc, proven)) return InternalsState::kUnknownLibc;
  const Plan plan = make_plan(libc);
  if (!plan.known) return InternalsState::kUnknownLibc;
  if (!plan.near) return InternalsState::kTooFar;
  if (threads == kUnknown) return InternalsState::kRefused;
  if (threads != 1 && others != OtherThreads::kStopped) return InternalsState::kThreaded;
  const unsigned done = replace_all(plan, writing);
  if (!done) return InternalsState::kRefused;
  return done == kSiteCount && plan.fork_covered ? InternalsState::kOn : InternalsState::kPartly;
}

uint64_t near_page() { return 0; }

bool give_libc_back() {
  CodeWriter code;
  bool all = true;
  for (unsigned i = 0; i < kSiteCount; ++i) {
    unsigned char* at = g_replaced[i];
    if (!at) continue;
    const uint32_t number = load_number(kSites[i].nr);
    if (word(at) != branch(at, thunk_of(i)) || !put(code, at, &number, sizeof number)) all = false;
    else g_replaced[i] = nullptr;
  }
  return all;
}

}  // namespace ovcshim

#endif
