// SPDX-License-Identifier: MIT
//
// The table of errnos: reasons that arguments prove, reasons that facts prove, and the lists where
// neither does. What can be made for real is in tests/e2e/errno_reasons.sh.
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <csignal>
#include <set>
#include <tuple>

#include "tests/unit/catch.h"
#include "tests/unit/cause_case.h"
#include "tools/causes/errno_rows.h"
#include "tools/log/names.h"

using namespace ovc;
using namespace ovc::test;
using ovcshim::SecurityModule;

namespace {

// The reason, or of several that are possible one of them.
bool says(const Finding& finding, std::string_view part) {
  const auto holds = [&](const Suspect& s) { return s.text.find(part) != std::string::npos; };
  return finding.summary.find(part) != std::string::npos ||
         std::any_of(finding.suspects.begin(), finding.suspects.end(), holds);
}

Case file_mmap(uint16_t err, uint64_t prot = PROT_READ, uint64_t flags = MAP_PRIVATE) {
  return {Op::kMmap, err, {0, 4096, prot, flags, 7, 0}};
}

Case& module(Case& c, SecurityModule which) {
  return c.with(FactKey::kSecurityModule, static_cast<uint64_t>(which));
}

}  // namespace

TEST_CASE("every row of the errno table has a reason of its own and a source") {
  std::set<std::tuple<Op, uint16_t, std::string_view>> seen;
  for (const auto rows : {causes::mmap_errnos(), causes::change_errnos(), causes::shared_errnos(),
                          causes::file_errnos(), causes::task_errnos(), causes::exec_errnos()})
    for (const auto& row : rows) {
      CAPTURE(op_name(row.op), row.err, row.text);
      CHECK(seen.insert({row.op, row.err, row.text}).second);
      CHECK(causes::row_op(row.op) == row.op);
      CHECK_FALSE(row.source.empty());
      CHECK_FALSE(row.cause.empty());
      CHECK_FALSE(row.text.empty());
    }
}

TEST_CASE("mmap, EACCES of anonymous memory: MDWE, SELinux, or not known") {
  constexpr uint64_t kRwx = kRw | PROT_EXEC;
  Case c = mmap_case(4096, kRwx, kPrivateAnon, EACCES);
  CHECK(c.cause() == "unknown");  // neither was looked at
  CHECK(says(c.verdict(), "MemoryDenyWriteExecute"));
  CHECK(says(c.verdict(), "SELinux"));
  CHECK(c.with(FactKey::kMdwe, 1).cause() == "memory-deny-write-execute");
  c.with(FactKey::kMdwe, 0);
  CHECK(module(c, SecurityModule::kSelinuxEnforcing).cause() == "security-module");
  CHECK(has_text(c.verdict().advice, "ausearch"));
  CHECK(module(c, SecurityModule::kAppArmorUnconfined).cause() == "unknown");
  CHECK(module(c, SecurityModule::kNone).with(FactKey::kSeccomp, 2).cause() == "seccomp");
  Case readable = mmap_case(4096, PROT_READ, kPrivateAnon, EACCES);
  CHECK(readable.with(FactKey::kMdwe, 1).cause() == "unknown");  // MDWE does not forbid this
}

TEST_CASE("mmap of a file: what the descriptor says") {
  using enum FactKey;
  CHECK(file_mmap(EBADF).with(kFileOpenFlags, ovcshim::kNotOpen).verdict().summary ==
        "the descriptor is not open");
  CHECK(says(file_mmap(EBADF).with(kFileOpenFlags, O_PATH).verdict(), "O_PATH"));
  const Finding either = file_mmap(EBADF).verdict();
  CHECK(either.cause == "bad-argument");
  CHECK(says(either, "is not open, or the descriptor was opened with O_PATH"));
  Case shared = file_mmap(EACCES, kRw, MAP_SHARED);
  CHECK(says(shared.with(kFileOpenFlags, O_RDONLY).with(kMdwe, 1).verdict(), "opened read-only"));
  CHECK(says(shared.with(kFileOpenFlags, O_WRONLY).verdict(), "opened write-only"));
  Case exec = file_mmap(EPERM, PROT_READ | PROT_EXEC);
  exec.with(kFileMode, S_IFREG);
  CHECK(says(exec.with(kFileFsFlags, ST_NOEXEC).verdict(), "noexec"));
  exec.with(kFileFsFlags, 0);
  CHECK(module(exec, SecurityModule::kNone).cause() == "unknown");
  CHECK(module(exec, SecurityModule::kAppArmorConfined).cause() == "security-module");
  CHECK(says(file_mmap(ENODEV).with(kFileMode, S_IFDIR).verdict(), "directory"));
}

TEST_CASE("mmap: a huge page size that the machine has not") {
  const uint64_t flags = kPrivateAnon | MAP_HUGETLB | 16u << MAP_HUGE_SHIFT;
  Case c = mmap_case(4096, kRw, flags, EINVAL);
  CHECK(says(c.with(FactKey::kHugeSizes, 1 << 21).verdict(), "no huge pages of the size"));
  CHECK(c.with(FactKey::kHugeSizes, 1 << 16).cause() == "unknown");
}

TEST_CASE("mprotect: never over the length, and EACCES by the mapping") {
  constexpr uint64_t kBothGrow = 0x03000000;
  const Finding both = Case(Op::kMprotect, EINVAL, {0x10000000, 0, kBothGrow}).verdict();
  CHECK(says(both, "exclude each other"));
  CHECK(Case(Op::kMprotect, EINVAL, {0x10000000, 0, PROT_READ}).cause() == "unknown");
  constexpr uint32_t kFile =
      ovcshim::kMapFlagsKnown | ovcshim::kMapMayKnown | ovcshim::kMapFile | ovcshim::kMapRead;
  Case write(Op::kMprotect, EACCES, {0x10000000, 4096, kRw});
  CHECK(says(write.mappings({mapping(0x10000000, 4, kFile | ovcshim::kMapMayExec)}).verdict(),
             "opened read-only"));
  Case exec(Op::kMprotect, EACCES, {0x10000000, 4096, PROT_READ | PROT_EXEC});
  exec.with(FactKey::kMdwe, 0);
  module(exec, SecurityModule::kNone);
  CHECK(says(exec.mappings({mapping(0x10000000, 4, kFile | ovcshim::kMapMayWrite)}).verdict(),
             "noexec"));
  exec.mappings({mapping(0x10000000, 4, kAnonAc)});
  CHECK(exec.cause() == "unknown");
  CHECK(exec.with(FactKey::kMdwe, 1).cause() == "memory-deny-write-execute");
}

TEST_CASE("mremap: the mapping decides") {
  const auto vdso = mapping(0x10000000, 8, ovcshim::kMapFlagsKnown | ovcshim::kMapSpecial);
  Case grow(Op::kMremap, EFAULT, {0x10000000, 4096, 1 << 20, MREMAP_MAYMOVE});
  CHECK(says(grow.mappings({vdso}).verdict(), "can never grow"));
  CHECK(says(grow.mappings({mapping(0x20000000, 4, kAnonAc)}).verdict(), "nothing is mapped"));
  Case across(Op::kMremap, EFAULT, {0x10000000, 1 << 20, 1 << 21, MREMAP_MAYMOVE});
  CHECK(says(across.mappings({mapping(0x10000000, 4, kAnonAc)}).verdict(), "not one mapping"));
  Case zero(Op::kMremap, EINVAL, {0x10000000, 0, 4096, MREMAP_MAYMOVE | 64});
  CHECK(says(zero.mappings({mapping(0x10000000, 4, kAnonAc | ovcshim::kMapShared)}).verdict(),
             "does not know"));
}

TEST_CASE("clone, EPERM without a new namespace: a filter, or nothing that is known") {
  Case c(Op::kClone, EPERM, {SIGCHLD});
  c.evidence.event.base.flags |= ovcshim::kInsideLibc;
  CHECK(c.cause() == "unknown");
  const Finding f = c.with(FactKey::kSeccomp, 2).verdict();
  CHECK(f.cause == "seccomp");
  CHECK(has_text(f.notes, "Docker before 20.10.10"));
  CHECK(Case(Op::kFork, EPERM).with(FactKey::kSeccomp, 2).cause() == "seccomp");
}

TEST_CASE("namespaces: limits and permissions") {
  using enum FactKey;
  Case full(Op::kUnshare, ENOSPC, {CLONE_NEWUSER});
  full.with(kNamespaceLimit, 0).with(kNamespaceLimitKind, CLONE_NEWUSER);
  CHECK(full.cause() == "namespace-limit");
  CHECK(full.verdict().figures.at(0).label == "user.max_user_namespaces");
  const Finding many = full.with(kNamespaceLimit, 5).verdict();
  CHECK(many.cause == "namespace-limit");
  CHECK(says(many, "nested 32 deep"));
  Case user(Op::kClone, EPERM, {CLONE_NEWUSER | SIGCHLD});
  module(user, SecurityModule::kNone).with(kChrooted, 0).with(kEgid, 1000);
  CHECK(user.cause() == "unknown");
  CHECK(says(user.with(kUsernsClone, 0).verdict(), "unprivileged_userns_clone"));
  user.with(kUsernsClone, 1);
  CHECK(says(user.with(kUsernsRestricted, 1).verdict(), "apparmor_restrict"));
  CHECK(user.cause() == "security-module");
  CHECK(says(user.with(kChrooted, 1).verdict(), "chroot"));
  Case threads(Op::kUnshare, EINVAL, {CLONE_NEWUSER});
  CHECK(says(threads.verdict(), "other threads"));  // Threads: 4
}

TEST_CASE("exec: too long, or too many tasks") {
  Case one(Op::kExecve, E2BIG, {3, 0, 20, 140000, 131073});
  one.with(FactKey::kRlimitStack, 8 << 20);
  CHECK(says(one.verdict(), "longer than 128 KiB"));
  Case all(Op::kExecvp, E2BIG, {100, 0, 20, 3 << 20, 100000});
  CHECK(says(all.with(FactKey::kRlimitStack, 8 << 20).verdict(), "together"));
  CHECK(Case(Op::kExecve, E2BIG, {3, 0, 20}).cause() == "argument-list-too-long");
  CHECK(Case(Op::kExecve, EAGAIN, {1}).cause() == "rlimit-nproc");
  CHECK(Case(Op::kExecve, ENOMEM, {1}).cause() == "unknown");
}

TEST_CASE("segments: kernel.shmmax, shmall, shmmni") {
  using enum FactKey;
  Case big(Op::kShmget, EINVAL, {0, 1 << 20, 0600});
  CHECK(big.with(kShmMax, 65536).cause() == "shm-limit");
  CHECK(big.with(kShmMax, 1 << 20).cause() == "unknown");
  Case keyed(Op::kShmget, EINVAL, {4711, 1 << 20, 0600});
  CHECK(says(keyed.with(kShmMax, 1 << 30).verdict(), "is smaller"));
  Case all(Op::kShmget, ENOSPC, {0, 1 << 20, 0600});
  all.with(kShmAll, 1000).with(kShmUsedPages, 800).with(kShmMni, 4096).with(kShmUsedIds, 3);
  CHECK(says(all.verdict(), "kernel.shmall"));
  CHECK(says(all.with(kShmAll, 5000).with(kShmUsedIds, 4096).verdict(), "kernel.shmmni"));
}

TEST_CASE("huge pages by the file behind the descriptor") {
  using enum FactKey;
  Case c(Op::kMmap, ENOMEM, {0, 64 * kMib, kRw, MAP_PRIVATE, 7, 0});
  c.with(kOvercommitMemory, 2).with(kCommittedAsKb, 5000000);
  CHECK(c.cause() == "commit-limit");  // an ordinary file
  c.with(kFileFsType, HUGETLBFS_MAGIC).with(kFileFsBlock, 2 * kMib);
  c.evidence.event.facts = {fact(kFileFsType, HUGETLBFS_MAGIC), fact(kFileFsBlock, 2 * kMib)};
  CHECK(c.cause() == "unknown");  // never charged, and the pool is not known
  c.with(kHugePoolKb, 2048).with(kHugePoolFree, 20).with(kHugePoolRsvd, 4);
  Finding f = c.verdict();
  CHECK(f.cause == "huge-page-pool");
  CHECK(f.short_by == 16);
  f = c.with(kHugePoolSurplus, 2).with(kHugePoolOvercommit, 12).verdict();
  CHECK(f.short_by == 6);
  f = c.with(kHugePoolOvercommit, 18).verdict();
  CHECK(says(f, "may grow"));
  c.evidence.snapshot->text = "hugetlb 2 0 33554432 16777216 /cg/a/b\nhugetlb 2 1 max 0\n";
  f = c.verdict();
  CHECK(f.cause == "huge-page-group");  // asked before the pool
  CHECK(f.short_by == 48 * 1024);
  CHECK(has_text(f.notes, "/cg/a/b"));
  c.evidence.snapshot->text = "hugetlb 1 0 max 0 /cg/a/b\nhugetlb 1 1 33554432 0\n";
  f = c.verdict();
  CHECK(says(f, "above its own"));
  CHECK(has_text(f.notes, "the control group: /cg/a"));
  c.evidence.snapshot->text = "hugetlb 2 0 max 0 /cg/a/b\n";
  CHECK(c.cause() == "huge-page-pool");
  c.evidence.snapshot->text.clear();
  c.with(kHugeGroupMax, 0).with(kHugeGroupUsage, 0);
  CHECK(c.cause() == "huge-page-pool");  // figures of nobody knows which group prove nothing
  CHECK(says(c.with(kFileFsBlocks, 8).with(kFileFsFree, 8).verdict(), "mount is full"));
  Case segment(Op::kShmget, ENOMEM, {0, 64 * kMib, 04000 | 0600});
  segment.with(kHugePoolKb, 2048).with(kHugePoolFree, 0).with(kHugePoolRsvd, 0);
  CHECK(says(segment.verdict(), "SHM_HUGETLB"));
}

TEST_CASE("limits: who may raise them") {
  Case raise(Op::kSetrlimit, EPERM, {RLIMIT_NOFILE, 4096, 8192});
  CHECK(says(raise.with(FactKey::kRlimitHard, 4096).verdict(), "CAP_SYS_RESOURCE"));
  CHECK(says(raise.with(FactKey::kRlimitHard, 8192).verdict(), "fs.nr_open"));
  CHECK(says(Case(Op::kSetrlimit, EINVAL, {RLIMIT_AS, 2, 1}).verdict(), "larger than the hard"));
}
