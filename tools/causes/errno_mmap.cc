// SPDX-License-Identifier: MIT
//
// The rows of mmap and munmap. See errno_rows.h.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "tools/causes/errno_rows.h"

namespace ovc::causes {

using ovcshim::FactKey;

namespace on_mmap {
namespace {

constexpr uint64_t kType = 0x0f, kShared = MAP_SHARED, kValidate = MAP_SHARED_VALIDATE,
                   kPrivate = MAP_PRIVATE, kDroppable = 0x08, kSync = 0x80000,
                   kNoReplace = 0x100000;
constexpr KernelVersion kDroppableSince{6, 11};
constexpr uint64_t kSealWrite = 0x8, kSealFutureWrite = 0x10;  // linux/fcntl.h

uint64_t flags_of(const Evidence& e) { return args_of(e)[3]; }
uint64_t prot_of(const Evidence& e) { return args_of(e)[2]; }
bool anonymous(const Evidence& e) { return flags_of(e) & MAP_ANONYMOUS; }
bool shared(const Evidence& e) {
  const uint64_t type = flags_of(e) & kType;
  return type == kShared || type == kValidate;
}
bool fixed(const Evidence& e) { return flags_of(e) & (MAP_FIXED | kNoReplace); }

// The file is one of huge pages, or anonymous memory of them.
Holds huge(const Evidence& e) {
  if (anonymous(e)) return holds_if(flags_of(e) & MAP_HUGETLB);
  const auto type = e.fact(FactKey::kFileFsType);
  return type ? holds_if(*type == HUGETLBFS_MAGIC) : Holds::kMaybe;
}

// ---- EINVAL ----

Holds offset_in_page(const Evidence& e) { return holds_if(in_page(e, args_of(e)[5])); }
Holds huge_flag_of_file(const Evidence& e) {
  if (anonymous(e) || !(flags_of(e) & MAP_HUGETLB)) return Holds::kNo;
  const Holds is_huge = huge(e);
  return is_huge == Holds::kMaybe ? is_huge : holds_if(is_huge == Holds::kNo);
}
Holds no_huge_size(const Evidence& e) {
  const bool asks = anonymous(e) && (flags_of(e) & MAP_HUGETLB);
  return asks ? no_such_huge_page(e, flags_of(e)) : Holds::kNo;
}
Holds empty(const Evidence& e) { return holds_if(args_of(e)[1] == 0); }
Holds address_in_page(const Evidence& e) { return holds_if(fixed(e) && in_page(e, args_of(e)[0])); }
// `value` is not at the start of a huge page. The length is rounded up by the kernel.
Holds in_huge_page(const Evidence& e, uint64_t value) {
  const auto kb = anonymous(e) ? huge_page_kb(e) : e.fact(FactKey::kFileFsBlock);
  if (huge(e) == Holds::kNo) return Holds::kNo;
  if (!kb || *kb == 0) return Holds::kMaybe;
  return value % (anonymous(e) ? *kb * 1024 : *kb) != 0 ? huge(e) : Holds::kNo;
}
Holds address_in_huge_page(const Evidence& e) {
  return fixed(e) ? in_huge_page(e, args_of(e)[0]) : Holds::kNo;
}
Holds offset_in_huge_page(const Evidence& e) {
  return anonymous(e) ? Holds::kNo : in_huge_page(e, args_of(e)[5]);
}
Holds no_type(const Evidence& e) {
  const uint64_t type = flags_of(e) & kType;
  return holds_if(type != kShared && type != kPrivate && type != kValidate &&
                  !(type == kDroppable && anonymous(e)));
}
Holds validate_anonymous(const Evidence& e) {
  return holds_if((flags_of(e) & kType) == kValidate && anonymous(e));
}
Holds droppable_refused(const Evidence& e) {
  if ((flags_of(e) & kType) != kDroppable || !anonymous(e)) return Holds::kNo;
  if (flags_of(e) & (MAP_LOCKED | MAP_HUGETLB | MAP_GROWSDOWN)) return Holds::kYes;
  return e.rules.kernel.known() ? holds_if(e.rules.kernel < kDroppableSince) : Holds::kMaybe;
}
Holds grows_down(const Evidence& e) {
  return holds_if((flags_of(e) & MAP_GROWSDOWN) && (shared(e) || !anonymous(e)));
}
Holds file_refuses(const Evidence& e) { return maybe_if(!anonymous(e)); }

// ---- EACCES ----

std::optional<uint64_t> access_mode(const Evidence& e) {
  const auto flags = e.fact(FactKey::kFileOpenFlags);
  return flags && *flags != ovcshim::kNotOpen ? std::optional(*flags & O_ACCMODE) : std::nullopt;
}
Holds read_only(const Evidence& e) {
  if (anonymous(e) || !shared(e) || !(prot_of(e) & PROT_WRITE)) return Holds::kNo;
  return not_for_writing(e);
}
Holds write_only(const Evidence& e) {
  if (anonymous(e)) return Holds::kNo;
  const auto mode = access_mode(e);
  return mode ? holds_if(*mode == O_WRONLY) : Holds::kMaybe;
}
Holds append_only(const Evidence& e) {
  if (anonymous(e) || !shared(e)) return Holds::kNo;
  const auto mode = access_mode(e);
  return maybe_if(!mode || *mode != O_RDONLY);
}
Holds write_execute(const Evidence& e) {
  constexpr uint64_t kBoth = PROT_WRITE | PROT_EXEC;
  return (prot_of(e) & kBoth) == kBoth ? fact_has(e, FactKey::kMdwe, 1) : Holds::kNo;
}
bool selinux_execmem(const Evidence& e) {
  const bool own = anonymous(e) || (!shared(e) && (prot_of(e) & PROT_WRITE));
  return own && (prot_of(e) & PROT_EXEC);
}
Holds execmem(const Evidence& e) {
  const bool known = e.fact(FactKey::kSecurityModule).has_value();
  return maybe_if(selinux_execmem(e) && (is_selinux(e) || !known) &&
                  e.fact(FactKey::kMdwe).value_or(0) == 0);
}
Holds module_for_file(const Evidence& e) { return anonymous(e) ? Holds::kNo : security_module(e); }

// ---- EPERM ----

Holds noexec(const Evidence& e) {
  if (anonymous(e) || !(prot_of(e) & PROT_EXEC)) return Holds::kNo;
  return fact_has(e, FactKey::kFileFsFlags, ST_NOEXEC);
}
Holds sealed_against_writing(const Evidence& e) {
  if (anonymous(e) || !shared(e) || !(prot_of(e) & PROT_WRITE)) return Holds::kNo;
  return is_sealed_file(e, kSealWrite | kSealFutureWrite);
}
Holds device_refuses(const Evidence& e) {
  const auto mode = e.fact(FactKey::kFileMode);
  return maybe_if(!anonymous(e) && !(mode && S_ISREG(*mode)));
}
Holds replaces_sealed(const Evidence& e) { return maybe_if(fixed(e) && !e.mappings_complete); }

// ---- the others ----

Holds no_replace(const Evidence& e) { return holds_if(flags_of(e) & kNoReplace); }
Holds is_kind(const Evidence& e, uint64_t kind) {
  const auto mode = e.fact(FactKey::kFileMode);
  return mode ? holds_if((*mode & S_IFMT) == kind) : Holds::kNo;
}
Holds directory(const Evidence& e) { return is_kind(e, S_IFDIR); }
Holds pipe_or_socket(const Evidence& e) {
  return holds_if(is_kind(e, S_IFIFO) == Holds::kYes || is_kind(e, S_IFSOCK) == Holds::kYes);
}
Holds not_dax(const Evidence& e) {
  return holds_if((flags_of(e) & kSync) && (flags_of(e) & kType) == kValidate);
}
Holds length_wraps(const Evidence& e) {
  return holds_if(args_of(e)[1] != 0 && page_align(e, args_of(e)[1]) == 0);
}

// ---- munmap ----

Holds munmap_in_page(const Evidence& e) { return holds_if(in_page(e, args_of(e)[0])); }
Holds munmap_outside(const Evidence& e) {
  const auto& args = args_of(e);
  return holds_if(args[0] > task_size(e) || args[1] > task_size(e) - args[0]);
}

void memory_file(const Evidence& e, Finding& finding) {
  add_figure(finding, "F_GET_SEALS", e.fact(FactKey::kFileSeals), "", "fcntl");
}
void huge_size(const Evidence& e, Finding& finding) {
  const uint64_t bits = flags_of(e) >> 26 & 0x3f;
  if (bits >= 10) add_figure(finding, "asked for", uint64_t{1} << (bits - 10), "kB", "the call");
}

constexpr std::string_view kKsys = "mm/mmap.c ksys_mmap_pgoff()", kDo = "mm/mmap.c do_mmap()",
                           kArea = "mm/mmap.c __get_unmapped_area()",
                           kRegion = "mm/vma.c mmap_region()",
                           kHugeFile = "fs/hugetlbfs/inode.c hugetlbfs_file_mmap()",
                           kLsm = "security/security.c security_mmap_file()";
using enum Op;

// clang-format off
constexpr ErrnoRow kRows[] = {
    {kMmap, EBADF, not_open, kBadArgument, "the descriptor is not open", kKsys},
    {kMmap, EBADF, only_path, kBadArgument, "the descriptor was opened with O_PATH, which gives no access to the file", kKsys},
    {kMmap, EINVAL, offset_in_page, kBadArgument, "the offset is not a multiple of the page size", "arch/x86/kernel/sys_x86_64.c mmap()"},
    {kMmap, EINVAL, huge_flag_of_file, kBadArgument, "MAP_HUGETLB is given with a file that is none of huge pages (hugetlbfs)", kKsys},
    {kMmap, EINVAL, no_huge_size, kBadArgument, "the machine has no huge pages of the size asked for (/sys/kernel/mm/hugepages)", kKsys, huge_size},
    {kMmap, EINVAL, empty, kBadArgument, "the length is 0", kDo},
    {kMmap, EINVAL, address_in_page, kBadArgument, "the address is not at the start of a page (MAP_FIXED)", kArea},
    {kMmap, EINVAL, address_in_huge_page, kBadArgument, "the address is not at the start of a huge page (MAP_FIXED)", "fs/hugetlbfs/inode.c hugetlb_get_unmapped_area()"},
    {kMmap, EINVAL, no_type, kBadArgument, "neither MAP_SHARED nor MAP_PRIVATE is given", kDo},
    {kMmap, EINVAL, validate_anonymous, kBadArgument, "MAP_SHARED_VALIDATE needs a file", kDo},
    {kMmap, EINVAL, droppable_refused, kBadArgument, "MAP_DROPPABLE is not known to this kernel (before 6.11), or given with MAP_LOCKED, MAP_HUGETLB or MAP_GROWSDOWN", kDo},
    {kMmap, EINVAL, grows_down, kBadArgument, "MAP_GROWSDOWN is for private anonymous memory only", kDo},
    {kMmap, EINVAL, offset_in_huge_page, kBadArgument, "the offset is not a multiple of the file's huge page size", kHugeFile},
    {kMmap, EINVAL, file_refuses, kBadArgument, "the file's own driver or file system rejects the mapping", kRegion},
    {kMmap, EEXIST, no_replace, kBadArgument, "MAP_FIXED_NOREPLACE: something is mapped there already", kDo},
    {kMmap, EOVERFLOW, nullptr, kBadArgument, "offset and length reach beyond the largest size that the file can have", "mm/mmap.c file_mmap_ok()"},
    {kMmap, ENODEV, directory, kBadArgument, "a directory cannot be mapped", kDo},
    {kMmap, ENODEV, pipe_or_socket, kBadArgument, "a pipe or socket cannot be mapped", kDo},
    {kMmap, ENODEV, nullptr, kBadArgument, "the file cannot be mapped: its driver or file system does not support it", kDo},
    {kMmap, ENOENT, nullptr, kBadArgument, "the kernel has no huge pages of the size asked for in use", "fs/hugetlbfs/inode.c hugetlb_file_setup()"},
    {kMmap, ETXTBSY, nullptr, kBadArgument, "the file is in use as swap", kDo},
    {kMmap, EOPNOTSUPP, not_dax, kBadArgument, "MAP_SYNC: the file is not on a DAX file system", kDo},
    {kMmap, EOPNOTSUPP, nullptr, kBadArgument, "MAP_SHARED_VALIDATE: a flag is given that this kernel or file does not know", kDo},
    {kMmap, ENFILE, nullptr, "file-max", "the host has as many open files as fs.file-max allows", "fs/file_table.c alloc_empty_file()"},
    {kMmap, ENXIO, nullptr, kBadArgument, "the driver of the device cannot map this offset", kRegion},
    {kMmap, EIO, nullptr, kBadArgument, "the driver or file system of the file could not read it", kRegion},
    {kMmap, ENOMEM, length_wraps, kBadArgument, "the length, rounded up to pages, is larger than an address can be", kDo},
    {kMmap, EACCES, read_only, kBadArgument, "MAP_SHARED with PROT_WRITE, and the file was opened read-only", kDo},
    {kMmap, EACCES, append_only, kBadArgument, "the file is append-only (chattr +a) and opened for writing", kDo},
    {kMmap, EACCES, write_only, kBadArgument, "the file was opened write-only; a mapping has to read it", kDo},
    {kMmap, EACCES, write_execute, kDenyWriteExecute, "memory that is writable and executable at once is denied to the process (MemoryDenyWriteExecute=yes of its systemd unit, PR_SET_MDWE)", kRegion},
    {kMmap, EACCES, execmem, kSecurityModuleCause, "SELinux denies the process executable anonymous memory (execmem)", "security/selinux/hooks.c file_map_prot_check()"},
    {kMmap, EACCES, module_for_file, kSecurityModuleCause, "a security module (SELinux, AppArmor) does not allow this mapping of the file", kLsm},
    {kMmap, EPERM, noexec, kBadArgument, "PROT_EXEC of a file on a file system that is mounted noexec (systemd: NoExecPaths=)", kDo},
    {kMmap, EPERM, sealed_against_writing, kBadArgument, "the memory file is sealed against writing (F_SEAL_WRITE)", "mm/memfd.c check_write_seal()", memory_file},
    {kMmap, EPERM, replaces_sealed, kBadArgument, "a mapping that MAP_FIXED would replace is sealed (mseal)", "mm/mseal.c"},
    {kMmap, EPERM, device_refuses, kNotPermitted, "the device does not permit the mapping", kRegion},
    {kMmap, EPERM, module_for_file, kSecurityModuleCause, "a security module does not allow this mapping of the file", kLsm},
    {kMunmap, EINVAL, munmap_in_page, kBadArgument, "the address is not at the start of a page", "mm/vma.c do_vmi_munmap()"},
    {kMunmap, EINVAL, munmap_outside, kBadArgument, "the range reaches beyond the address space of a process", "mm/vma.c do_vmi_munmap()"},
    {kMunmap, EINVAL, empty, kBadArgument, "the length is 0", "mm/vma.c do_vmi_munmap()"},
    {kMunmap, EINVAL, nullptr, kBadArgument, "an end of the range lies inside a huge page", "mm/hugetlb.c hugetlb_vm_op_split()"},
    {kMunmap, EPERM, nullptr, kBadArgument, "a mapping in the range is sealed (mseal)", "mm/mseal.c"},
};
// clang-format on

}  // namespace
}  // namespace on_mmap

std::span<const ErrnoRow> mmap_errnos() { return on_mmap::kRows; }

}  // namespace ovc::causes
