// SPDX-License-Identifier: MIT
//
// The rows of mremap, mprotect, madvise and remap_file_pages. See errno_rows.h.
#include <linux/mman.h>
#include <sys/mman.h>

#include "tools/causes/errno_rows.h"

namespace ovc::causes {

using ovcshim::FactKey;
using ovcshim::MappingEntry;

namespace on_change {
namespace {

constexpr uint64_t kMremapFlags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
constexpr uint64_t kGrowsDown = 0x01000000, kGrowsUp = 0x02000000;
constexpr KernelVersion kFilesKeptSince{5, 13};  // MREMAP_DONTUNMAP of all but anonymous memory
constexpr uint64_t kMostPkey = 15;

const MappingEntry* mapping_of(const Evidence& e) { return mapping_at(e, args_of(e)[0]); }

// What the mapping at the address says; kMaybe if the list is not known, kNo if there is none.
template <typename Ask>
Holds of_mapping(const Evidence& e, Ask ask) {
  if (!e.mappings_complete) return Holds::kMaybe;
  const MappingEntry* mapping = mapping_of(e);
  return mapping ? ask(*mapping) : Holds::kNo;
}

Holds address_in_page(const Evidence& e) { return holds_if(in_page(e, args_of(e)[0])); }

// ---- mremap ----

bool says_where(const Evidence& e) { return args_of(e)[3] & (MREMAP_FIXED | MREMAP_DONTUNMAP); }
bool is_growth(const Evidence& e) {
  return page_align(e, args_of(e)[2]) > page_align(e, args_of(e)[1]);
}
Holds unknown_flag(const Evidence& e) { return holds_if(args_of(e)[3] & ~kMremapFlags); }
Holds new_length_zero(const Evidence& e) { return holds_if(page_align(e, args_of(e)[2]) == 0); }
Holds new_address_in_page(const Evidence& e) {
  return holds_if(says_where(e) && in_page(e, args_of(e)[4]));
}
Holds may_not_move(const Evidence& e) {
  return holds_if(says_where(e) && !(args_of(e)[3] & MREMAP_MAYMOVE));
}
Holds keeps_and_resizes(const Evidence& e) {
  return holds_if((args_of(e)[3] & MREMAP_DONTUNMAP) && args_of(e)[1] != args_of(e)[2]);
}
Holds new_range_outside(const Evidence& e) {
  const uint64_t len = args_of(e)[2];
  return holds_if(says_where(e) && (len > task_size(e) || args_of(e)[4] > task_size(e) - len));
}
Holds ranges_overlap(const Evidence& e) {
  const auto& args = args_of(e);
  return holds_if((args[3] & MREMAP_FIXED) && args[4] < args[0] + args[1] &&
                  args[0] < args[4] + args[2]);
}
Holds duplicates_private(const Evidence& e) {
  if (args_of(e)[1] != 0) return Holds::kNo;
  return of_mapping(
      e, [](const MappingEntry& m) { return holds_if(!(m.flags & ovcshim::kMapShared)); });
}
Holds huge_pages_resized(const Evidence& e) {
  return of_mapping(e, [&](const MappingEntry& m) {
    if (!(m.flags & ovcshim::kMapHt)) return Holds::kNo;
    return is_growth(e) ? Holds::kYes : Holds::kMaybe;
  });
}
bool may_not_grow(const MappingEntry& m) {
  constexpr uint32_t kFixedSize = ovcshim::kMapDe | ovcshim::kMapPf | ovcshim::kMapSpecial;
  return m.flags & kFixedSize;
}
Holds keeps_fixed(const Evidence& e) {
  if (!(args_of(e)[3] & MREMAP_DONTUNMAP)) return Holds::kNo;
  const bool old_kernel = e.rules.kernel.known() && e.rules.kernel < kFilesKeptSince;
  return of_mapping(e, [&](const MappingEntry& m) {
    return holds_if(may_not_grow(m) ||
                    (old_kernel && (m.flags & (ovcshim::kMapFile | ovcshim::kMapShared))));
  });
}
Holds nothing_there(const Evidence& e) {
  return e.mappings_complete ? holds_if(!mapping_of(e)) : Holds::kMaybe;
}
Holds crosses_end(const Evidence& e) {
  const uint64_t len = page_align(e, args_of(e)[1]);
  return of_mapping(e,
                    [&](const MappingEntry& m) { return holds_if(len > m.end - args_of(e)[0]); });
}
Holds fixed_size(const Evidence& e) {
  if (!is_growth(e)) return Holds::kNo;
  return of_mapping(e, [](const MappingEntry& m) { return holds_if(may_not_grow(m)); });
}

// ---- mprotect ----

uint64_t prot_of(const Evidence& e) { return args_of(e)[2]; }
Holds both_grow(const Evidence& e) {
  return holds_if((prot_of(e) & kGrowsDown) && (prot_of(e) & kGrowsUp));
}
Holds unknown_prot(const Evidence& e) {
  constexpr uint64_t kSem = 8, kBti = 0x10, kMte = 0x20;
  uint64_t known = PROT_READ | PROT_WRITE | PROT_EXEC | kSem | kGrowsDown | kGrowsUp;
  if (e.machine == ovcshim::Machine::kAarch64) known |= kBti | kMte;
  return holds_if(prot_of(e) & ~known & UINT32_MAX);
}
Holds key_not_allocated(const Evidence& e) {
  const uint64_t key = args_of(e)[3];  // + 1
  if (key == 0) return Holds::kNo;
  return static_cast<uint32_t>(key) > kMostPkey + 1 ? Holds::kYes : Holds::kMaybe;
}
Holds not_growing_down(const Evidence& e) {
  if (!(prot_of(e) & kGrowsDown) || (prot_of(e) & kGrowsUp)) return Holds::kNo;
  return of_mapping(e,
                    [](const MappingEntry& m) { return holds_if(!(m.flags & ovcshim::kMapGd)); });
}
Holds grows_up(const Evidence& e) {
  return holds_if((prot_of(e) & kGrowsUp) && !(prot_of(e) & kGrowsDown));
}

// The mapping that mprotect stopped at lacks this permission for good.
Holds never_allowed(const Evidence& e, uint64_t prot, uint32_t may) {
  if (!(prot_of(e) & prot)) return Holds::kNo;
  const MappingEntry* at = mprotect_refused_at(e);
  if (!at) return Holds::kMaybe;
  if (at->flags & ovcshim::kMapMayKnown) return holds_if(!(at->flags & may));
  return maybe_if(at->flags & ovcshim::kMapFile);
}
Holds never_writable(const Evidence& e) {
  return never_allowed(e, PROT_WRITE, ovcshim::kMapMayWrite);
}
Holds never_executable(const Evidence& e) {
  return never_allowed(e, PROT_EXEC, ovcshim::kMapMayExec);
}

// Denied: what is writable, and what was not executable before.
Holds becomes_executable(const Evidence& e) {
  if (!(prot_of(e) & PROT_EXEC)) return Holds::kNo;
  const Holds in_force = fact_has(e, FactKey::kMdwe, 1);
  if (in_force != Holds::kYes || (prot_of(e) & PROT_WRITE)) return in_force;
  const MappingEntry* at = mprotect_refused_at(e);
  return !at ? Holds::kMaybe : holds_if(!(at->flags & ovcshim::kMapExec));
}
Holds selinux_denies(const Evidence& e) {
  const bool known = e.fact(FactKey::kSecurityModule).has_value();
  const bool in_force = fact_has(e, FactKey::kMdwe, 1) == Holds::kYes;
  return maybe_if((prot_of(e) & PROT_EXEC) && !in_force && (is_selinux(e) || !known));
}
Holds other_module(const Evidence& e) {
  const auto module = e.fact(FactKey::kSecurityModule);
  const bool confined =
      module == static_cast<uint64_t>(ovcshim::SecurityModule::kAppArmorConfined) ||
      module == static_cast<uint64_t>(ovcshim::SecurityModule::kOther);
  return maybe_if(confined);
}
Holds mprotect_wraps(const Evidence& e) {
  const auto& args = args_of(e);
  return holds_if(args[1] != 0 && args[0] + page_align(e, args[1]) <= args[0]);
}
Holds sealed_unknown(const Evidence& e) { return maybe_if(!e.mappings_complete); }

// ---- madvise, remap_file_pages ----

Holds advice_unknown(const Evidence& e) {
  constexpr uint64_t kLast = 25, kPoisons[] = {100, 101, 102, 103};  // linux/mman.h, 6.18
  for (const uint64_t advice : kPoisons)
    if (args_of(e)[2] == advice) return Holds::kNo;
  return holds_if(args_of(e)[2] > kLast || (args_of(e)[2] > 4 && args_of(e)[2] < 8));
}
Holds range_wraps(const Evidence& e) {
  const auto& args = args_of(e);
  const uint64_t len = page_align(e, args[1]);
  return holds_if((args[1] != 0 && len == 0) || args[0] + len < args[0]);
}
Holds populates(const Evidence& e) { return holds_if(args_of(e)[2] == 22 || args_of(e)[2] == 23); }
Holds poisons(const Evidence& e) {
  return args_of(e)[2] == 100 || args_of(e)[2] == 101 ? lacks_capability(e, kCapSysAdmin)
                                                      : Holds::kNo;
}
Holds has_prot(const Evidence& e) { return holds_if(args_of(e)[2] != 0); }
Holds empty_or_wraps(const Evidence& e) {
  const auto& args = args_of(e);
  const uint64_t page = page_bytes(e), start = args[0] / page * page, size = args[1] / page * page;
  return holds_if(start + size <= start);
}

constexpr std::string_view kParams = "mm/mremap.c check_mremap_params()",
                           kValid = "mm/mremap.c remap_is_valid()", kTo = "mm/mremap.c mremap_to()",
                           kProtect = "mm/mprotect.c do_mprotect_pkey()",
                           kAdvise = "mm/madvise.c do_madvise()",
                           kPages = "mm/mmap.c remap_file_pages()";
using enum Op;

// clang-format off
constexpr ErrnoRow kRows[] = {
    {kMremap, EINVAL, unknown_flag, kBadArgument, "a flag is given that mremap does not know", kParams},
    {kMremap, EINVAL, address_in_page, kBadArgument, "the old address is not at the start of a page", kParams},
    {kMremap, EINVAL, new_length_zero, kBadArgument, "the new length is 0", kParams},
    {kMremap, EINVAL, new_address_in_page, kBadArgument, "the new address is not at the start of a page", kParams},
    {kMremap, EINVAL, may_not_move, kBadArgument, "MREMAP_FIXED and MREMAP_DONTUNMAP need MREMAP_MAYMOVE", kParams},
    {kMremap, EINVAL, keeps_and_resizes, kBadArgument, "MREMAP_DONTUNMAP cannot change the length", kParams},
    {kMremap, EINVAL, new_range_outside, kBadArgument, "the new range reaches beyond the address space of a process", kTo},
    {kMremap, EINVAL, ranges_overlap, kBadArgument, "the old and the new range overlap", kTo},
    {kMremap, EINVAL, huge_pages_resized, kBadArgument, "a mapping of huge pages cannot grow, and its ends lie at the start of a huge page", "mm/mremap.c align_hugetlb()"},
    {kMremap, EINVAL, duplicates_private, kBadArgument, "the old length is 0, and only a shared mapping can be mapped once more in this way", kValid},
    {kMremap, EINVAL, keeps_fixed, kBadArgument, "MREMAP_DONTUNMAP is not possible with a mapping of this kind", kValid},
    {kMremap, EFAULT, nothing_there, kBadArgument, "nothing is mapped at the old address", "mm/mremap.c do_mremap()"},
    {kMremap, EFAULT, crosses_end, kBadArgument, "the old range is not one mapping", kValid},
    {kMremap, EFAULT, fixed_size, kBadArgument, "the mapping can never grow ([vdso], the memory of a device)", kValid},
    {kMremap, EPERM, sealed_unknown, kBadArgument, "the mapping is sealed (mseal)", "mm/mremap.c do_mremap()"},
    {kMprotect, EINVAL, both_grow, kBadArgument, "PROT_GROWSDOWN and PROT_GROWSUP exclude each other", kProtect},
    {kMprotect, EINVAL, address_in_page, kBadArgument, "the address is not at the start of a page", kProtect},
    {kMprotect, EINVAL, unknown_prot, kBadArgument, "a protection is given that this machine does not have", kProtect},
    {kMprotect, EINVAL, key_not_allocated, kBadArgument, "the protection key is not allocated, or the machine has none (pkey_alloc)", kProtect},
    {kMprotect, EINVAL, not_growing_down, kBadArgument, "PROT_GROWSDOWN: the mapping does not grow down", kProtect},
    {kMprotect, EINVAL, grows_up, kBadArgument, "PROT_GROWSUP: the mapping does not grow up", kProtect},
    {kMprotect, ENOMEM, mprotect_wraps, kBadArgument, "the range reaches beyond the last address", kProtect},
    {kMprotect, EACCES, never_writable, kBadArgument, "PROT_WRITE: the mapping is of a file that was opened read-only", kProtect},
    {kMprotect, EACCES, never_executable, kBadArgument, "PROT_EXEC: the mapping is of a file on a file system that is mounted noexec", kProtect},
    {kMprotect, EACCES, becomes_executable, kDenyWriteExecute, "memory may not be made executable by the process (MemoryDenyWriteExecute=yes of its systemd unit, PR_SET_MDWE)", "include/linux/mman.h map_deny_write_exec()"},
    {kMprotect, EACCES, selinux_denies, kSecurityModuleCause, "SELinux denies the process executable memory (execmem, execmod, execheap or execstack)", "security/selinux/hooks.c selinux_file_mprotect()"},
    {kMprotect, EACCES, other_module, kSecurityModuleCause, "a security module does not allow this protection", "security/security.c security_file_mprotect()"},
    {kMprotect, EPERM, sealed_unknown, kBadArgument, "a mapping in the range is sealed (mseal)", kProtect},
    {kMadvise, EINVAL, address_in_page, kBadArgument, "the address is not at the start of a page", kAdvise},
    {kMadvise, EINVAL, range_wraps, kBadArgument, "the range reaches beyond the last address", kAdvise},
    {kMadvise, EINVAL, advice_unknown, kBadArgument, "the advice is not known", kAdvise},
    {kMadvise, EINVAL, nullptr, kBadArgument, "the advice does not fit the mapping (its kind, a lock, huge pages), or this kernel lacks it", "mm/madvise.c madvise_vma_behavior()"},
    {kMadvise, EBADF, nullptr, kBadArgument, "MADV_WILLNEED or MADV_REMOVE of a mapping that is of no file", "mm/madvise.c madvise_willneed()"},
    {kMadvise, EIO, nullptr, kBadArgument, "a page could not be read from its file", "mm/madvise.c madvise_populate()"},
    {kMadvise, EHWPOISON, nullptr, kBadArgument, "a page of the range has a memory error", "mm/madvise.c madvise_populate()"},
    {kMadvise, EACCES, nullptr, kBadArgument, "MADV_REMOVE needs a shared mapping that may be written to", "mm/madvise.c madvise_remove()"},
    {kMadvise, EPERM, poisons, kNotPermitted, "MADV_HWPOISON and MADV_SOFT_OFFLINE need CAP_SYS_ADMIN", "mm/madvise.c madvise_inject_error()"},
    {kMadvise, EPERM, sealed_unknown, kBadArgument, "a mapping in the range is sealed (mseal)", "mm/mseal.c"},
    {kMadvise, EFAULT, populates, kBadArgument, "a page of the range cannot be brought in (beyond the end of its file)", "mm/madvise.c madvise_populate()"},
    {kRemapFilePages, EINVAL, has_prot, kBadArgument, "the protection has to be 0", kPages},
    {kRemapFilePages, EINVAL, empty_or_wraps, kBadArgument, "the size is less than a page, or the range reaches beyond the last address", kPages},
    {kRemapFilePages, EINVAL, nullptr, kBadArgument, "the range is not one shared mapping of a file", kPages},
};
// clang-format on

}  // namespace
}  // namespace on_change

std::span<const ErrnoRow> change_errnos() { return on_change::kRows; }

}  // namespace ovc::causes
