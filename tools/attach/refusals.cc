// SPDX-License-Identifier: MIT
//
// What speaks against attaching, told before anything is touched.
#if defined(__x86_64__)  // elsewhere: elsewhere.cc
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/format/log_format.h"
#include "tools/attach/attach.h"
#include "tools/attach/process_facts.h"
#include "tools/attach/stopped.h"
#include "tools/host/proc_files.h"
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

std::string not_x86_64(const Subject& s) {
  Elf64_Ehdr header{};
  const int fd = open(program_path(s.facts.pid).c_str(), O_RDONLY | O_CLOEXEC);
  const bool read_it = fd >= 0 && pread(fd, &header, sizeof header, 0) == sizeof header;
  if (fd >= 0) close(fd);
  if (!read_it) return fmt::format("the program of {} cannot be read", s.who);
  if (header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_machine == EM_X86_64) return "";
  return fmt::format(
      "{} is a program of another kind (32-bit, or another machine's): the shim is "
      "for x86-64",
      s.who);
}

std::string not_glibc(const Subject& s) {
  if (object_named(s.lines, "libc.so.6")) return "";
  const std::string seen = "; `ovc check` works on it";
  if (has_go_note(program_path(s.facts.pid)))
    return fmt::format("{} is a Go program: it makes its system calls without libc{}", s.who, seen);
  if (object_named(s.lines, "ld-musl") || object_named(s.lines, "libc.musl"))
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

std::string filtered(const Subject& s) {
  if (!s.facts.seccomp) return "";
  return fmt::format(
      "{} runs under a seccomp filter, which may end it over a system call that the "
      "shim makes; start it with the shim (ovc run, LD_PRELOAD), where that is known "
      "beforehand",
      s.who);
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

std::string other_files(const Subject& s) {
  struct stat own {
  }, theirs{};
  const std::string seen = fmt::format("/proc/{}/root{}", s.facts.pid, s.shim);
  if (stat(s.shim.c_str(), &own) != 0) return fmt::format("cannot find {}", escaped(s.shim));
  if (stat(seen.c_str(), &theirs) == 0 && own.st_dev == theirs.st_dev &&
      own.st_ino == theirs.st_ino)
    return "";
  return fmt::format(
      "{} sees other files than ovc does (a container, or a mount namespace of its "
      "own): {} is not there. Install ovcshim there too, or run ovc inside",
      s.who, escaped(s.shim));
}

// A library that was replaced on disk, or another build's.
std::string other_shim(const Subject& s) {
  const MapLine* there = object_named(s.lines, "libovcshim.so");
  if (!there) return "";
  struct stat own {};
  if (stat(s.shim.c_str(), &own) == 0 && own.st_ino == there->inode && !there->is_deleted())
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
  for (const auto& reason : {standing_still, not_x86_64, not_glibc, recorded_already, filtered,
                             shadow_stack, other_files, other_shim})
    if (std::string why = reason(s); !why.empty()) return why;
  return "";
}

}  // namespace ovc

#endif
