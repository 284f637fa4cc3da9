// SPDX-License-Identifier: MIT
//
// The rows of memory files, and of what cuts and fills files. See errno_rows.h.
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tools/causes/errno_rows.h"

namespace ovc::causes {

using ovcshim::FactKey;

namespace on_files {
namespace {

constexpr uint64_t kHuge = 0x4, kNoexec = 0x8, kExec = 0x10;  // MFD_*
constexpr uint64_t kKnownMfd = 0x1f, kSizeBits = 0x3full << 26;
constexpr KernelVersion kNoexecSince{6, 3};
constexpr size_t kLongestName = 249;
constexpr uint64_t kSealResize = 0x2 | 0x4, kSealWrites = 0x4 | 0x8 | 0x10;  // F_SEAL_*

// ---- memfd_create ----

uint64_t mfd_flags(const Evidence& e) { return args_of(e)[0]; }
Holds mfd_flag_unknown(const Evidence& e) {
  const uint64_t flags = mfd_flags(e) & UINT32_MAX;
  const uint64_t sizes = flags & kHuge ? kSizeBits : 0;
  const bool newer = e.rules.kernel.known() && e.rules.kernel < kNoexecSince;
  return holds_if((flags & ~(kKnownMfd | sizes)) || (newer && (flags & (kNoexec | kExec))));
}
Holds mfd_both(const Evidence& e) {
  return holds_if((mfd_flags(e) & kNoexec) && (mfd_flags(e) & kExec));
}
Holds name_too_long(const Evidence& e) {
  return maybe_if(e.event.text.empty() || e.event.text.size() > kLongestName);
}
Holds no_huge_size(const Evidence& e) {
  return mfd_flags(e) & kHuge ? no_such_huge_page(e, mfd_flags(e)) : Holds::kNo;
}
Holds executable(const Evidence& e) { return maybe_if(!(mfd_flags(e) & kNoexec)); }

void say_open_files(const Evidence& e, Finding& finding) {
  add_figure(finding, "RLIMIT_NOFILE", e.fact(FactKey::kRlimitNofile), "descriptors", "getrlimit");
}

// ---- ftruncate, fallocate, posix_fallocate ----

uint64_t length_of(const Evidence& e) {
  const Op op = op_of(e);
  return args_of(e)[op == Op::kFallocate ? 3 : op == Op::kPosixFallocate ? 2 : 1];
}
uint64_t offset_of(const Evidence& e) {
  const Op op = op_of(e);
  return op == Op::kFtruncate ? 0 : args_of(e)[op == Op::kFallocate ? 2 : 1];
}
Holds negative(const Evidence& e) {
  const auto length = static_cast<int64_t>(length_of(e));
  const bool empty = op_of(e) != Op::kFtruncate && length == 0;
  return holds_if(length < 0 || empty || static_cast<int64_t>(offset_of(e)) < 0);
}
Holds not_regular(const Evidence& e) {
  const auto mode = e.fact(FactKey::kFileMode);
  return mode ? holds_if(!S_ISREG(*mode)) : Holds::kMaybe;
}
Holds not_whole_huge_pages(const Evidence& e) {
  const auto type = e.fact(FactKey::kFileFsType), block = e.fact(FactKey::kFileFsBlock);
  if (!type || !block || *block == 0) return Holds::kMaybe;
  return holds_if(*type == HUGETLBFS_MAGIC && length_of(e) % *block != 0);
}
Holds over_file_size(const Evidence& e) {
  const auto limit = e.fact(FactKey::kRlimitFsize);
  if (!limit) return Holds::kMaybe;
  return holds_if(*limit < ovcshim::kInfinite && offset_of(e) + length_of(e) > *limit);
}
Holds over_largest_file(const Evidence& e) { return maybe_if(over_file_size(e) != Holds::kYes); }
Holds sealed_size(const Evidence& e) { return is_sealed_file(e, kSealResize); }
Holds sealed_writes(const Evidence& e) { return is_sealed_file(e, kSealWrites); }
// ---- a file of huge pages: filled page by page, and what was filled stays when one is missing
// ----

bool of_huge_pages(const Evidence& e) { return e.fact(FactKey::kFileFsType) == HUGETLBFS_MAGIC; }
Holds huge_mount_full(const Evidence& e) {
  const auto free = e.fact(FactKey::kFileFsFree), blocks = e.fact(FactKey::kFileFsBlocks);
  if (!of_huge_pages(e) || !blocks || *blocks == 0) return Holds::kNo;
  return free ? holds_if(*free == 0) : Holds::kMaybe;
}
Holds huge_pool_empty(const Evidence& e) {
  if (!of_huge_pages(e)) return Holds::kNo;
  const auto free = e.fact(FactKey::kHugePoolFree), reserved = e.fact(FactKey::kHugePoolRsvd);
  return free && reserved ? holds_if(*free <= *reserved) : Holds::kMaybe;
}
Holds huge_group_full(const Evidence& e) { return maybe_if(of_huge_pages(e)); }
void say_huge_pool(const Evidence& e, Finding& finding) {
  constexpr std::string_view kPool = "/sys/kernel/mm/hugepages";
  add_figure(finding, "free", e.fact(FactKey::kHugePoolFree), "huge pages", kPool);
  add_figure(finding, "of them reserved", e.fact(FactKey::kHugePoolRsvd), "huge pages", kPool);
  add_figure(finding, "size of one", e.fact(FactKey::kHugePoolKb), "kB", kPool);
}
void say_huge_mount(const Evidence& e, Finding& finding) {
  add_figure(finding, "free", e.fact(FactKey::kFileFsFree), "huge pages", "fstatfs");
  add_figure(finding, "size of the mount", e.fact(FactKey::kFileFsBlocks), "huge pages", "fstatfs");
}

Holds full(const Evidence& e) {
  if (of_huge_pages(e)) return Holds::kNo;
  const auto free = e.fact(FactKey::kFileFsFree), block = e.fact(FactKey::kFileFsBlock),
             blocks = e.fact(FactKey::kFileFsBlocks);
  if (!free || !block || *block == 0 || !blocks || *blocks == 0) return Holds::kMaybe;
  return holds_if(*free < length_of(e) / *block);
}
Holds otherwise_full(const Evidence& e) {
  return maybe_if(!of_huge_pages(e) && full(e) != Holds::kYes);
}

void say_full(const Evidence& e, Finding& finding) {
  const auto kb = [&](FactKey key) {
    const auto blocks = e.fact(key), block = e.fact(FactKey::kFileFsBlock);
    return blocks && block && *block && *blocks < UINT64_MAX / *block
               ? std::optional(*blocks * (*block / 1024 ? *block / 1024 : 1))
               : std::nullopt;
  };
  add_figure(finding, "request", length_of(e) / 1024, "kB", "the call");
  add_figure(finding, "free", kb(FactKey::kFileFsFree), "kB", "fstatfs");
  add_figure(finding, "size of the file system", kb(FactKey::kFileFsBlocks), "kB", "fstatfs");
  if (e.fact(FactKey::kFileFsType) == TMPFS_MAGIC)
    finding.notes.emplace_back(
        "the file is memory (tmpfs): its size is an option of the mount (size=)");
}
void say_file_size(const Evidence& e, Finding& finding) {
  add_figure(finding, "request", offset_of(e) + length_of(e), "bytes", "the call");
  add_figure(finding, "RLIMIT_FSIZE", e.fact(FactKey::kRlimitFsize), "bytes", "getrlimit");
}

constexpr std::string_view kMemfd = "mm/memfd.c memfd_create()", kCut = "fs/open.c do_ftruncate()",
                           kFill = "fs/open.c vfs_fallocate()", kGlibc = "sysdeps/posix/shm_open.c",
                           kNewSize = "fs/attr.c inode_newsize_ok()",
                           kFillHuge = "fs/hugetlbfs/inode.c hugetlbfs_fallocate()",
                           kHugePool = "huge-page-pool";
using enum Op;

// clang-format off
constexpr ErrnoRow kRows[] = {
    {kShmOpen, EINVAL, nullptr, kBadArgument, "the name is empty, or has a slash after the first character", kGlibc},
    {kShmOpen, ENOENT, nullptr, kBadArgument, "there is no such object, and O_CREAT is not given (or /dev/shm is not mounted)", kGlibc},
    {kShmOpen, EEXIST, nullptr, kBadArgument, "the object exists already (O_CREAT and O_EXCL)", kGlibc},
    {kShmOpen, EACCES, nullptr, kNotPermitted, "the object or /dev/shm does not permit this access", kGlibc},
    {kShmOpen, ENAMETOOLONG, nullptr, kBadArgument, "the name is longer than 254 characters", kGlibc},
    {kShmOpen, EMFILE, nullptr, kOpenFiles, "the process has as many open files as RLIMIT_NOFILE allows", "fs/file.c alloc_fd()", say_open_files},
    {kShmOpen, ENFILE, nullptr, "file-max", "the host has as many open files as fs.file-max allows", "fs/file_table.c alloc_empty_file()"},
    {kShmOpen, ENOSPC, nullptr, kFull, "/dev/shm has no room or no inode left for another file", "mm/shmem.c shmem_reserve_inode()"},
    {kMemfdCreate, EINVAL, mfd_flag_unknown, kBadArgument, "a flag is given that this kernel does not know", kMemfd},
    {kMemfdCreate, EINVAL, mfd_both, kBadArgument, "MFD_EXEC and MFD_NOEXEC_SEAL exclude each other", kMemfd},
    {kMemfdCreate, EINVAL, name_too_long, kBadArgument, "the name is longer than 249 bytes", kMemfd},
    {kMemfdCreate, ENODEV, no_huge_size, kBadArgument, "the machine has no huge pages of the size asked for (/sys/kernel/mm/hugepages)", "fs/hugetlbfs/inode.c hugetlb_file_setup()"},
    {kShmOpen, EROFS, nullptr, kBadArgument, "/dev/shm is mounted read-only", kGlibc},
    {kMemfdCreate, EFAULT, nullptr, kBadArgument, "the name cannot be read", kMemfd},
    {kMemfdCreate, EMFILE, nullptr, kOpenFiles, "the process has as many open files as RLIMIT_NOFILE allows", "fs/file.c alloc_fd()", say_open_files},
    {kMemfdCreate, ENFILE, nullptr, "file-max", "the host has as many open files as fs.file-max allows", "fs/file_table.c alloc_empty_file()"},
    {kMemfdCreate, EACCES, executable, kNotPermitted, "vm.memfd_noexec = 2: memory files have to be made with MFD_NOEXEC_SEAL", "mm/memfd.c check_sysctl_memfd_noexec()"},
    {kFtruncate, EBADF, nullptr, kBadArgument, "the descriptor is not open", kCut},
    {kFtruncate, EINVAL, negative, kBadArgument, "the length is negative", kCut},
    {kFtruncate, EINVAL, not_regular, kBadArgument, "only a regular file can be cut", kCut},
    {kFtruncate, EINVAL, not_for_writing, kBadArgument, "the file is not open for writing", kCut},
    {kFtruncate, EINVAL, not_whole_huge_pages, kBadArgument, "the length is not a multiple of the file's huge page size", "fs/hugetlbfs/inode.c hugetlbfs_setattr()"},
    {kFtruncate, EFBIG, over_file_size, kFileSize, "the file would be larger than RLIMIT_FSIZE", kNewSize, say_file_size},
    {kFtruncate, EFBIG, over_largest_file, kFileSize, "the file would be larger than its file system allows", kNewSize},
    {kFtruncate, EPERM, sealed_size, kBadArgument, "the memory file is sealed against changes of its size (F_SEAL_SHRINK, F_SEAL_GROW)", "mm/shmem.c shmem_setattr()"},
    {kFtruncate, EPERM, nullptr, kNotPermitted, "the file is append-only or immutable (chattr)", kCut},
    {kFtruncate, ETXTBSY, nullptr, kBadArgument, "the file is in use as swap, or is a program that runs", kCut},
    {kFtruncate, ENOSPC, nullptr, kFull, "the file system is full", "its file system"},
    {kFtruncate, EDQUOT, nullptr, kFull, "the quota of the user on the file system is used up", "its file system"},
    {kFtruncate, EROFS, nullptr, kBadArgument, "the file system is read-only", kCut},
    {kFtruncate, EIO, nullptr, kBadArgument, "the disk could not be read or written", "its file system"},
    {kFtruncate, EINTR, nullptr, kBadArgument, "a signal came first", "its file system"},
    {kFallocate, EDQUOT, nullptr, kFull, "the quota of the user on the file system is used up", "its file system"},
    {kFallocate, EIO, nullptr, kBadArgument, "the disk could not be read or written", "its file system"},
    {kFallocate, EINTR, nullptr, kBadArgument, "a signal came first (a timer interrupts a large request on tmpfs again and again)", "mm/shmem.c shmem_fallocate()"},
    {kFallocate, EBADF, nullptr, kBadArgument, "the descriptor is not open, or not for writing", kFill},
    {kFallocate, EINVAL, negative, kBadArgument, "the offset is negative, or the length is not positive", kFill},
    {kFallocate, EINVAL, nullptr, kBadArgument, "the mode is not known, or the file system rejects it with this range", kFill},
    {kFallocate, EOPNOTSUPP, nullptr, kBadArgument, "the file system does not support this mode", kFill},
    {kFallocate, ENOSPC, huge_mount_full, kHugePool, "the hugetlbfs mount is full (its size= option)", kFillHuge, say_huge_mount},
    {kFallocate, ENOSPC, huge_pool_empty, kHugePool, "not enough free huge pages: the file is one of huge pages (hugetlbfs or a memory file of MFD_HUGETLB)", kFillHuge, say_huge_pool},
    {kFallocate, ENOSPC, huge_group_full, "huge-page-group", "the huge page limit of a control group was reached (hugetlb)", kFillHuge},
    {kFallocate, ENOSPC, full, kFull, "the file system is full", "its file system", say_full},
    {kFallocate, ENOSPC, otherwise_full, kFull, "the file system has no room for it (a quota of it, or on tmpfs no memory may be promised)", "its file system", say_full},
    {kFallocate, EFBIG, over_file_size, kFileSize, "the file would be larger than RLIMIT_FSIZE", kFill, say_file_size},
    {kFallocate, EFBIG, over_largest_file, kFileSize, "the file would be larger than its file system allows", kFill},
    {kFallocate, ENODEV, nullptr, kBadArgument, "only a regular file or a directory has blocks of its own", kFill},
    {kFallocate, ESPIPE, nullptr, kBadArgument, "a pipe has no blocks of its own", kFill},
    {kFallocate, EPERM, sealed_writes, kBadArgument, "the memory file is sealed against it (F_SEAL_GROW, F_SEAL_WRITE)", "mm/shmem.c shmem_fallocate()"},
    {kFallocate, EPERM, nullptr, kNotPermitted, "the file is append-only or immutable (chattr)", kFill},
    {kFallocate, ETXTBSY, nullptr, kBadArgument, "the file is in use as swap", kFill},
};
// clang-format on

}  // namespace
}  // namespace on_files

std::span<const ErrnoRow> file_errnos() { return on_files::kRows; }

}  // namespace ovc::causes
