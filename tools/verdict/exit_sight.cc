// SPDX-License-Identifier: MIT
#include "tools/verdict/exit_sight.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "tools/symbols/executable.h"
#include "tools/text/output.h"
#include "tools/verdict/fork_list.h"

namespace ovc {

using namespace ovcshim;

namespace {

// Runtimes whose own end is an inline exit_group, by the file or, linked in, by a function; and
// what forbids the address space that they map for themselves: a limit of it, also overcommit.
struct Runtime {
  std::string_view file, function;
  bool limit_forbids = false, mode2_forbids = false;
};
constexpr Runtime kRuntimes[] = {
    {"libasan.", "__asan_init", true, true},         {"libtsan.", "__tsan_init", true, true},
    {"libmsan.", "__msan_init", true, true},         {"liblsan.", "__lsan_init", true, false},
    {"libubsan.", "__sanitizer_set_death_callback"},
};
constexpr uint64_t kShadowBytes = uint64_t{1} << 44;  // ASan's, the smallest of them on 64 bits

struct Sanitizer {
  std::string name;  // empty: none
  Runtime runtime;
};

Sanitizer sanitizer_of(Symbols& symbols, const Process& process) {
  for (const ModuleInfo& module : symbols.modules(process.slot.image))
    for (const Runtime& runtime : kRuntimes) {
      if (module.file_name().starts_with(runtime.file))
        return {std::string(module.file_name()), runtime};
      if (module.path == process.exe() && symbols.defines(module, runtime.function))
        return {"a sanitizer's runtime", runtime};
    }
  return {};
}

// libc's own clone and no fork around it: the caller reached libc past the shim.
bool was_forked_beside(const LogReader& log, const ProcessEnds& ends, const Process& process) {
  const ProcessSlot& slot = process.slot;
  if (!ends.image_of(slot.pid, UINT64_MAX).empty()) return false;
  if (slot.fork_position == kUnknown) return slot.parent != kNoIndex;
  const auto fork = log.event_at(slot.fork_position);
  return fork && (fork->base.flags & kInsideLibc);
}

bool is_go(const LogReader& log, const Process& process) {
  return has_go_note(process.exe(), log.posix_ns(process.slot.start_tick));
}

// In two places at once: each name space of dlmopen has its own.
bool has_second_libc(Symbols& symbols, const Process& process) {
  std::set<uint64_t> biases;
  for (const ModuleInfo& module : symbols.modules(process.slot.image))
    if (module.file_name() == "libc.so.6") biases.insert(module.bias);
  return biases.size() > 1;
}

bool may_be_unmade(const Process& process) {
  return process.slot.fork_position == kUnknown && process.slot.parent != kNoIndex;
}

// Children that no recorded call made: by what their parent runs, the first and how many.
void add_unmade(const LogReader& log, std::set<std::string>& sentences) {
  const std::vector<Process> all = log.processes();
  if (std::none_of(all.begin(), all.end(), may_be_unmade)) return;
  struct Children {
    std::string first;
    uint64_t count = 0;
  };
  std::map<std::string, Children> made;
  for (const Process& child : ForkList(log).unseen_births()) {
    const auto parent = std::find_if(all.begin(), all.end(), [&](const Process& p) {
      return p.slot.pid == child.slot.parent_pid;
    });
    Children& children = made[parent == all.end() ? std::string("a process") : parent->exe()];
    if (children.count++ == 0)
      children.first = fmt::format("{} (pid {})", child.comm(), child.slot.pid);
  }
  for (const auto& [parent, children] : made)
    sentences.insert(
        fmt::format("how {} started {}{}: no recorded call did; its code can reach libc past the "
                    "shim (a module "
                    "opened with dlmopen or RTLD_DEEPBIND) or make system calls itself",
                    parent, children.first,
                    children.count > 1 ? fmt::format(" and {} more", children.count - 1) : ""));
}

}  // namespace

std::vector<std::string> unseen_code(const LogReader& log, Symbols& symbols) {
  std::set<std::string> sentences, looked_at;
  for (const Process& process : log.processes()) {
    const std::string key = fmt::format("{} {}", process.slot.image, process.exe());
    if (!looked_at.insert(key).second) continue;
    if (is_go(log, process))
      sentences.insert(fmt::format("what the Go code of {} did: it makes its system calls itself",
                                   process.exe()));
    if (has_second_libc(symbols, process))
      sentences.insert(fmt::format(
          "what code with a libc of its own (dlmopen) did in {}: its calls do not pass the shim",
          process.exe()));
  }
  add_unmade(log, sentences);
  return {sentences.begin(), sentences.end()};
}

std::string shadow_suspect(const LogReader& log, const WhyScan& scan, Symbols& symbols,
                           const Process& process) {
  const auto signs = scan.processes().find({process.index, process.slot.serial, 0});
  if (signs == scan.processes().end()) return "";
  std::optional<uint64_t> limit, mode;
  for (const Moment& moment : signs->second.baselines)
    if (const auto event = log.event_at(moment.position); event && event->base.op == Op::kStart) {
      limit = event->fact(FactKey::kRlimitAs);
      mode = event->fact(FactKey::kOvercommitMemory);
    }
  const bool limited = limit && *limit < kShadowBytes;
  if (!limited && mode != kModeNever) return "";
  const auto [name, runtime] = sanitizer_of(symbols, process);
  if (name.empty() || !(limited ? runtime.limit_forbids : runtime.mode2_forbids)) return "";
  const std::string met = limited ? fmt::format("RLIMIT_AS is {} kB", grouped(*limit / 1024))
                                  : std::string("vm.overcommit_memory is 2");
  return fmt::format(
      "suspect: {} maps terabytes of address space for itself (shadow memory), by system calls of "
      "its own that are not seen here; {}  (not proven). To do: {}",
      name, met,
      limited ? "no RLIMIT_AS for programs built with a sanitizer (ulimit -v unlimited)"
              : "vm.overcommit_memory = 0 or 1 where programs built with a sanitizer run");
}

void note_shadow_exits(const LogReader& log, const WhyScan& scan, Symbols& symbols,
                       std::vector<std::string>& notes) {
  for (const Process& process : log.processes()) {
    const ProcessEnd end = scan.ends().of(log, process);
    if (end.kind != EndKind::kExited || end.status.value_or(0) == 0) continue;
    if (const std::string suspect = shadow_suspect(log, scan, symbols, process); !suspect.empty())
      notes.push_back(fmt::format("{} (pid {}) exited with {}; {}", escaped(process.comm()),
                                  process.slot.pid, *end.status, suspect));
  }
}

namespace {

// kernel/pid_namespace.c zap_pid_ns_processes(): with its first process, all others of a pid
// namespace are killed. A container that is stopped ends so.
std::string ended_with_namespace(const LogReader& log, const ProcessEnds& ends,
                                 const Process& process) {
  for (const Process& first : log.processes()) {
    const bool of_its_space = first.slot.pid == 1 && first.slot.pidns == process.slot.pidns;
    if (!of_its_space || process.slot.pid == 1 || process.slot.pidns == 0 ||
        process.slot.pidns == kUnknown || ends.of(log, first).kind == EndKind::kNotRecorded)
      continue;
    return fmt::format(
        "the first process of its pid namespace, {} (pid 1), has ended: the kernel kills all that "
        "are left there then (SIGKILL)",
        first.comm());
  }
  return "";
}

}  // namespace

std::string exit_unseen(const LogReader& log, const ProcessEnds& ends, Symbols& symbols,
                        const Process& process) {
  if (is_go(log, process)) return "it is a Go program: it leaves by a system call of its own";
  if (const Sanitizer found = sanitizer_of(symbols, process); !found.name.empty())
    return fmt::format("{} can end it by a system call of its own", found.name);
  if (was_forked_beside(log, ends, process))
    return "it was forked past the shim (a module opened with RTLD_DEEPBIND or dlmopen, or a "
           "handle of libc), and its exit goes the same way";
  return ended_with_namespace(log, ends, process);
}

}  // namespace ovc
