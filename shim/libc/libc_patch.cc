// SPDX-License-Identifier: MIT
//
// Finds the known system call sites in the loaded libc.so.6 by its own dynamic symbol table (not
// dlsym: another preload may come first) and replaces each with a jump to its stub. Strict: a site
// that does not look exactly as expected stays as it is.
//
// Rules in this file: runs once, in the constructor, in a process that may have one thread and any
// libc: every doubt means "leave it alone". No libc calls, no allocation; libc's text is changed
// by code_writer.cc alone.
// Rule for ovcshim_libc_syscall, which runs at the sites: glibc calls madvise on a dying thread's
// own stack and spares PTHREAD_STACK_MIN (16 KiB) below the caller, so stub and hook together must
// stay well within that.
#include "shim/libc/libc_patch.h"

#if defined(__x86_64__) && defined(__LP64__)
#include <cstddef>

#include "shim/libc/code_writer.h"
#include "shim/libc/libc_sites.h"
#include "shim/libc/loaded_libc.h"
#include "shim/libc/near_page.h"
#include "shim/sys/sys.h"

// clang-format off
#define SLOT(symbol, nr, tail, edi)                                                  \
  extern "C" [[gnu::visibility("hidden")]] const unsigned char ovcshim_stub_##symbol[]; \
  extern "C" {                                                                          \
  [[gnu::visibility("hidden"), gnu::used]] constinit uint64_t ovcshim_return_##symbol = 0; \
  }
OVCSHIM_LIBC_SITES(SLOT)
#undef SLOT
// clang-format on

asm(".pushsection .text\n" OVCSHIM_LIBC_SITES(OVCSHIM_STUB) OVCSHIM_STUB_BODY ".popsection\n");

static_assert(sizeof(LibcSyscallFrame) == 64 && offsetof(LibcSyscallFrame, site_return) == 56,
              "the stubs build it");

namespace ovcshim {
namespace {

constexpr size_t kSiteBytes = 7;   // mov $nr,%eax (5); syscall (2)
constexpr size_t kJumpBytes = 5;   // jmp rel32
constexpr size_t kTailBytes = 15;  // at most looked at behind a site
enum class Tail { kErrno, kBreak, kMarkAbort, kMarkExit };

struct Site {
  const char* symbol;
  uint8_t nr;
  Tail tail;
  uint32_t edi;  // must be loaded into it before the site, 0: nothing
  const unsigned char* stub;
  uint64_t* site_return;  // the stub's way back
};
// clang-format off
#define ROW(symbol, nr, tail, edi) {#symbol, nr, Tail::tail, edi, ovcshim_stub_##symbol, &ovcshim_return_##symbol},
constinit const Site kSites[] = {OVCSHIM_LIBC_SITES(ROW)};
#undef ROW
// clang-format on
constexpr unsigned kSiteCount = sizeof kSites / sizeof kSites[0];
constexpr bool is_mark(const Site& site) {
  return site.tail == Tail::kMarkAbort || site.tail == Tail::kMarkExit;
}
// What must be there for all calls inside libc to be seen; a mark only adds to it.
constexpr unsigned call_sites() {
  unsigned count = 0;
  for (const Site& site : kSites) count += !is_mark(site);
  return count;
}
static_assert(__NR_mmap == 9 && __NR_mprotect == 10 && __NR_munmap == 11 && __NR_brk == 12 &&
              __NR_mremap == 25 && __NR_madvise == 28 && __NR_clone == 56);

uint32_t load32(const unsigned char* p) {
  return uint32_t{p[0]} | uint32_t{p[1]} << 8 | uint32_t{p[2]} << 16 | uint32_t{p[3]} << 24;
}

// ---- shapes

bool same_bytes(const unsigned char* a, const unsigned char* b, size_t count) {
  return sys::equal(reinterpret_cast<const char*>(a), reinterpret_cast<const char*>(b), count);
}

bool is_call_site(const unsigned char* at, uint8_t nr) {
  const unsigned char expected[kSiteBytes] = {0xb8, nr, 0, 0, 0, 0x0f, 0x05};
  for (size_t i = 0; i < kSiteBytes; ++i)
    if (at[i] != expected[i]) return false;
  return true;
}

// A conditional jump of the given kind (low nibble of its opcode), short or near.
bool is_jump(const unsigned char* p, uint8_t condition) {
  return p[0] == (0x70 | condition) || (p[0] == 0x0f && p[1] == (0x80 | condition));
}

bool has_errno_tail(const unsigned char* p) {
  if (p[0] != 0x48 || p[1] != 0x3d) return false;  // cmp imm32,%rax
  uint32_t limit = load32(p + 2);
  return (limit == static_cast<uint32_t>(-4095) && is_jump(p + 6, 0x3)) ||  // jae
         (limit == static_cast<uint32_t>(-4096) && is_jump(p + 6, 0x7));    // ja
}

bool has_break_tail(const unsigned char* p) {
  bool through_got = p[0] == 0x48 && p[1] == 0x8b &&
                     p[2] == 0x15 &&  // mov __curbrk@got(%rip),%rdx; mov %rax,(%rdx)
                     p[7] == 0x48 && p[8] == 0x89 && p[9] == 0x02;
  const unsigned char* compare = p + 10;
  return through_got && compare[0] == 0x48 && compare[1] == 0x39 && compare[2] == 0xf8 &&
         is_jump(compare + 3, 0x2);  // jb
}

// mov $value,%edi somewhere before the site: tells the clone of fork from any other.
bool loads_edi(const unsigned char* begin, const unsigned char* site, uint32_t value) {
  for (const unsigned char* at = begin; at + 5 <= site; ++at)
    if (at[0] == 0xbf && load32(at + 1) == value) return true;
  return false;
}

// Where a jump at p would go, p's own address if there is none. Read at every byte, so that no
// instruction boundary can be missed; what only looks like a jump can at worst make a site be left
// alone.
const unsigned char* jump_target(const unsigned char* p, size_t left) {
  bool is_short = p[0] == 0xeb || (p[0] & 0xf0) == 0x70;
  if (is_short && left >= 2) return p + 2 + static_cast<signed char>(p[1]);
  if (p[0] == 0xe9 && left >= 5) return p + 5 + static_cast<int32_t>(load32(p + 1));
  if (p[0] == 0x0f && left >= 6 && (p[1] & 0xf0) == 0x80)
    return p + 6 + static_cast<int32_t>(load32(p + 2));
  return p;
}

bool is_entered_halfway(Code code, const unsigned char* site, size_t bytes) {
  for (const unsigned char* p = code.begin; p < code.end; ++p) {
    if (p >= site && p < site + bytes) continue;
    const unsigned char* target = jump_target(p, static_cast<size_t>(code.end - p));
    if (target > site && target < site + bytes) return true;
  }
  return false;
}

// The mov and what follows it up to where the flags, rcx and r11 are the kernel's.
bool is_mark_site(const unsigned char* at, Tail tail) {
  static constexpr unsigned char kAbortCode[] = {0xb8, 0x0e, 0, 0, 0, 0x48, 0xc7, 0x04,
                                                 0x24, 0x20, 0, 0, 0, 0x0f, 0x05};
  static constexpr unsigned char kExitCode[] = {0xbe, 0xe7, 0, 0, 0, 0xba, 0x3c, 0, 0, 0, 0xeb};
  const unsigned char* expected = tail == Tail::kMarkAbort ? kAbortCode : kExitCode;
  const size_t bytes = tail == Tail::kMarkAbort ? sizeof kAbortCode : sizeof kExitCode;
  return sys::equal(reinterpret_cast<const char*>(at), reinterpret_cast<const char*>(expected),
                    bytes);
}

const unsigned char* find_mark(Code code, const Site& site) {
  const unsigned char* found = nullptr;
  for (const unsigned char* at = code.begin; at + kSiteBytes + kTailBytes <= code.end; ++at) {
    if (!is_mark_site(at, site.tail)) continue;
    if (found) return nullptr;
    found = at;
  }
  return found && !is_entered_halfway(code, found, kJumpBytes) ? found : nullptr;
}

// The one place in the function that makes this system call, or nullptr if there is none, or two,
// or it has another shape.
const unsigned char* find_site(Code code, const Site& site) {
  if (code.begin && is_mark(site)) return find_mark(code, site);
  const unsigned char* found = nullptr;
  if (!code.begin) return nullptr;
  for (const unsigned char* at = code.begin; at + kSiteBytes + kTailBytes <= code.end; ++at) {
    if (!is_call_site(at, site.nr)) continue;
    if (found) return nullptr;
    found = at;
  }
  if (!found) return nullptr;
  const unsigned char* tail = found + kSiteBytes;
  bool fits = site.tail == Tail::kBreak ? has_break_tail(tail) : has_errno_tail(tail);
  if (!fits || (site.edi && !loads_edi(code.begin, found, site.edi)) ||
      is_entered_halfway(code, found, kSiteBytes))
    return nullptr;
  return found;
}

// fork has to go through the code of _Fork; a libc that inlined it there is only partly covered.
bool calls(Code caller, const unsigned char* callee) {
  if (!caller.begin) return false;
  for (const unsigned char* at = caller.begin; at + 5 <= caller.end; ++at)
    if (at[0] == 0xe8 && at + 5 + static_cast<int32_t>(load32(at + 1)) == callee) return true;
  return false;
}

// ---- the replacement

struct Plan {
  unsigned known = 0;
  bool fork_covered = false;
  unsigned char* at[kSiteCount] = {};  // nullptr: leave alone
};

Plan make_plan(const LoadedLibc& libc) {
  Plan plan;
  for (unsigned i = 0; i < kSiteCount; ++i) {
    Code code = find_function(libc, kSites[i].symbol);
    plan.at[i] = const_cast<unsigned char*>(find_site(code, kSites[i]));
    if (!plan.at[i]) continue;
    plan.known += !is_mark(kSites[i]);
    if (kSites[i].nr == __NR_clone)
      plan.fork_covered = calls(find_function(libc, "fork"), code.begin);
  }
  return plan;
}

// Where the stubs are out of reach: a page near libc that has for each site
//     jmp *0(%rip); the stub's address
constexpr unsigned kThunkBytes = 16;
constinit uint64_t g_thunks = 0;

uint64_t jump_to(const Site& site) {
  return g_thunks ? g_thunks + static_cast<uint64_t>(&site - kSites) * kThunkBytes
                  : reinterpret_cast<uint64_t>(site.stub);
}

int64_t distance(const unsigned char* at, const Site& site) {
  return static_cast<int64_t>(jump_to(site)) - reinterpret_cast<int64_t>(at + kJumpBytes);
}

bool is_near(const Plan& plan) {
  for (unsigned i = 0; i < kSiteCount; ++i)
    if (plan.at[i] &&
        distance(plan.at[i], kSites[i]) != static_cast<int32_t>(distance(plan.at[i], kSites[i])))
      return false;
  return true;
}

bool write_thunks(CodeWriter& code) {
  for (const Site& site : kSites) {
    unsigned char thunk[kThunkBytes] = {0xff, 0x25};
    const auto stub = reinterpret_cast<uint64_t>(site.stub);
    sys::copy(thunk + 6, &stub, sizeof stub);
    if (!code.write(reinterpret_cast<unsigned char*>(jump_to(site)), thunk, kThunkBytes))
      return false;
  }
  return true;
}

// Only a shim that comes late is too far away. Its charge is none: a page that nobody may write to.
bool come_near(const Plan& plan, CodeWriting& writing) {
  uint64_t lowest = UINT64_MAX, highest = 0;
  for (const unsigned char* at : plan.at) {
    const auto address = reinterpret_cast<uint64_t>(at);
    if (at && address < lowest) lowest = address;
    if (at && address > highest) highest = address;
  }
  g_thunks = map_near(lowest, highest);
  if (!g_thunks) return false;
  CodeWriter code;
  const bool written = write_thunks(code);
  writing = code.outcome();
  if (written && is_near(plan)) return true;
  sys::call(__NR_munmap, static_cast<long>(g_thunks), 4096);
  g_thunks = 0;
  return false;
}

// Sites that lie close together are one write: what is between them is written as it was.
constexpr size_t kRun = 512;  // bytes

struct Jump {
  unsigned char bytes[kJumpBytes];
};
Jump jump_bytes(const unsigned char* at, const Site& site) {
  Jump jump{{0xe9}};
  const auto rel32 = static_cast<int32_t>(distance(at, site));
  sys::copy(jump.bytes + 1, &rel32, sizeof rel32);
  return jump;
}

struct Replaced {
  unsigned char* at;  // nullptr: was left alone
  unsigned char bytes[kJumpBytes];
};
constinit Replaced g_replaced[kSiteCount]{};

void note_replaced(unsigned i, unsigned char* at, const unsigned char* before) {
  g_replaced[i].at = at;
  sys::copy(g_replaced[i].bytes, before, kJumpBytes);
}

// The code was written under another address than it runs under: the processor wants a serializing
// instruction between. A thread that stood still comes back by one (iret).
void serialize() {
  uint32_t a = 0, b, c = 0, d;
  asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
}

// The jump takes the place of `mov $nr,%eax` alone. The syscall behind it stays: a uprobe set here
// later runs the mov it read from the file and goes on behind it, and must find the system call
// there, not nothing.
void put_jump(unsigned char* to, const unsigned char* at, const Site& site) {
  const Jump jump = jump_bytes(at, site);
  sys::copy(to, jump.bytes, kJumpBytes);
  *site.site_return = reinterpret_cast<uint64_t>(at + (is_mark(site) ? kJumpBytes : kSiteBytes));
}

// The lowest site not below `from`.
unsigned char* next_site(const Plan& plan, const unsigned char* from) {
  unsigned char* lowest = nullptr;
  for (unsigned char* site : plan.at)
    if (site && site >= from && (!lowest || site < lowest)) lowest = site;
  return lowest;
}

// All sites of the plan that begin less than a run behind this one, and their number.
unsigned replace_run(CodeWriter& code, const Plan& plan, unsigned char* at) {
  unsigned char before[kRun], after[kRun];
  size_t bytes = 0;
  unsigned calls = 0;
  const auto inside = [at](const unsigned char* s) {
    return s && s >= at && s + kJumpBytes <= at + kRun;
  };
  for (const unsigned char* site : plan.at)
    if (inside(site) && site + kJumpBytes > at + bytes)
      bytes = static_cast<size_t>(site + kJumpBytes - at);
  sys::copy(before, at, bytes);
  sys::copy(after, at, bytes);
  for (unsigned i = 0; i < kSiteCount; ++i)
    if (inside(plan.at[i]))
      put_jump(after + (plan.at[i] - at), plan.at[i], kSites[i]), calls += !is_mark(kSites[i]);
  if (!code.write(at, after, bytes)) {
    code.write(at, before, bytes);  // a short write must not stay
    return 0;
  }
  for (unsigned i = 0; i < kSiteCount; ++i)
    if (inside(plan.at[i])) note_replaced(i, plan.at[i], before + (plan.at[i] - at));
  return calls;
}

unsigned replace_all(const Plan& plan, CodeWriting& writing) {
  CodeWriter code;
  unsigned done = 0;
  constexpr size_t kFurther = kRun - kJumpBytes + 1;
  for (unsigned char* at = next_site(plan, nullptr); at; at = next_site(plan, at + kFurther))
    done += replace_run(code, plan, at);
  writing = code.outcome();
  serialize();
  return done;
}

}  // namespace

InternalsState patch_libc(uint64_t threads, CodeWriting& writing, OtherThreads others,
                          bool (*proven)(uint64_t)) {
  LoadedLibc libc;
  if (!find_libc(libc, proven)) return InternalsState::kUnknownLibc;
  Plan plan = make_plan(libc);
  if (!plan.known) return InternalsState::kUnknownLibc;
  if (!is_near(plan) && !(others == OtherThreads::kStopped && come_near(plan, writing)))
    return InternalsState::kTooFar;
  if (threads == kUnknown) return InternalsState::kRefused;
  if (threads != 1 && others != OtherThreads::kStopped) return InternalsState::kThreaded;
  unsigned done = replace_all(plan, writing);
  if (!done) return InternalsState::kRefused;
  return done == call_sites() && plan.fork_covered ? InternalsState::kOn : InternalsState::kPartly;
}

uint64_t near_page() { return g_thunks; }

bool give_libc_back() {
  CodeWriter code;
  bool all = true;
  for (unsigned i = 0; i < kSiteCount; ++i) {
    Replaced& site = g_replaced[i];
    if (!site.at) continue;
    const Jump jump = jump_bytes(site.at, kSites[i]);
    if (!same_bytes(site.at, jump.bytes, kJumpBytes) ||
        !code.write(site.at, site.bytes, kJumpBytes))
      all = false;  // changed by somebody else since
    else site.at = nullptr;
  }
  serialize();
  return all;
}

}  // namespace ovcshim

#endif  // aarch64: libc_patch_aarch64.cc
