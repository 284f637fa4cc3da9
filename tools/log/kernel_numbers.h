// SPDX-License-Identifier: MIT
//
// Numbers of the kernel that some C libraries' headers lack, or that no header for programs has.
#pragma once
#include <cstdint>

#include "shim/format/log_format.h"

namespace ovc {

// This ovc's own; a log's is in its header.
inline constexpr ovcshim::Machine kOwnMachine =
#if defined(__aarch64__)
    ovcshim::Machine::kAarch64;
#else
    ovcshim::Machine::kX86_64;
#endif

// The kernel's half of the addresses: no mapping of a process ([vsyscall] is listed there, but
// belongs to none), so the record of a granted call that names one is damaged.
inline constexpr uint64_t kKernelHalf = uint64_t{1} << 63;

// include/uapi/linux/mman.h, include/uapi/asm-generic/mman-common.h
inline constexpr uint64_t kProtGrowsdown = 0x01000000;
inline constexpr uint64_t kMapTypeMask = 0x0f, kMapDroppable = 0x08;
inline constexpr unsigned kMapHugeShift = 26;  // log2 of the page size above it, if MAP_HUGETLB
inline constexpr uint64_t kMremapDontunmap = 4;
inline constexpr uint64_t kAdviceGuardInstall = 102;

inline constexpr uint64_t kInitialPidNs = 0xEFFFFFFC,
                          kInitialUserNs = 0xEFFFFFFD;  // include/linux/proc_ns.h
inline constexpr uint64_t kReservedPids = 300;          // kernel/pid.c RESERVED_PIDS

}  // namespace ovc
