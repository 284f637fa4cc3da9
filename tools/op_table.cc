// SPDX-License-Identifier: MIT
//
// THE table of calls from the reader's side: how each is written down. Argument indexes are those of Op in log_format.h.
#include <algorithm>
#include <iterator>

#include "tools/names.h"

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
OVC_OP(kMprotect,       "mprotect",       kMemory, kInt,        {0, Arg::kAddress, "addr"}, {1, Arg::kSize, "len"}, {2, Arg::kProt, "prot"}),
OVC_OP(kBrk,            "brk",            kMemory, kInt,        {0, Arg::kAddress, "addr"}),
OVC_OP(kSbrk,           "sbrk",           kMemory, kMapAddress, {0, Arg::kSigned, "increment"}),
OVC_OP(kMadvise,        "madvise",        kMemory, kInt,        {0, Arg::kAddress, "addr"}, {1, Arg::kSize, "len"}, {2, Arg::kAdvice, "advice"}),
OVC_OP(kFork,           "fork",           kFork,   kInt,        {}),
OVC_OP(kUnderscoreFork, "_Fork",          kFork,   kInt,        {}),
OVC_OP(kVfork,          "vfork",          kFork,   kInt,        {}),
OVC_OP(kClone,          "clone",          kFork,   kInt,        {2, Arg::kAddress, "fn"}, {1, Arg::kAddress, "stack"}, {0, Arg::kCloneFlags, "flags"}),
OVC_OP(kPthreadCreate,  "pthread_create", kFork,   kCode,       {1, Arg::kAddress, "start_routine"}),
OVC_OP(kPosixSpawn,     "posix_spawn",    kFork,   kCode,       {0, Arg::kFd, "pid"}, {0, Arg::kText, "path"}, {1, Arg::kHidden, "argc"}),
OVC_OP(kPosixSpawnp,    "posix_spawnp",   kFork,   kCode,       {0, Arg::kFd, "pid"}, {0, Arg::kText, "file"}, {1, Arg::kHidden, "argc"}),
OVC_OP(kWait,           "wait",           kWait,   kInt,        {2, Arg::kWaitStatus, "status"}),
OVC_OP(kWaitpid,        "waitpid",        kWait,   kInt,        {0, Arg::kFd, "pid"}, {2, Arg::kWaitStatus, "status"}, {1, Arg::kWaitOptions, "options"}),
OVC_OP(kWait3,          "wait3",          kWait,   kInt,        {2, Arg::kWaitStatus, "status"}, {1, Arg::kWaitOptions, "options"}, {3, Arg::kMaxRss, "max_rss_kb"}),
OVC_OP(kWait4,          "wait4",          kWait,   kInt,        {0, Arg::kFd, "pid"}, {2, Arg::kWaitStatus, "status"}, {1, Arg::kWaitOptions, "options"}, {3, Arg::kMaxRss, "max_rss_kb"}),
OVC_OP(kWaitid,         "waitid",         kWait,   kInt,        {0, Arg::kIdType, "idtype"}, {1, Arg::kFd, "id"}, {3, Arg::kSiCode, "si_code"}, {4, Arg::kSiStatus, "si_status"}, {5, Arg::kHidden, "si_pid"}, {2, Arg::kWaitOptions, "options"}),
OVC_OP(kExecve,         "execve",         kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}),
OVC_OP(kExecveat,       "execveat",       kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}),
OVC_OP(kFexecve,        "fexecve",        kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}),
OVC_OP(kExecv,          "execv",          kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}),
OVC_OP(kExecvp,         "execvp",         kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}),
OVC_OP(kExecvpe,        "execvpe",        kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}),
OVC_OP(kExecl,          "execl",          kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}),
OVC_OP(kExeclp,         "execlp",         kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}),
OVC_OP(kExecle,         "execle",         kExec,   kInt,        {0, Arg::kText, "path"}, {0, Arg::kHidden, "argc"}, {1, Arg::kPreload, "ld_preload"}),
OVC_OP(kExit,           "exit",           kEnd,    kNone,       {0, Arg::kFd, "status"}, {1, Arg::kHidden, "page_faults"}),
OVC_OP(kUnderscoreExit, "_exit",          kEnd,    kNone,       {0, Arg::kFd, "status"}, {1, Arg::kHidden, "page_faults"}),
OVC_OP(kAbort,          "abort",          kEnd,    kNone,       {}),
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
    {Family::kMalloc, "%malloc"}, {Family::kMemory, "%memory"}, {Family::kFork, "%fork"},     {Family::kWait, "%wait"},
    {Family::kExec, "%exec"},     {Family::kEnd, "%end"},       {Family::kRecord, "%record"},
};

// By number, so that the lookup is one load.
constexpr auto kIndex = [] {
  std::array<uint8_t, 256> index{};
  for (size_t i = 0; i < std::size(kOps); ++i) index[static_cast<size_t>(kOps[i].op)] = static_cast<uint8_t>(i + 1);
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
  const auto* family =
      std::find_if(std::begin(kFamilies), std::end(kFamilies), [&](const FamilyName& f) { return f.name == name; });
  for (const OpInfo& info : kOps)
    if (info.name == name || (family != std::end(kFamilies) && info.family == family->family)) found.push_back(info.op);
  return found;
}

}  // namespace ovc
