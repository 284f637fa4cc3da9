// SPDX-License-Identifier: MIT
//
// THE table of errnos: for each interposed call and each errno it can give, every reason that the
// kernel (or libc) has for it, in the order of the checks. A row says whether its reason holds for
// the recorded call. One that surely holds is the verdict. Otherwise it is the only one that is not
// excluded, or the list of those that are left: an errno with several sources proves none of them.
// Limits and accounting (ENOMEM, EAGAIN) have rows of their own in causes_*.cc, tried before.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "tools/causes/causes_detail.h"

namespace ovc::causes {

enum class Holds : uint8_t { kNo, kMaybe, kYes };
constexpr Holds holds_if(bool is_so) { return is_so ? Holds::kYes : Holds::kNo; }
constexpr Holds maybe_if(bool is_so) { return is_so ? Holds::kMaybe : Holds::kNo; }

struct ErrnoRow {
  Op op;  // of calls that are one to the kernel, the one that row_op() names
  uint16_t err;
  Holds (*holds)(const Evidence&);  // nullptr: nothing recorded tells
  std::string_view cause;           // stable name
  std::string_view text;
  std::string_view source;
  void (*figures)(const Evidence&, Finding&) = nullptr;
};

std::span<const ErrnoRow> mmap_errnos();    // mmap, munmap
std::span<const ErrnoRow> change_errnos();  // mremap, mprotect, madvise, remap_file_pages
std::span<const ErrnoRow> shared_errnos();  // segments, locks
std::span<const ErrnoRow> file_errnos();    // shm_open, memfd_create, ftruncate, fallocate
std::span<const ErrnoRow> task_errnos();    // fork family, namespaces
std::span<const ErrnoRow> exec_errnos();    // exec, limits, waits

// fork for _Fork, vfork, daemon, forkpty; execve for the exec family; and so on.
Op row_op(Op op);

// Fills the finding, its cause included, if there are rows for the call's errno or a seccomp filter
// can have answered. False: nothing is known of it.
bool decide_by_errno(const Evidence& evidence, Finding& finding);

// Whose filters usually answer such a call, as notes.
void note_usual_filters(const Evidence& evidence, Finding& finding);

// ---- what several rows ask ----

inline uint64_t page_bytes(const Evidence& evidence) { return evidence.rules.page_kb * 1024; }
inline bool in_page(const Evidence& evidence, uint64_t value) {
  return value % page_bytes(evidence) != 0;
}
// Rounded up to pages; 0 if that wraps around, as in the kernel.
inline uint64_t page_align(const Evidence& evidence, uint64_t value) {
  return (value + page_bytes(evidence) - 1) / page_bytes(evidence) * page_bytes(evidence);
}
// Does the recorded fact have one of these bits? kMaybe if it is not recorded.
Holds fact_has(const Evidence& evidence, ovcshim::FactKey key, uint64_t bits);
Holds lacks_capability(const Evidence& evidence, unsigned capability);  // in its own user namespace
// The size of a huge page that these flags of mmap, shmget or memfd_create name is not there.
Holds no_such_huge_page(const Evidence& evidence, uint64_t flags);
// A module that can refuse it may be in force.
Holds security_module(const Evidence& evidence);
bool is_selinux(const Evidence& evidence);  // labels the process, and may enforce
// Is the descriptor free, or open without access (O_PATH), or not open for writing?
Holds not_open(const Evidence& evidence);
Holds only_path(const Evidence& evidence);
Holds not_for_writing(const Evidence& evidence);
Holds is_sealed_file(const Evidence& evidence, uint64_t seals);

// Of E2BIG: the strings are too long together only, and a higher RLIMIT_STACK gives room for them.
bool larger_stack_helps(const Evidence& evidence);

inline constexpr std::string_view kBadArgument = "bad-argument", kUnknownCause = "unknown",
                                  kDenyWriteExecute = "memory-deny-write-execute",
                                  kSecurityModuleCause = "security-module",
                                  kSeccompCause = "seccomp", kNotPermitted = "not-permitted",
                                  kNamespaceLimitCause = "namespace-limit",
                                  kSegmentLimit = "shm-limit", kOpenFiles = "rlimit-nofile",
                                  kFileSize = "file-size", kFull = "file-system-full",
                                  kTooLong = "argument-list-too-long";

}  // namespace ovc::causes
