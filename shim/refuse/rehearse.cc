// SPDX-License-Identifier: MIT
//
// See rehearse.h. Every figure is read when the call comes: Committed_AS and the reserves from
// /proc, mappings from smaps. Slow on purpose: a rehearsal wants the kernel's answer, not its
// speed. What cannot be rehearsed: growth of stacks, exec, and calls made without libc.
#include "shim/refuse/rehearse.h"

#include <linux/sched.h>
#include <sys/mman.h>

#include "shim/proc/host_files.h"
#include "shim/proc/proc_files.h"
#include "shim/record/event.h"
#include "shim/record/refusal.h"
#include "shim/record/smaps.h"

namespace ovcshim {
namespace {

constexpr uint64_t kMapDroppable = 0x08;
constexpr uint64_t kPageKb = kPageBytes / 1024;
constexpr uint64_t kModeGuess = 0, kModeNever = 2;

constinit bool admin_counts = false;  // this is the initial user namespace

// What the kernel would check for one call, kB.
struct Request {
  uint64_t charge_kb = 0;   // sum
  uint64_t biggest_kb = 0;  // largest single check: mode 0 looks at that only
  bool checked = false;     // is anything checked at all?
  void add(uint64_t bytes) {
    const uint64_t kb = (bytes + kPageBytes - 1) / kPageBytes * kPageKb;
    checked = true;
    charge_kb += kb;
    if (kb > biggest_kb) biggest_kb = kb;
  }
};

bool is_private(uint64_t flags) { return (flags & MAP_TYPE) == MAP_PRIVATE; }
bool is_shared(uint64_t flags) {
  return (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;
}
bool is_accounted(const MappingEntry& m) { return (m.flags & (kMapAc | kMapDc)) == kMapAc; }

// Calls `each` with the part of every mapping inside [start, end).
template <typename Each>
bool for_each_mapping(uint64_t start, uint64_t end, Each each) {
  Scratch* scratch = take_scratch();
  if (!scratch) return false;
  {
    Smaps smaps(scratch->io, sizeof scratch->io);
    for (MappingEntry m; smaps.next(m) && m.start < end;) {
      if (m.end <= start) continue;
      each(m, (m.end < end ? m.end : end) - (m.start > start ? m.start : start));
    }
  }
  give_back(scratch);
  return true;
}

// mm/vma.c accountable_mapping() and, for shared anonymous memory, mm/shmem.c shmem_acct_size().
// With MAP_FIXED the pages replaced are given back first or counted against it: the sum is the
// same.
bool mmap_request(Request& r, const uint64_t* args) {
  const uint64_t len = args[1], prot = args[2], flags = rehearsed_mmap_flags(args[3]);
  const bool charged =
      !(flags & MAP_HUGETLB) && !(flags & MAP_NORESERVE) &&
      (is_shared(flags) ? (flags & MAP_ANONYMOUS) != 0 : is_private(flags) && (prot & PROT_WRITE));
  if (!charged || (flags & MAP_TYPE) == kMapDroppable || len == 0) return true;
  uint64_t replaced = 0;
  if ((flags & MAP_FIXED) && is_private(flags))
    for_each_mapping(args[0], args[0] + len, [&](const MappingEntry& m, uint64_t bytes) {
      if (m.flags & kMapAc) replaced += bytes;
    });
  if (replaced < len) r.add(len - replaced);
  return true;
}

// mm/mprotect.c mprotect_fixup(): what becomes writable and was not yet accounted.
bool mprotect_request(Request& r, const uint64_t* args) {
  constexpr uint32_t kExempt = kMapAc | kMapWrite | kMapHt | kMapShared | kMapNr;
  if (!(args[2] & PROT_WRITE)) return true;
  return for_each_mapping(args[0], args[0] + args[1], [&](const MappingEntry& m, uint64_t bytes) {
    if (!(m.flags & kExempt)) r.add(bytes);
  });
}

// mm/mremap.c: growth, or the whole with MREMAP_DONTUNMAP.
bool mremap_request(Request& r, const uint64_t* args) {
  constexpr uint64_t kDontUnmap = 4;
  const uint64_t old_len = args[1], new_len = args[2];
  const uint64_t growth = args[3] & kDontUnmap ? new_len
                          : new_len > old_len  ? new_len - old_len
                                               : 0;
  if (growth == 0) return true;
  return for_each_mapping(args[0], args[0] + 1, [&](const MappingEntry& m, uint64_t) {
    if (m.flags & kMapAc) r.add(growth);
  });
}

// mm/mmap.c do_brk_flags(): always accounted.
bool brk_request(Request& r, const uint64_t* args) {
  const auto now = static_cast<uint64_t>(sys::call(__NR_brk, 0));
  const auto up = [](uint64_t address) { return (address + kPageBytes - 1) & ~(kPageBytes - 1); };
  if (up(args[0]) > up(now)) r.add(up(args[0]) - up(now));
  return true;
}

// dup_mmap(): every accounted mapping that is copied.
bool fork_request(Request& r) {
  return for_each_mapping(0, UINT64_MAX, [&](const MappingEntry& m, uint64_t bytes) {
    if (is_accounted(m)) r.add(bytes);
  });
}

// ipc/shm.c newseg(): a new segment is charged at once, one that is there no more.
bool shmget_request(Request& r, const uint64_t* args) {
  constexpr uint64_t kHugetlb = 04000, kNoreserve = 010000;
  const auto key = static_cast<long>(static_cast<int32_t>(args[0]));
  const bool is_there =
      key != 0 /* IPC_PRIVATE */ && !sys::failed(sys::call(__NR_shmget, key, 0, 0));
  const bool charged =
      !(args[2] & kHugetlb) && (!(args[2] & kNoreserve) || g_rehearsal.mode == kModeNever);
  if (!is_there && charged && args[1] != 0) r.add(args[1]);
  return true;
}

bool request_of(Op op, const uint64_t* args, Request& r) {
  switch (op) {
    case Op::kMmap: return mmap_request(r, args);
    case Op::kMprotect: return mprotect_request(r, args);
    case Op::kMremap: return mremap_request(r, args);
    case Op::kBrk: return brk_request(r, args);
    case Op::kFork:
    case Op::kUnderscoreFork:
    case Op::kDaemon:
    case Op::kForkpty: return fork_request(r);
    case Op::kShmget: return shmget_request(r, args);
    case Op::kClone: return args[0] & CLONE_VM ? true : fork_request(r);
    default: return true;
  }
}

// cap_capable(CAP_SYS_ADMIN) in the initial user namespace waives the admin reserve. capget takes
// no privilege.
bool is_admin() {
  struct {
    uint32_t version;
    int pid;
  } header{0x20080522 /* _LINUX_CAPABILITY_VERSION_3 */, 0};
  struct {
    uint32_t effective, permitted, inheritable;
  } sets[2]{};
  constexpr uint32_t kSysAdmin = 1u << 21;
  return admin_counts &&
         !sys::failed(sys::call(__NR_capget, reinterpret_cast<long>(&header),
                                reinterpret_cast<long>(sets))) &&
         (sets[0].effective & kSysAdmin);
}

uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

// mm/util.c __vm_enough_memory(), mode 2, in pages as there.
bool never_refuses(const Request& r, Refusal& out) {
  CommitState now;
  commit_state(now, Freshness::kFresh);
  if (now.committed_kb == kUnknown || now.vm_size_pages == kUnknown) return false;
  const uint64_t user_kb = read_number("/proc/sys/vm/user_reserve_kbytes");
  const uint64_t admin_kb = is_admin() ? 0 : read_number("/proc/sys/vm/admin_reserve_kbytes");
  if (user_kb == kUnknown || admin_kb == kUnknown) return false;
  const uint64_t reserve = admin_kb / kPageKb + smaller(now.vm_size_pages / 32, user_kb / kPageKb);
  const uint64_t limit = out.limit_kb / kPageKb, allowed = limit > reserve ? limit - reserve : 0;
  out.committed_kb = now.committed_kb;
  out.allowed_kb = allowed * kPageKb;
  return now.committed_kb / kPageKb + r.charge_kb / kPageKb >= allowed;
}

// The limits that are checked before the commit limit (mm/vma.c may_expand_vm()): the kernel itself
// will say no.
bool kernel_says_no(Op op, const Request& r) {
  struct {
    uint64_t g_rehearsal, maximum;
  } limit{UINT64_MAX, 0};
  if (op != Op::kMmap && op != Op::kBrk && op != Op::kMremap) return false;
  sys::call(__NR_prlimit64, 0, 9 /* RLIMIT_AS */, 0, reinterpret_cast<long>(&limit));
  if (limit.g_rehearsal == UINT64_MAX) return false;
  CommitState now;
  commit_state(now, Freshness::kFresh);
  return now.vm_size_pages != kUnknown &&
         now.vm_size_pages + r.charge_kb / kPageKb > limit.g_rehearsal / kPageBytes;
}

// As mode 0 counts them: what a container shows in /proc/meminfo need not be that.
uint64_t ram_and_swap_kb() {
  Fact list[4]{};
  Facts facts{list, sizeof list / sizeof list[0]};
  add_kernel_totals(facts);
  uint64_t sum = 0;
  for (uint32_t i = 0; i < facts.count; ++i)
    if (list[i].key == static_cast<uint32_t>(FactKey::kSysinfoRamKb) ||
        list[i].key == static_cast<uint32_t>(FactKey::kSysinfoSwapKb))
      sum += list[i].value;
  return sum ? sum : kUnknown;
}

}  // namespace

void set_rehearsal(const RehearseSpec& spec) {
  char io[2048];
  g_rehearsal = spec;
  const bool have = read_file("/proc/meminfo", io, sizeof io) > 0;
  if (g_rehearsal.limit_kb == kUnknown && g_rehearsal.mode != kModeNever)
    g_rehearsal.limit_kb = ram_and_swap_kb();
  else if (g_rehearsal.limit_kb == kUnknown && have)
    g_rehearsal.limit_kb = find_value(io, "CommitLimit:");
  char map[64]{};
  const char* rest = map;
  admin_counts = read_file("/proc/self/uid_map", map, sizeof map) > 0 &&
                 parse_number(rest, &rest) == 0 && parse_number(rest, &rest) == 0 &&
                 parse_number(rest, &rest) == 4294967295;
}

uint64_t rehearsed_mmap_flags(uint64_t flags) {
  return g_rehearsal.mode == kModeNever && !(flags & MAP_HUGETLB) ? flags & ~uint64_t{MAP_NORESERVE}
                                                                  : flags;
}

bool rehearsal_refuses(Op op, const uint64_t* args) {
  if ((g_rehearsal.mode != kModeNever && g_rehearsal.mode != kModeGuess) ||
      g_rehearsal.limit_kb == kUnknown || is_quiet())
    return false;
  Request r;
  if (!request_of(op, args, r) || !r.checked || kernel_says_no(op, r)) return false;
  Refusal refusal{
      0, op, kRehearsed, r.charge_kb, kUnknown, g_rehearsal.limit_kb, g_rehearsal.limit_kb};
  const bool no = g_rehearsal.mode == kModeNever ? never_refuses(r, refusal)
                                                 : r.biggest_kb > g_rehearsal.limit_kb;
  if (!no) return false;
  refusal.tick = tick_now();
  t_refusal = refusal;
  return true;
}

}  // namespace ovcshim
