// SPDX-License-Identifier: MIT
//
// See errno_rows.h: from the rows of a call and its errno to a verdict.
#include "tools/causes/errno_rows.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "tools/causes/finding_text.h"
#include "tools/log/names.h"

namespace ovc::causes {

using ovcshim::FactKey;
using ovcshim::SecurityModule;

namespace deciding {
namespace {

constexpr unsigned kHugeShift = 26;  // MAP_HUGE_SHIFT, of MFD_ and SHM_ too
constexpr uint64_t kHugeMask = 0x3f, kFilterMode = 2;
constexpr std::string_view kFilterInForce =
                               "a seccomp filter is in force: it can answer with any errno",
                           kFilterPossible =
                               "a seccomp filter: whether one is in force is not known",
                           kModuleText = "a security module (BPF, SELinux, AppArmor)",
                           kSeveral = "several reasons are possible, and none is proven";
constexpr unsigned kLikely = 0, kPossible = 3, kUnlikely = 8;  // Suspect::order

// Of errnos that filters like to give, only what was read right after the failure excludes one.
Holds filter_answered(const Evidence& evidence) {
  const auto now = evidence.fact(FactKey::kSeccomp);
  const auto before = evidence.baseline ? evidence.baseline->fact(FactKey::kSeccomp) : std::nullopt;
  const bool usual =
      fails_with(evidence, EPERM) || fails_with(evidence, EACCES) || fails_with(evidence, ENOSYS);
  if (now == kFilterMode || before == kFilterMode) return Holds::kYes;
  if (now) return Holds::kNo;
  return usual || !before ? Holds::kMaybe : Holds::kNo;
}

// The module that labels the caller can have given this errno. SELinux denies any call with EACCES,
// AppArmor of these only files and programs; a capability that one of them keeps from being used is
// missed as EPERM, which a plain fork does not ask for.
bool module_answered(const Evidence& evidence) {
  if (!module_can_deny(evidence)) return false;
  const Op op = row_op(op_of(evidence));
  if (fails_with(evidence, EPERM)) return op != Op::kFork;
  const bool file = op == Op::kMmap || op == Op::kMprotect || op == Op::kExecve ||
                    op == Op::kPosixSpawn || op == Op::kShmOpen;
  return fails_with(evidence, EACCES) && (file || is_selinux(evidence));
}

constexpr ErrnoRow kModuleRow{Op::kNone,
                              0,
                              nullptr,
                              kSecurityModuleCause,
                              "a security module (SELinux, AppArmor) does not allow it",
                              "security/security.c"};

// A reason that is possible, with what is known of it.
Suspect suspect_of(const Evidence& evidence, const ErrnoRow& row, unsigned order) {
  Finding probe;
  if (row.figures) row.figures(evidence, probe);
  const std::string figures = figures_text(probe.figures);
  return {row.cause, fmt::format("{}{}{}", row.text, figures.empty() ? "" : ": ", figures), order};
}

void fill(const Evidence& evidence, Finding& finding, const ErrnoRow& row) {
  finding.cause = row.cause;
  finding.summary = row.text;
  finding.rule = row.source;
  if (row.cause == kUnknownCause) finding.suspects.push_back(suspect_of(evidence, row, kLikely));
  else if (row.figures) row.figures(evidence, finding);
}

std::string joined(const std::vector<const ErrnoRow*>& rows) {
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i)
    text += fmt::format("{}{}", i == 0 ? "" : i + 1 == rows.size() ? ", or " : ", ", rows[i]->text);
  return text;
}

// A filter that is in force is the most likely, one that is only not excluded the least.
void add_filter(Finding& finding, Holds filter) {
  if (filter == Holds::kYes)
    finding.suspects.push_back({kSeccompCause, std::string(kFilterInForce), kLikely});
  if (filter == Holds::kMaybe)
    finding.suspects.push_back({kSeccompCause, std::string(kFilterPossible), kUnlikely});
}

void add_module(const Evidence& evidence, Finding& finding) {
  if (security_module(evidence) == Holds::kNo) return;
  finding.suspects.push_back({kSecurityModuleCause, std::string(kModuleText), kUnlikely});
}

bool makes_executable(const Evidence& evidence) {
  const auto& args = args_of(evidence);
  return (op_of(evidence) == Op::kMmap || op_of(evidence) == Op::kMprotect) &&
         (args[2] & PROT_EXEC);
}

// What is left: of one cause, it is named; of several, none is proven.
void fill_list(const Evidence& evidence, Finding& finding, const std::vector<const ErrnoRow*>& rows,
               Holds filter) {
  bool same = filter == Holds::kNo;
  for (const ErrnoRow* row : rows) same &= row->cause == rows.front()->cause;
  finding.cause = same ? rows.front()->cause : kUnknownCause;
  finding.rule = rows.front()->source;
  if (finding.cause != kUnknownCause) {
    finding.summary = joined(rows);
    for (size_t i = 0; i < rows.size(); ++i)
      if (rows[i]->figures && (i == 0 || rows[i]->figures != rows[i - 1]->figures))
        rows[i]->figures(evidence, finding);
    return;
  }
  finding.summary = kSeveral;
  add_filter(finding, filter);
  for (size_t i = 0; i < rows.size(); ++i)
    finding.suspects.push_back(suspect_of(evidence, *rows[i], kPossible));
  if (filter != Holds::kYes) return;
  finding.notes.emplace_back(
      "a seccomp filter is active: it can refuse a call with any errno and leaves no trace");
  note_usual_filters(evidence, finding);
}

// No reason of the kernel's own is left.
bool fill_foreign(const Evidence& evidence, Finding& finding, bool any_rows) {
  const Holds filter = filter_answered(evidence);
  const bool module = module_answered(evidence);
  if (module && filter == Holds::kNo) {
    finding.cause = kSecurityModuleCause;
    finding.summary = fmt::format("denied by a security module ({})",
                                  is_selinux(evidence) ? "SELinux" : "AppArmor or another");
    finding.rule = kModuleRow.source;
    return true;
  }
  if (filter == Holds::kYes && !module) {
    finding.cause = kSeccompCause;
    finding.summary = fmt::format("refused by a seccomp filter: {}",
                                  any_rows ? "none of the kernel's own reasons for this errno holds"
                                           : "the kernel itself never answers this call so");
    finding.rule = "kernel/seccomp.c __seccomp_filter(): SECCOMP_RET_ERRNO";
    note_usual_filters(evidence, finding);
    return true;
  }
  if (!any_rows && filter == Holds::kNo && !fails_with(evidence, EPERM) &&
      !fails_with(evidence, EACCES))
    return false;
  finding.cause = kUnknownCause;
  finding.summary = any_rows ? "none of the kernel's own reasons for this errno holds"
                             : "the kernel itself never answers this call so";
  add_filter(finding, filter);
  add_module(evidence, finding);
  if (any_rows)
    finding.suspects.push_back(
        {kUnknownCause, "another thread changed something meanwhile", kUnlikely});
  return true;
}

template <typename Visit>
void for_each_row(const Evidence& evidence, Visit visit) {
  const Op op = row_op(op_of(evidence));
  for (const auto rows : {mmap_errnos(), change_errnos(), shared_errnos(), file_errnos(),
                          task_errnos(), exec_errnos()})
    for (const ErrnoRow& row : rows)
      if (row.op == op && row.err == evidence.err()) visit(row);
}

}  // namespace
}  // namespace deciding

void note_usual_filters(const Evidence& evidence, Finding& finding) {
  constexpr Op kMakers[] = {Op::kClone, Op::kPthreadCreate, Op::kPosixSpawn, Op::kPopen};
  const Op op = row_op(op_of(evidence));
  if (deciding::makes_executable(evidence))
    finding.notes.emplace_back(
        "systemd before 253 makes MemoryDenyWriteExecute=yes of a seccomp filter that answers "
        "EPERM");
  if (op == Op::kFork)
    finding.notes.emplace_back(
        "usual: SystemCallFilter= of a systemd unit, or the seccomp profile of a container");
  if (std::find(std::begin(kMakers), std::end(kMakers), op) != std::end(kMakers))
    finding.notes.emplace_back(
        "usual: Docker before 20.10.10 or libseccomp before 2.5, which do not know clone3 and "
        "answer EPERM, so that libc does not fall back to clone; or systemd's SystemCallFilter=");
}

Op row_op(Op op) {
  switch (op) {
    case Op::kUnderscoreFork:
    case Op::kVfork:
    case Op::kDaemon:
    case Op::kForkpty: return Op::kFork;
    case Op::kThrdCreate: return Op::kPthreadCreate;
    case Op::kPosixSpawnp:
    case Op::kPidfdSpawn:
    case Op::kPidfdSpawnp: return Op::kPosixSpawn;
    case Op::kSystem:
    case Op::kWordexp: return Op::kPopen;
    case Op::kSbrk: return Op::kBrk;
    case Op::kMlock2: return Op::kMlock;
    case Op::kPosixFallocate: return Op::kFallocate;
    default: break;
  }
  if (is_exec(op)) return Op::kExecve;
  return is_wait(op) ? Op::kWait : op;
}

bool decide_by_errno(const Evidence& evidence, Finding& finding) {
  using namespace deciding;
  const ErrnoRow* proven = nullptr;
  std::vector<const ErrnoRow*> possible;
  bool any = false;
  for_each_row(evidence, [&](const ErrnoRow& row) {
    const Holds holds = row.holds ? row.holds(evidence) : Holds::kMaybe;
    any = true;
    if (holds == Holds::kYes && !proven) proven = &row;
    if (holds == Holds::kMaybe) possible.push_back(&row);
  });
  // Of a limit that was met, the rows are in causes_*.cc: that none of them is proven excludes
  // none.
  if (!proven && possible.empty())
    return !no_memory(evidence) && !fails_with(evidence, EAGAIN) &&
           fill_foreign(evidence, finding, any);
  const auto is_module = [](const ErrnoRow* row) { return row->cause == kSecurityModuleCause; };
  if (!proven && module_answered(evidence) &&
      std::none_of(possible.begin(), possible.end(), is_module))
    possible.push_back(&kModuleRow);
  const Holds filter = filter_answered(evidence);
  if (!proven && possible.size() == 1 && filter == Holds::kNo) proven = possible.front();
  if (proven) fill(evidence, finding, *proven);
  else fill_list(evidence, finding, possible, filter);
  sort_suspects(finding);
  return true;
}

Holds fact_has(const Evidence& evidence, FactKey key, uint64_t bits) {
  const auto value = evidence.fact(key);
  return value ? holds_if(*value & bits) : Holds::kMaybe;
}

Holds lacks_capability(const Evidence& evidence, unsigned capability) {
  const auto caps = evidence.fact(FactKey::kCapEff);
  return caps ? holds_if(!(*caps >> capability & 1)) : Holds::kMaybe;
}

Holds no_such_huge_page(const Evidence& evidence, uint64_t flags) {
  using namespace deciding;
  const uint64_t bits = flags >> kHugeShift & kHugeMask;
  const auto sizes = evidence.fact(FactKey::kHugeSizes);
  if (!sizes) return Holds::kMaybe;
  return holds_if(bits != 0 && !(*sizes >> bits & 1));
}

bool is_selinux(const Evidence& evidence) {
  constexpr SecurityModule kNames[] = {SecurityModule::kSelinux, SecurityModule::kSelinuxEnforcing};
  const auto module = evidence.fact(FactKey::kSecurityModule);
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](SecurityModule name) { return module == static_cast<uint64_t>(name); });
}

Holds security_module(const Evidence& evidence) {
  constexpr SecurityModule kHarmless[] = {SecurityModule::kNone, SecurityModule::kSelinuxPermissive,
                                          SecurityModule::kAppArmorUnconfined};
  const auto module = evidence.fact(FactKey::kSecurityModule);
  for (const SecurityModule harmless : kHarmless)
    if (module == static_cast<uint64_t>(harmless)) return Holds::kNo;
  return Holds::kMaybe;
}

Holds not_open(const Evidence& evidence) {
  const auto flags = evidence.fact(FactKey::kFileOpenFlags);
  const Op op = op_of(evidence);
  const auto fd = static_cast<int>(args_of(evidence)[op == Op::kMmap ? 4 : 0]);
  if (fd < 0 || flags == ovcshim::kNotOpen) return Holds::kYes;
  return flags && (*flags & O_PATH) ? Holds::kNo : Holds::kMaybe;
}

Holds only_path(const Evidence& evidence) {
  return fact_has(evidence, FactKey::kFileOpenFlags, O_PATH);
}

Holds not_for_writing(const Evidence& evidence) {
  const auto flags = evidence.fact(FactKey::kFileOpenFlags);
  if (!flags) return Holds::kMaybe;
  return holds_if(flags != ovcshim::kNotOpen && (*flags & O_ACCMODE) == O_RDONLY);
}

Holds is_sealed_file(const Evidence& evidence, uint64_t seals) {
  const auto value = evidence.fact(FactKey::kFileSeals);
  if (value) return holds_if(*value & seals);
  return maybe_if(!evidence.fact(FactKey::kFileOpenFlags));  // only memory files have seals
}

}  // namespace ovc::causes
