// SPDX-License-Identifier: MIT
#include "tools/attach/process_facts.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>

#include "tools/host/proc_files.h"
#include "tools/host/process_age.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

constexpr uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD, field 9 of stat

std::string proc_path(uint32_t pid, std::string_view name) {
  return fmt::format("/proc/{}/{}", pid, name);
}

uint64_t hex(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

std::string_view word(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const std::string_view found = rest.substr(0, rest.find(' '));
  rest.remove_prefix(found.size());
  return found;
}

MapLine map_line(std::string_view text) {
  MapLine line;
  const std::string_view range = word(text);
  const size_t dash = range.find('-');
  line.start = hex(range.substr(0, dash));
  line.end = dash == range.npos ? 0 : hex(range.substr(dash + 1));
  line.access = word(text);
  line.offset = hex(word(text));
  line.device = word(text);
  line.inode = first_number(word(text)).value_or(0);
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  line.path = text;
  return line;
}

void read_stat_line(ProcessFacts& facts) {
  const auto stat = read_small(proc_path(facts.pid, "stat"));
  const size_t end = stat ? stat->rfind(')') : std::string::npos;  // the name may hold anything
  if (end == std::string::npos) return;
  std::string_view rest = std::string_view(*stat).substr(end + 1);
  const std::string_view state = word(rest);
  if (!state.empty()) facts.state = state.front();
  for (int field = 4; field < 9; ++field) word(rest);
  facts.is_kernel = first_number(word(rest)).value_or(0) & kKernelThread;
  for (int field = 10; field < 22; ++field) word(rest);
  if (const auto start = first_number(word(rest))) facts.age_seconds = process_age(*start);
}

std::string comm_text(uint64_t pid) {
  auto comm = read_small(fmt::format("/proc/{}/comm", pid)).value_or("");
  if (comm.ends_with('\n')) comm.pop_back();
  return comm;
}

// security/yama/yama_lsm.c yama_ptrace_access_check()
std::string yama_text(const ProcessFacts& facts) {
  const auto scope = number_in("/proc/sys/kernel/yama/ptrace_scope").value_or(0);
  if (scope == 3)
    return fmt::format(
        "{} may not be looked into: kernel.yama.ptrace_scope is 3, which forbids it "
        "to everybody until the next boot",
        who(facts));
  if (scope != 0 && geteuid() != 0)
    return fmt::format("{} may not be looked into: kernel.yama.ptrace_scope is {}; run ovc as root",
                       who(facts), scope);
  return "";
}

// kernel/ptrace.c __ptrace_may_access()
std::string forbidden_text(const ProcessFacts& facts) {
  if (std::string yama = yama_text(facts); !yama.empty()) return yama;
  if (geteuid() != 0 && (facts.uid != geteuid() || facts.effective_uid != geteuid()))
    return fmt::format("{} belongs to another user (uid {}); run ovc as root", who(facts),
                       facts.effective_uid);
  if (geteuid() != 0)
    return fmt::format(
        "{} may not be looked into: it is set-uid, has capabilities, or has asked "
        "for that (prctl PR_SET_DUMPABLE); run ovc as root",
        who(facts));
  return fmt::format(
      "{} may not be looked into, not by root of this container either: ovc needs "
      "CAP_SYS_PTRACE, and a seccomp or security module that allows ptrace; run it "
      "on the host",
      who(facts));
}

}  // namespace

std::string who(const ProcessFacts& facts) {
  return fmt::format("{} (pid {})", escaped(facts.comm), facts.pid);
}

ProcessFacts read_facts(uint32_t pid) {
  ProcessFacts facts;
  facts.pid = pid;
  const auto status = read_small(proc_path(pid, "status"));
  if (!status) {
    facts.is_gone = true;
    return facts;
  }
  facts.pid = static_cast<uint32_t>(number_after(*status, "Tgid:").value_or(pid));
  facts.parent = static_cast<uint32_t>(number_after(*status, "PPid:").value_or(0));
  facts.comm = comm_text(facts.pid);
  facts.tracer = number_after(*status, "TracerPid:").value_or(0);
  facts.threads = number_after(*status, "Threads:").value_or(0);
  facts.seccomp = number_after(*status, "Seccomp:").value_or(0);
  if (auto uids = line_after(*status, "Uid:")) {
    std::string words(*uids);
    std::replace(words.begin(), words.end(), '\t', ' ');
    std::string_view rest = words;
    facts.uid = first_number(word(rest)).value_or(0);
    facts.effective_uid = first_number(word(rest)).value_or(0);
  }
  read_stat_line(facts);
  return facts;
}

std::vector<MapLine> read_map_lines(uint32_t pid, int* error) {
  std::vector<MapLine> lines;
  const int failed = for_each_line(proc_path(pid, "maps"),
                                   [&](std::string_view text) { lines.push_back(map_line(text)); });
  if (error) *error = failed;
  return lines;
}

const MapLine* line_at(const std::vector<MapLine>& lines, uint64_t address) {
  auto next = std::upper_bound(lines.begin(), lines.end(), address,
                               [](uint64_t a, const MapLine& line) { return a < line.start; });
  if (next == lines.begin()) return nullptr;
  const MapLine& line = *--next;
  return address < line.end ? &line : nullptr;
}

std::string_view file_name_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

const MapLine* object_named(const std::vector<MapLine>& lines, std::string_view name) {
  for (const MapLine& line : lines)
    if (line.is_file() && file_name_of(line.path).starts_with(name)) return &line;
  return nullptr;
}

std::string reachable_path(uint32_t pid, const MapLine& line) {
  if (!line.is_file() || line.is_deleted()) return "";
  // A process that has changed its root alone (chroot) is shown with the names we know.
  for (const std::string& path : {fmt::format("/proc/{}/root{}", pid, line.path), line.path}) {
    struct stat info {};
    if (stat(path.c_str(), &info) != 0 || info.st_ino != line.inode) continue;
    if (line.device == fmt::format("{:02x}:{:02x}", major(info.st_dev), minor(info.st_dev)))
      return path;
  }
  return "";
}

std::vector<uint32_t> thread_ids(uint32_t pid) {
  std::vector<uint32_t> ids;
  DIR* folder = opendir(proc_path(pid, "task").c_str());
  if (!folder) return ids;
  while (const dirent* entry = readdir(folder))
    if (const auto id = first_number(entry->d_name)) ids.push_back(static_cast<uint32_t>(*id));
  closedir(folder);
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::string thread_name(uint32_t pid, uint32_t tid) {
  auto comm = read_small(fmt::format("/proc/{}/task/{}/comm", pid, tid)).value_or("");
  if (comm.ends_with('\n')) comm.pop_back();
  return comm;
}

std::string why_not_stopped(const ProcessFacts& facts, int error) {
  if (facts.is_gone) return fmt::format("no process {}", facts.pid);
  if (facts.state == 'Z' || facts.state == 'X')
    return fmt::format("{} has ended already (a zombie: its parent has not waited for it)",
                       who(facts));
  if (facts.is_kernel) return fmt::format("{} is a kernel thread: it runs no program", who(facts));
  if (facts.pid == static_cast<uint32_t>(getpid())) return "that is ovc itself";
  if (facts.tracer && facts.tracer != static_cast<uint64_t>(getpid()))
    return fmt::format("{} is traced already, by {} (pid {}); end that first", who(facts),
                       escaped(comm_text(facts.tracer)), facts.tracer);
  if (error == EPERM || error == EACCES) return forbidden_text(facts);
  if (error == ESRCH) return fmt::format("{} has ended meanwhile", who(facts));
  if (error) return fmt::format("{} cannot be stopped: {}", who(facts), strerrordesc_np(error));
  return "";
}

}  // namespace ovc
