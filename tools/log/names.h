// SPDX-License-Identifier: MIT
//
// Tables: how each call is printed (name, arguments, kind of result) and what the kernel calls its
// values. An unknown value is printed in hex.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shim/format/log_format.h"

namespace ovc {

using ovcshim::Op;

// What an argument is, which says how to print it.
// clang-format off
enum class Arg : uint8_t {
  kEnd, kAddress, kStored, kSize, kSigned, kProt, kMmapFlags, kFd, kOffset, kAdvice, kMremapFlags, kNewAddress, kCloneFlags,
  kWaitStatus, kWaitOptions, kMaxRss, kIdType, kSiCode, kSiStatus, kText, kCount, kPreload, kHidden,
  kPkey, kShmFlags, kLockFlags, kLockallFlags, kOpenFlags, kMemfdFlags, kFallocMode, kOctal, kResource, kLimit, kOldLimit, kNamespaces,
  kSignal,
};
// clang-format on
// kMapAddress: -1 is the failure; kCode: an errno or 0; kStatus: a wait status.
enum class Result : uint8_t { kNone, kAddress, kMapAddress, kInt, kCode, kStatus };
// kShared: objects of shared memory, locks, and what cuts and fills files. kLimit: limits, and what
// children are born into. kSignal: signals sent.
enum class Family : uint8_t {
  kMalloc,
  kMemory,
  kShared,
  kFork,
  kWait,
  kExec,
  kEnd,
  kLimit,
  kSignal,
  kRecord
};

struct ArgInfo {
  uint8_t index;  // into EventBase::args
  Arg kind;
  std::string_view name;
};

struct OpInfo {
  Op op;
  std::string_view name;
  Family family;
  Result result;
  std::array<ArgInfo, 6> args;  // in the order a man page gives them; ends at kEnd

  std::span<const ArgInfo> arguments() const;
};

// nullptr for a number this version does not know.
const OpInfo* op_info(Op op);
std::string_view op_name(Op op);  // "mmap"; "?" if unknown
std::span<const OpInfo> all_ops();
// "mmap" -> {kMmap}; "%fork" -> the whole family; empty if there is no such name.
std::vector<Op> ops_named(std::string_view name);
std::vector<std::string> family_names();         // "%malloc", ...
std::vector<std::string> op_and_family_names();  // all that ops_named() knows

// Each appends to `out`.
void append_hex(std::string& out, uint64_t value);
void append_prot(std::string& out, uint64_t prot);
void append_mmap_flags(std::string& out, uint64_t flags);
void append_madvise(std::string& out, uint64_t advice);
void append_clone_flags(std::string& out, uint64_t flags);
void append_namespaces(std::string& out, uint64_t flags);  // of unshare and setns
void append_mremap_flags(std::string& out, uint64_t flags);
void append_wait_options(std::string& out, uint64_t options);
void append_wait_status(std::string& out, int status);        // "exited, 0", "killed by SIGKILL"
void append_shm_flags(std::string& out, uint64_t flags);      // of shmget and shmat
void append_lock_flags(std::string& out, uint64_t flags);     // of mlock2
void append_lockall_flags(std::string& out, uint64_t flags);  // of mlockall
void append_open_flags(std::string& out, uint64_t flags);     // of shm_open
void append_memfd_flags(std::string& out, uint64_t flags);
void append_falloc_mode(std::string& out, uint64_t mode);
void append_resource(std::string& out, uint64_t resource);  // RLIMIT_AS
void append_idtype(std::string& out, uint64_t idtype);
void append_si_code(std::string& out, uint64_t code);  // of SIGCHLD

std::string errno_name(unsigned value);   // "ENOMEM"
std::string signal_name(unsigned value);  // "SIGKILL"
// Name of a FactKey as used in JSON ("CommitLimit_kB"); empty if unknown.
std::string_view fact_name(uint32_t key);
// In words: are calls inside libc visible, and if not, why.
std::string internals_text(uint64_t word);

}  // namespace ovc
