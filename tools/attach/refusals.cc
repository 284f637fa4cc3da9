// SPDX-License-Identifier: MIT
//
// What speaks against attaching, told before anything is touched.
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>

#include "shim/format/log_format.h"
#include "tools/attach/attach.h"
#include "tools/attach/filter.h"
#include "tools/attach/object_in_memory.h"
#include "tools/attach/process_facts.h"
#include "tools/attach/stopped.h"
#include "tools/host/proc_files.h"
#include "tools/symbols/elf_object.h"
#include "tools/symbols/executable.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

struct Subject {
  ProcessFacts facts;
  std::vector<MapLine> lines;
  std::string who;  // escaped
  std::string shim;
};

std::string program_path(uint32_t pid) { return fmt::format("/proc/{}/exe", pid); }

#if defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
constexpr char kMachineName[] = "aarch64";
#else
constexpr uint16_t kMachine = EM_X86_64;
constexpr char kMachineName[] = "x86-64";
#endif

std::string other_machine(const Subject& s) {
  Elf64_Ehdr header{};
  const int fd = open(program_path(s.facts.pid).c_str(), O_RDONLY | O_CLOEXEC);
  const bool read_it = fd >= 0 && pread(fd, &header, sizeof header, 0) == sizeof header;
  if (fd >= 0) close(fd);
  if (!read_it) return fmt::format("the program of {} cannot be read", s.who);
  if (header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_machine == kMachine) return "";
  return fmt::format(
      "{} is a program of another kind (32-bit, or another machine's): the shim is for {}", s.who,
      kMachineName);
}

std::string not_glibc(const Subject& s) {
  if (object_named(s.lines, "libc.so.6")) return "";
  const std::string seen = "; `ovc check` works on it";
  if (has_go_note(program_path(s.facts.pid)))
    return fmt::format("{} is a Go program: it makes its system calls without libc{}", s.who, seen);
  if (object_named(s.lines, "ld-musl") || object_named(s.lines, "libc.musl") ||
      object_named(s.lines, "libc.so"))  // Debian's name for it
    return fmt::format("{} runs on musl libc: the shim can attach to programs on glibc only{}",
                       s.who, seen);
  return fmt::format("{} is linked statically: it has no loader that could load the shim{}", s.who,
                     seen);
}

bool is_log(uint32_t pid, const MapLine& line) {
  if (!line.is_file() || line.offset != 0 || !line.access.starts_with("rw-s")) return false;
  char magic[sizeof ovcshim::kMagic] = {};
  const Memory memory(pid);
  return memory.get(line.start, magic) &&
         std::equal(std::begin(magic), std::end(magic), std::begin(ovcshim::kMagic));
}

std::string recorded_already(const Subject& s) {
  for (const MapLine& line : s.lines)
    if (is_log(s.facts.pid, line))
      return fmt::format(
          "{} is recorded already, in {}; read it: ovc why {}. If it was ovc attach that "
          "began it: ovc detach {}",
          s.who, escaped(line.path), escaped(line.path), s.facts.pid);
  return "";
}

// Threads may have filters of their own.
std::string thread_filtered(const Subject& s, uint32_t tid) {
  const auto status = read_small(fmt::format("/proc/{}/task/{}/status", s.facts.pid, tid));
  constexpr uint64_t kStrict = 1;
  const uint64_t mode = status ? number_after(*status, "Seccomp:").value_or(0) : 0;
  if (mode == 0) return "";
  if (mode == kStrict)
    return fmt::format("{} is in strict seccomp mode: it may make no other system calls", s.who);
  int error = 0;
  const auto filters = read_filters(tid, error);
  if (!filters)
    return fmt::format(
        "{} runs under a seccomp filter, which may end it over a system call that the shim makes, "
        "and ovc may not read it ({}): run ovc as root, outside of the container",
        s.who, strerrordesc_np(error));
  const std::string call = call_against(*filters);
  if (call.empty()) return "";
  return fmt::format(
      "{} runs under a seccomp filter that may end it over {}, which the shim calls; start it with "
      "the shim (ovc run, LD_PRELOAD), where that is known beforehand",
      s.who, call);
}

std::string filtered(const Subject& s) {
  if (!s.facts.seccomp) return "";
  using namespace std::chrono_literals;
  StoppedProcess process;
  if (!process.stop(s.facts.pid, std::chrono::steady_clock::now() + 2s)) {
    const int error = process.error();
    process.let_go();
    return error ? why_not_stopped(read_facts(s.facts.pid), error)
                 : fmt::format("{} does not stop, and runs under a seccomp filter", s.who);
  }
  for (const Tracee& thread : process.threads())
    if (std::string why = thread_filtered(s, thread.tid()); !why.empty()) return why;
  return "";
}

std::string secure(const Subject& s) {
  const auto table = read_small(fmt::format("/proc/{}/auxv", s.facts.pid)).value_or("");
  for (size_t at = 0; at + sizeof(Elf64_auxv_t) <= table.size(); at += sizeof(Elf64_auxv_t)) {
    Elf64_auxv_t entry;
    memcpy(&entry, table.data() + at, sizeof entry);
    if (entry.a_type == AT_SECURE && entry.a_un.a_val)
      return fmt::format(
          "{} is a set-uid program, or one with capabilities of its own: the shim records none of "
          "those; `ovc check` works on it",
          s.who);
  }
  return "";
}

std::string borrowing(const Subject& s) {
  constexpr long kMemory = 1;  // KCMP_VM
  if (syscall(SYS_kcmp, s.facts.pid, s.facts.parent, kMemory, 0, 0) != 0) return "";
  return fmt::format(
      "{} uses the memory of its parent, pid {} (a child of vfork that has executed nothing yet): "
      "attach to the parent",
      s.who, s.facts.parent);
}

std::string standing_still(const Subject& s) {
  if (s.facts.state != 'T' && s.facts.state != 't') return "";
  return fmt::format("{} is stopped; let it go on first: kill -CONT {}", s.who, s.facts.pid);
}

std::string shadow_stack(const Subject& s) {
  const auto status = read_small(fmt::format("/proc/{}/status", s.facts.pid)).value_or("");
  const auto features = line_after(status, "x86_Thread_features:");
  if (!features || features->find("shstk") == features->npos) return "";
  return fmt::format("{} runs with a shadow stack, which allows no calls from outside", s.who);
}

std::string no_shim(const Subject& s) {
  return access(s.shim.c_str(), R_OK) == 0 ? "" : fmt::format("cannot find {}", escaped(s.shim));
}

// Another build's; the file may have been replaced by the same build.
std::string other_shim(const Subject& s) {
  const MapLine* there = object_named(s.lines, "libovcshim.so");
  if (!there || build_id_in_memory(Memory(s.facts.pid), *there) == ElfObject::build_id(s.shim))
    return "";
  return fmt::format(
      "{} has another libovcshim.so in it ({}), of an earlier installation; restart "
      "it to record it with this one",
      s.who, escaped(there->path));
}

}  // namespace

std::string why_not_attached(uint32_t pid, const std::string& shim) {
  Subject s;
  s.facts = read_facts(pid);
  s.shim = shim;
  if (std::string why = why_not_stopped(s.facts, 0); !why.empty()) return why;
  s.who = who(s.facts);
  int error = 0;
  s.lines = read_map_lines(s.facts.pid, &error);
  if (error) return why_not_stopped(s.facts, error);
  for (const auto& reason : {standing_still, other_machine, not_glibc, recorded_already, secure,
                             borrowing, shadow_stack, no_shim, other_shim, filtered})
    if (std::string why = reason(s); !why.empty()) return why;
  return "";
}

}  // namespace ovc

#endif
