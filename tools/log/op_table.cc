// SPDX-License-Identifier: MIT
//
// THE table of calls from the reader's side: how each is written down. Argument indexes are those
// of Op in log_format.h.
#include <algorithm>
#include <iterator>

#include "tools/log/names.h"

namespace ovc {
namespace {

#define OVC_OP(op, name, family, result, ...)       \
  {                                                 \
    Op::op, name, Family::family, Result::result, { \
      { __VA_ARGS__ }                               \
    }                                               \
  }
// clang-format off
constexpr OpInfo kOps[] = {
OVC_OP(kMalloc,         "malloc",         kMalloc, kAddress,    {0, Arg::kSize, "size"}),
OVC_OP(kCalloc,         "calloc",         kMalloc, kAddress,    {0, Arg::kCount, "nmemb"}, {1, Arg::kSize, "size"}),
OVC_OP(kRealloc,        "realloc",        kMalloc, kAddress,    {0, Arg::kAddress, "ptr"}, {1, Arg::kSize, "size"}),
OVC_OP(kReallocarray,   "reallocarray",   kMalloc, kAddress,    {0, Arg::kAddress, "ptr"}, {1, Arg::kCount, "nmemb"}, {2, Arg::kSize, "size"}),
OVC_OP(kFree,           "free",           kMalloc, kNone,       {0, Arg::kAddress, "ptr"}),
OVC_OP(kPosixMemalign,  "posix_memalign", kMalloc, kCode,       {2, Arg::kStored, "memptr"}, {0, Arg::kCount, "alignment"}, {1, Arg::kSize, "size"}),
OVC_OP(kAlignedAlloc,   "aligned_alloc",  kMalloc, kAddress,    {0, Arg::kCount, "alignment"}, {1, Arg::kSize, "size"}),
OVC_OP(kMemalign,       "memalign",       kMalloc, kAddress,    {0, Arg::kCount, "alignment"}, {1, Arg::kSize, "size"}),
OVC_OP(kValloc,         "valloc",         kMalloc, kAddress,    {0, Arg::kSize, "size"}),
OVC_OP(kPvalloc,        "pvalloc",        kMalloc, kAddress,    {0, Arg::kSize, "size"}),
OVC_OP(kMmap,           "mmap",           kMemory, kMapAddress, {0, Arg::kAddress, "addr"}, {1, Arg::kSize, "len"}, {2, Arg::kProt, "prot"}, {3, Arg::kMmapFlags, "flags"}, {4, Arg::kFd, "fd"}, {5, Arg::kOffset, "offset"}),
OVC_OP(kMunmap,         "munmap",         kMemory, kInt,        {0, Arg::kAddress, "addr"}, {1, Arg::kSize, "len"}),
OVC_OP(kMremap,         "mremap",         kMemory, kMapAddress, {0, Arg::kAddress, "addr"}, {1, Arg::kCount, "old_len"}, {2, Arg::kSize, "new_len"}, {3, Arg::kMremapFlags, "flags"}, {4, Arg::kNewAddress, "new_addr"}),
OVC_OP(kMprotect,       "mprotect",       kMemory, kInt,        {0, Arg::kAddress, "addr"}, {1, Arg::kSize, "len"}, {2, Arg::kProt, "prot"}, {3, Arg::kPkey, "pkey"}),
OVC_OP(kBrk,            "brk",            kMemory, kInt,        {0, Arg::kAddress, "addr"}),
OVC_OP(kSbrk,           "sbrk",           kMemory, kMapAddress, {0, Arg::kSigned, "increment"}),
OVC_OP(kMadvise,        "madvise",        kMemory, kInt,        {0, Arg::kAddress, "addr"}, {1, Arg::kSize, "len"}, {2, Arg::kAdvice, "advice"}),
OVC_OP(kRemapFilePages, "remap_file_pages", kMemory, kInt,      {0, Arg::kAddress, "addr"}, {1, Arg::kCount, "size"}, {2, Arg::kProt, "prot"}, {3, Arg::kCount, "pgoff"}, {4, Arg::kMmapFlags, "flags"}),
OVC_OP(kShmget,         "shmget",         kShared, kInt,        {0, Arg::kOffset, "key"}, {1, Arg::kSize, "size"}, {2, Arg::kShmFlags, "flags"}),
OVC_OP(kShmat,          "shmat",          kShared, kMapAddress, {0, Arg::kFd, "shmid"}, {1, Arg::kAddress, "addr"}, {2, Arg::kShmFlags, "flags"}),
OVC_OP(kShmdt,          "shmdt",          kShared, kInt,        {0, Arg::kAddress, "addr"}),
OVC_OP(kMlock,          "mlock",          kShared, kInt,        {0, Arg::kAddress, "addr"}, {1, Arg::kSize, "len"}),
OVC_OP(kMlock2,         "mlock2",         kShared, kInt,        {0, Arg::kAddress, "addr"}, {1, Arg::kSize, "len"}, {2, Arg::kLockFlags, "flags"}),
OVC_OP(kMlockall,       "mlockall",       kShared, kInt,        {0, Arg::kLockallFlags, "flags"}),
OVC_OP(kMunlock,        "munlock",        kShared, kInt,        {0, Arg::kAddress, "addr"}, {1, Arg::kSize, "len"}),
OVC_OP(kMunlockall,     "munlockall",     kShared, kInt,        {}),
OVC_OP(kShmOpen,        "shm_open",       kShared, kInt,        {0, Arg::kText, "name"}, {0, Arg::kOpenFlags, "oflag"}, {1, Arg::kOctal, "mode"}),
OVC_OP(kMemfdCreate,    "memfd_create",   kShared, kInt,        {0, Arg::kText, "name"}, {0, Arg::kMemfdFlags, "flags"}),
OVC_OP(kFtruncate,      "ftruncate",      kShared, kInt,        {0, Arg::kFd, "fd"}, {1, Arg::kSigned, "length"}),
OVC_OP(kFallocate,      "fallocate",      kShared, kInt,        {0, Arg::kFd, "fd"}, {1, Arg::kFallocMode, "mode"}, {2, Arg::kSigned, "offset"}, {3, Arg::kSigned, "len"}),
OVC_OP(kPosixFallocate, "posix_fallocate", kShared, kCode,      {0, Arg::kFd, "fd"}, {1, Arg::kSigned, "offset"}, {2, Arg::kSigned, "len"}),
OVC_OP(kFork,           "fork",           kFork,   kInt,        {}),
OVC_OP(kUnderscoreFork, "_Fork",          kFork,   kInt,        {}),
OVC_OP(kVfork,          "vfork",          kFork,   kInt,        {}),
OVC_OP(kClone,          "clone",          kFork,   kInt,        {2, Arg::kAddress, "fn"}, {1, Arg::kAddress, "stack"}, {0, Arg::kCloneFlags, "flags"}),
OVC_OP(kPthreadCreate,  "pthread_create", kFork,   kCode,       {1, Arg::kAddress, "start_routine"}),
OVC_OP(kPosixSpawn,     "posix_spawn",    kFork,   kCode,       {0, Arg::kFd, "pid"}, {0, Arg::kText, "path"}, {1, Arg::kHidden, "argc"}, {2, Arg::kPreload, "ld_preload"}, {3, Arg::kHidden, "envc"}),
OVC_OP(kPosixSpawnp,    "posix_spawnp",   kFork,   kCode,       {0, Arg::kFd, "pid"}, {0, Arg::kText, "file"}, {1, Arg::kHidden, "argc"}, {2, Arg::kPreload, "ld_preload"}, {3, Arg::kHidden, "envc"}),
OVC_OP(kPidfdSpawn,     "pidfd_spawn",    kFork,   kCode,       {0, Arg::kFd, "pidfd"}, {0, Arg::kText, "path"}, {1, Arg::kHidden, "argc"}, {2, Arg::kPreload, "ld_preload"}, {3, Arg::kHidden, "envc"}),
OVC_OP(kPidfdSpawnp,    "pidfd_spawnp",   kFork,   kCode,       {0, Arg::kFd, "pidfd"}, {0, Arg::kText, "file"}, {1, Arg::kHidden, "argc"}, {2, Arg::kPreload, "ld_preload"}, {3, Arg::kHidden, "envc"}),
OVC_OP(kPopen,          "popen",          kFork,   kAddress,    {0, Arg::kText, "command"}),
OVC_OP(kSystem,         "system",         kFork,   kStatus,     {0, Arg::kText, "command"}),
OVC_OP(kDaemon,         "daemon",         kFork,   kInt,        {0, Arg::kFd, "nochdir"}, {1, Arg::kFd, "noclose"}),
OVC_OP(kForkpty,        "forkpty",        kFork,   kInt,        {}),
OVC_OP(kThrdCreate,     "thrd_create",    kFork,   kCode,       {1, Arg::kAddress, "func"}),
OVC_OP(kWordexp,        "wordexp",        kFork,   kInt,        {0, Arg::kText, "words"}, {0, Arg::kHidden, "flags"}),
OVC_OP(kWait,           "wait",           kWait,   kInt,        {2, Arg::kWaitStatus, "status"}),
OVC_OP(kWaitpid,        "waitpid",        kWait,   kInt,        {0, Arg::kFd, "pid"}, {2, Arg::kWaitStatus, "status"}, {1, Arg::kWaitOptions, "options"}),
OVC_OP(kWait3,          "wait3",          kWait,   kInt,        {2, Arg::kWaitStatus, "status"}, {1, Arg::kWaitOptions, "options"}, {3, Arg::kMaxRss, "max_rss_kb"}),
OVC_OP(kWait4,          "wait4",          kWait,   kInt,        {0, Arg::kFd, "pid"}, {2, Arg::kWaitStatus, "status"}, {1, Arg::kWaitOptions, "options"}, {3, Arg::kMaxRss, "max_rss_kb"}),
OVC_OP(kWaitid,         "waitid",         kWait,   kInt,        {0, Arg::kIdType, "idtype"}, {1, Arg::kFd, "id"}, {3, Arg::kSiCode, "si_code"}, {4, Arg::kSiStatus, "si_status"}, {5, Arg::kHidden, "si_pid"}, {2, Arg::kWaitOptions, "options"}),
OVC_OP(kExecve,         "execve",         kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}, {2, Arg::kHidden, "envc"}),
OVC_OP(kExecveat,       "execveat",       kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}, {2, Arg::kHidden, "envc"}),
OVC_OP(kFexecve,        "fexecve",        kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}, {2, Arg::kHidden, "envc"}),
OVC_OP(kExecv,          "execv",          kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}, {2, Arg::kHidden, "envc"}),
OVC_OP(kExecvp,         "execvp",         kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}, {2, Arg::kHidden, "envc"}),
OVC_OP(kExecvpe,        "execvpe",        kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}, {2, Arg::kHidden, "envc"}),
OVC_OP(kExecl,          "execl",          kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}, {2, Arg::kHidden, "envc"}),
OVC_OP(kExeclp,         "execlp",         kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}, {2, Arg::kHidden, "envc"}),
OVC_OP(kExecle,         "execle",         kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}, {2, Arg::kHidden, "envc"}),
OVC_OP(kExit,           "exit",           kEnd,    kNone,       {0, Arg::kFd, "status"}, {1, Arg::kHidden, "page_faults"}, {2, Arg::kHidden, "errno"}),
OVC_OP(kUnderscoreExit, "_exit",          kEnd,    kNone,       {0, Arg::kFd, "status"}, {1, Arg::kHidden, "page_faults"}, {2, Arg::kHidden, "errno"}),
OVC_OP(kQuickExit,      "quick_exit",     kEnd,    kNone,       {0, Arg::kFd, "status"}, {1, Arg::kHidden, "page_faults"}, {2, Arg::kHidden, "errno"}),
OVC_OP(kAbort,          "abort",          kEnd,    kNone,       {}),
OVC_OP(kUnshare,        "unshare",        kLimit,  kInt,        {0, Arg::kNamespaces, "flags"}),
OVC_OP(kSetns,          "setns",          kLimit,  kInt,        {0, Arg::kFd, "fd"}, {1, Arg::kNamespaces, "nstype"}),
OVC_OP(kSetrlimit,      "setrlimit",      kLimit,  kInt,        {0, Arg::kResource, "resource"}, {1, Arg::kLimit, "soft"}, {2, Arg::kLimit, "hard"}),
OVC_OP(kPrlimit,        "prlimit",        kLimit,  kInt,        {0, Arg::kFd, "pid"}, {1, Arg::kResource, "resource"}, {2, Arg::kLimit, "soft"}, {3, Arg::kLimit, "hard"}, {4, Arg::kOldLimit, "old_soft"}, {5, Arg::kOldLimit, "old_hard"}),
OVC_OP(kKill,           "kill",           kSignal, kInt,        {0, Arg::kFd, "pid"}, {1, Arg::kSignal, "sig"}),
OVC_OP(kTgkill,         "tgkill",         kSignal, kInt,        {0, Arg::kFd, "tgid"}, {1, Arg::kFd, "tid"}, {2, Arg::kSignal, "sig"}),
OVC_OP(kSigqueue,       "sigqueue",       kSignal, kInt,        {0, Arg::kFd, "pid"}, {1, Arg::kSignal, "sig"}),
OVC_OP(kPidfdSendSignal, "pidfd_send_signal", kSignal, kInt,    {0, Arg::kFd, "pidfd"}, {1, Arg::kSignal, "sig"}, {2, Arg::kCount, "flags"}, {3, Arg::kHidden, "pid"}),
OVC_OP(kStart,          "start",          kRecord, kNone,       {}),
OVC_OP(kEnd,            "end",            kRecord, kNone,       {}),
OVC_OP(kSnapshot,       "snapshot",       kRecord, kNone,       {0, Arg::kCount, "of"}),
OVC_OP(kMappings,       "mappings",       kRecord, kNone,       {0, Arg::kCount, "of"}, {1, Arg::kCount, "first"}, {2, Arg::kCount, "total"}, {3, Arg::kCount, "complete"}),
OVC_OP(kModule,         "module",         kRecord, kNone,       {0, Arg::kAddress, "start"}, {1, Arg::kAddress, "end"}, {2, Arg::kAddress, "bias"}),
};
// clang-format on
#undef OVC_OP

struct FamilyName {
  Family family;
  std::string_view name;
};
constexpr FamilyName kFamilies[] = {
    {Family::kMalloc, "%malloc"}, {Family::kMemory, "%memory"}, {Family::kShared, "%shared"},
    {Family::kFork, "%fork"},     {Family::kWait, "%wait"},     {Family::kExec, "%exec"},
    {Family::kEnd, "%end"},       {Family::kLimit, "%limit"},   {Family::kSignal, "%signal"},
    {Family::kRecord, "%record"},
};

// By number, so that the lookup is one load.
constexpr auto kIndex = [] {
  std::array<uint8_t, 256> index{};
  for (size_t i = 0; i < std::size(kOps); ++i)
    index[static_cast<size_t>(kOps[i].op)] = static_cast<uint8_t>(i + 1);
  return index;
}();

}  // namespace

std::span<const ArgInfo> OpInfo::arguments() const {
  size_t count = 0;
  while (count < args.size() && args[count].kind != Arg::kEnd) ++count;
  return {args.data(), count};
}

const OpInfo* op_info(Op op) {
  const auto number = static_cast<size_t>(op);
  return number < kIndex.size() && kIndex[number] ? &kOps[kIndex[number] - 1] : nullptr;
}

std::string_view op_name(Op op) {
  const OpInfo* info = op_info(op);
  return info ? info->name : "?";
}

std::span<const OpInfo> all_ops() { return kOps; }

std::vector<Op> ops_named(std::string_view name) {
  std::vector<Op> found;
  const auto* family = std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                    [&](const FamilyName& f) { return f.name == name; });
  for (const OpInfo& info : kOps)
    if (info.name == name || (family != std::end(kFamilies) && info.family == family->family))
      found.push_back(info.op);
  return found;
}

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const FamilyName& family : kFamilies) names.emplace_back(family.name);
  return names;
}

std::vector<std::string> op_and_family_names() {
  std::vector<std::string> names = family_names();
  for (const OpInfo& info : kOps) names.emplace_back(info.name);
  return names;
}

}  // namespace ovc
