// SPDX-License-Identifier: MIT
#include "tools/log/call_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "tools/log/call_families.h"
#include "tools/log/names.h"
#include "tools/text/json.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr uint64_t kMremapFixed = 2, kMremapDontUnmap = 4;

void append_address(std::string& out, uint64_t address) {
  if (address == 0) out += "NULL";
  else append_hex(out, address);
}

void append_signed(std::string& out, uint64_t value) {
  fmt::format_to(std::back_inserter(out), "{}", static_cast<int64_t>(value));
}
void append_int(std::string& out, uint64_t value) {
  fmt::format_to(std::back_inserter(out), "{}", static_cast<int32_t>(value));
}

void append_limit(std::string& out, uint64_t value) {
  if (value == kUnknown) out += "?";
  else if (value == kInfinite) out += "RLIM_INFINITY";
  else append_number(out, value);
}

// Of waitid: the exit status or a signal, as si_code says.
void append_si_status(std::string& out, const Event& event) {
  constexpr uint64_t kExited = 1;
  if (event.base.args[3] == kExited) append_int(out, event.base.args[4]);
  else out += signal_name(static_cast<unsigned>(event.base.args[4]));
}

// system(NULL) asks whether there is a shell.
bool is_null_command(const Event& event) {
  return event.base.op == Op::kSystem && event.base.args[0] == 0;
}

// The program's own seccomp filter was in force.
bool is_unread(const Event& event) {
  const auto& args = event.base.args;
  return event.text.empty() && ((is_exec(event.base.op) && args[1] == kUnknown) ||
                                (is_spawn(event.base.op) && args[2] == kUnknown));
}

bool has_status(const Event& event) {
  const Op op = event.base.op;
  return event.returned() && !event.failed() &&
         (op == Op::kWaitid ? event.base.args[5] != 0 : event.base.result > 0);
}

// False if the argument is not to be shown here.
bool is_shown(const Event& event, const ArgInfo& arg) {
  const auto& args = event.base.args;
  if (event.base.op == Op::kClone && arg.kind == Arg::kAddress)
    return args[arg.index] != 0;  // the system call has no fn
  switch (arg.kind) {
    case Arg::kHidden: return false;
    case Arg::kNewAddress: return args[3] & (kMremapFixed | kMremapDontUnmap);
    case Arg::kMaxRss: return has_status(event) && args[3] != 0 && args[3] != kUnknown;
    case Arg::kSiCode:
    case Arg::kSiStatus: return has_status(event);
    case Arg::kStored: return event.returned() && !event.failed();
    case Arg::kPkey: return args[arg.index] != 0;
    case Arg::kOldLimit: return args[arg.index] != kUnknown;
    default: return true;
  }
}

void append_argument(std::string& out, const Event& event, const ArgInfo& arg) {
  const uint64_t value = event.base.args[arg.index];
  switch (arg.kind) {
    case Arg::kAddress:
    case Arg::kNewAddress: append_address(out, value); break;
    case Arg::kStored: out += '[', append_address(out, value), out += ']'; break;
    case Arg::kSize:
    case Arg::kCount: append_number(out, value); break;
    case Arg::kSigned: append_signed(out, value); break;
    case Arg::kFd: append_int(out, value); break;
    case Arg::kOffset: value ? append_hex(out, value) : append_number(out, 0); break;
    case Arg::kProt: append_prot(out, value); break;
    case Arg::kMmapFlags: append_mmap_flags(out, value); break;
    case Arg::kAdvice: append_madvise(out, value); break;
    case Arg::kMremapFlags: append_mremap_flags(out, value); break;
    case Arg::kCloneFlags: append_clone_flags(out, value); break;
    case Arg::kWaitOptions: append_wait_options(out, value); break;
    case Arg::kIdType: append_idtype(out, value); break;
    case Arg::kSiCode: append_si_code(out, value); break;
    case Arg::kSiStatus: append_si_status(out, event); break;
    case Arg::kMaxRss: out += "max RSS ", append_grouped(out, value), out += " kB"; break;
    case Arg::kText:
      if (is_null_command(event)) out += "NULL";
      else if (is_unread(event)) out += "?";
      else append_quoted(out, event.text);
      break;
    case Arg::kPreload:
      out += value == kUnknown ? "LD_PRELOAD not read"
             : value           ? "LD_PRELOAD kept"
                               : "without LD_PRELOAD";
      break;
    case Arg::kPkey: out += "key ", append_signed(out, value - 1); break;
    case Arg::kShmFlags: append_shm_flags(out, value); break;
    case Arg::kLockFlags: append_lock_flags(out, value); break;
    case Arg::kLockallFlags: append_lockall_flags(out, value); break;
    case Arg::kOpenFlags: append_open_flags(out, value); break;
    case Arg::kMemfdFlags: append_memfd_flags(out, value); break;
    case Arg::kFallocMode: append_falloc_mode(out, value); break;
    case Arg::kOctal: fmt::format_to(std::back_inserter(out), "{:#o}", value); break;
    case Arg::kNamespaces: append_namespaces(out, value); break;
    case Arg::kSignal: out += signal_name(static_cast<unsigned>(value)); break;
    case Arg::kResource: append_resource(out, value); break;
    case Arg::kOldLimit: out += "was "; [[fallthrough]];
    case Arg::kLimit: append_limit(out, value); break;
    case Arg::kWaitStatus:
      out += '[';
      if (has_status(event)) append_wait_status(out, static_cast<int>(value));
      out += ']';
      break;
    case Arg::kHidden:
    case Arg::kEnd: break;
  }
}

std::string path_of_module(const Event& event) {
  return event.text.substr(std::min<size_t>(event.text.size(), event.base.args[3]));
}

void append_kb_fact(std::string& out, const Event& event, FactKey key, std::string_view name) {
  if (const auto value = event.fact(key))
    fmt::format_to(std::back_inserter(out), ", {} {}", name, kb_text(*value));
}

void append_record(std::string& out, const Event& event) {
  const auto& args = event.base.args;
  auto to = std::back_inserter(out);
  switch (event.base.op) {
    case Op::kStart:
      out += event.base.flags & kChildSide ? "--- new child of fork: "
             : args[0]                     ? "--- attached to: "
                                           : "--- new image: ";
      append_escaped(out, event.text);
      if (const auto parent = event.fact(FactKey::kParentPid))
        fmt::format_to(to, ", parent {}", *parent);
      out += " ---";
      break;
    case Op::kEnd:
      out += args[0] ? "--- no longer recorded (ovc detach) ---" : "--- normal end ---";
      break;
    case Op::kSnapshot:
      out += "--- state at the failure";
      append_kb_fact(out, event, FactKey::kMapsAcKb, "charged mappings");
      append_kb_fact(out, event, FactKey::kCommittedAsKb, "Committed_AS");
      append_kb_fact(out, event, FactKey::kCommitLimitKb, "CommitLimit");
      append_kb_fact(out, event, FactKey::kMemAvailableKb, "MemAvailable");
      out += " ---";
      break;
    case Op::kMappings:
      fmt::format_to(to, "--- mappings {} to {}{} ---", args[1], args[1] + event.mappings.size(),
                     args[3] ? ", complete" : "");
      break;
    case Op::kModule:
      fmt::format_to(to, "--- module {:#x}-{:#x} ", args[0], args[1]);
      append_escaped(out, path_of_module(event));
      out += " ---";
      break;
    default: fmt::format_to(to, "record of unknown kind {}", static_cast<unsigned>(event.base.op));
  }
}

void append_success(std::string& out, Result kind, int64_t result) {
  const auto value = static_cast<uint64_t>(result);
  switch (kind) {
    case Result::kNone: break;
    case Result::kAddress:
    case Result::kMapAddress: out += " = ", append_address(out, value); break;
    case Result::kInt: out += " = ", append_signed(out, value); break;
    case Result::kCode: out += " = ", append_number(out, value); break;
    case Result::kStatus:
      out += " = [";
      append_wait_status(out, static_cast<int>(result));
      out += ']';
      break;
  }
}

void append_failure(std::string& out, Result kind, const EventBase& base) {
  const std::string name = base.err ? errno_name(base.err) : "";
  if (kind == Result::kAddress) out += " = NULL ";
  else if (kind == Result::kCode) out += " = ";
  else out += " = -1 ";
  out += name;
}

// The kernel's brk has no failure value: it gives the break, changed or not.
bool is_raw_brk(const EventBase& base) { return base.op == Op::kBrk && is_system_call(base); }

uint64_t saturated_product(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

}  // namespace

void append_call(std::string& out, const Event& event) {
  const OpInfo* info = op_info(event.base.op);
  if (!info || info->family == Family::kRecord) return append_record(out, event);
  out += info->name;
  out += '(';
  bool first = true;
  for (const ArgInfo& arg : info->arguments()) {
    if (!is_shown(event, arg)) continue;
    if (!std::exchange(first, false)) out += ", ";
    append_argument(out, event, arg);
  }
  out += ')';
}

void append_result(std::string& out, const Event& event, Fate fate) {
  const OpInfo* info = op_info(event.base.op);
  if (!info || info->family == Family::kRecord || fate == Fate::kNever) return;
  if (fate == Fate::kNewImage) {
    out += " = 0 (new image)";
  } else if (fate == Fate::kOpen) {
    const bool exec = info->family == Family::kExec;
    out += exec && event.base.args[1] == 0
               ? " = ? (no return recorded: exec without LD_PRELOAD, or the log ends here)"
           : exec && event.base.args[1] == kUnknown
               ? " = ? (no return recorded: the new program left no record, or the log ends here)"
               : " = ? (had not returned when the log ends)";
  } else if (event.failed()) {
    append_failure(out, info->result, event.base);
  } else {
    const Result kind = is_raw_brk(event.base)   ? Result::kAddress
                        : is_null_command(event) ? Result::kInt
                                                 : info->result;
    append_success(out, kind, event.base.result);
  }
  if (event.base.flags & kInjected) out += " [injected]";
  if (event.base.flags & kRehearsed) out += " [rehearsed]";
}

void append_lane_call(std::string& out, const Call& call) {
  out += op_name(call.op);
  out += '(';
  switch (call.op) {
    case Op::kFree: append_address(out, call.address), out += ')'; return;
    case Op::kRealloc:
    case Op::kReallocarray:
      if (call.old_address == ovcshim::kUnknown) out += '?';
      else append_address(out, call.old_address);
      out += ", ";
      break;
    case Op::kPosixMemalign:
      out += '[', append_address(out, call.address), out += "], ";
      [[fallthrough]];
    case Op::kAlignedAlloc:
    case Op::kMemalign: append_number(out, call.alignment), out += ", "; break;
    default: break;
  }
  append_number(out, call.size);
  if (call.op == Op::kCalloc || call.op == Op::kReallocarray)
    out += " in all";  // the factors are not kept
  out += ") = ";
  if (call.op == Op::kPosixMemalign) out += '0';
  else append_address(out, call.address);
}

bool has_size(Op op) {
  const OpInfo* info = op_info(op);
  if (!info) return false;
  for (const ArgInfo& arg : info->arguments())
    if (arg.kind == Arg::kSize) return true;
  return false;
}

uint64_t requested_bytes(const Event& event) {
  const auto& args = event.base.args;
  if (event.base.op == Op::kCalloc) return saturated_product(args[0], args[1]);
  if (event.base.op == Op::kReallocarray) return saturated_product(args[1], args[2]);
  const OpInfo* info = op_info(event.base.op);
  if (!info) return 0;
  for (const ArgInfo& arg : info->arguments())
    if (arg.kind == Arg::kSize) return args[arg.index];
  return 0;
}

Json arguments_json(const Event& event) {
  Json object = Json::object();
  const OpInfo* info = op_info(event.base.op);
  if (!info) return object;
  for (const ArgInfo& arg : info->arguments()) {
    const uint64_t value = event.base.args[arg.index];
    Json& field = object[std::string(arg.name)];
    switch (arg.kind) {
      case Arg::kAddress:
      case Arg::kStored:
      case Arg::kNewAddress: field = hex_text(value); break;
      case Arg::kSigned: field = static_cast<int64_t>(value); break;
      case Arg::kFd: field = static_cast<int32_t>(value); break;
      case Arg::kHidden: field = static_cast<int64_t>(value); break;
      case Arg::kPreload: field = value != 0; break;
      case Arg::kText: field = event.text; break;
      case Arg::kSize:
      case Arg::kCount:
      case Arg::kMaxRss:
      case Arg::kOffset:
      case Arg::kLimit:
      case Arg::kOldLimit: field = json_figure(value); break;
      default: {
        std::string text;
        if (is_shown(event, arg)) append_argument(text, event, arg);
        field = text;
      }
    }
  }
  return object;
}

Json facts_json(const std::vector<Fact>& facts) {
  Json object = Json::object();
  for (const Fact& fact : facts) {
    const auto provider = fact.key - static_cast<uint32_t>(FactKey::kProviderBase);
    std::string name(fact_name(fact.key));
    if (name.empty() && provider < static_cast<uint32_t>(Op::kCallOps))
      name = fmt::format("provider_of_{}", op_name(static_cast<Op>(provider)));
    if (name.empty()) name = fmt::format("fact_{}", fact.key);
    object[name] = provider < static_cast<uint32_t>(Op::kCallOps) ? Json(hex_text(fact.value))
                                                                  : json_figure(fact.value);
  }
  return object;
}

std::vector<std::string> flag_names(uint16_t flags) {
  struct FlagName {
    uint16_t flag;
    std::string_view name;
  };
  constexpr FlagName kNames[] = {
      {kFailed, "failed"},          {kIntent, "intent"},      {kLateCompletion, "late-completion"},
      {kInsideLibc, "inside-libc"}, {kEarly, "early"},        {kInjected, "injected"},
      {kRehearsed, "rehearsed"},    {kStackCut, "stack-cut"}, {kChildSide, "child-side"},
      {kRawSyscall, "raw-syscall"},
  };
  std::vector<std::string> names;
  for (const FlagName& row : kNames)
    if (flags & row.flag) names.emplace_back(row.name);
  return names;
}

}  // namespace ovc
