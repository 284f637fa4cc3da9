// SPDX-License-Identifier: MIT
//
// See lock_wait.h. kernel/futex/syscalls.c: the commands, and which of their arguments is the time
// after which the wait ends.
#include "tools/host/lock_wait.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "tools/host/process_age.h"

namespace ovc {
namespace {

constexpr uint64_t kOptions = FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;

// A mutex, of which the value waited for says that it is held and somebody waits: 2 in glibc
// (sysdeps/nptl/lowlevellock.h), the highest bit in musl. Semaphores and conditions have other
// commands or values there: a signal handler may well end such a wait.
bool is_mutex(uint64_t command, uint64_t value) {
  const uint64_t plain = command & ~kOptions;
  if (plain == FUTEX_LOCK_PI) return true;
  return plain == FUTEX_WAIT && (value == 2 || (value >> 31 & 1));
}
bool waits_without_end(const std::array<uint64_t, 4>& args) {
  const uint64_t command = args[1], value = args[2], timeout = args[3];
  return (command & FUTEX_PRIVATE_FLAG) && timeout == 0 && is_mutex(command, value);
}

// "202 0x7f.. 0x80 0x2 0x0 ...": the number in base 10, what it was given in base 16. "running": it
// is in no call.
bool parse_call(std::string_view text, uint64_t& number, std::array<uint64_t, 4>& args) {
  const auto take = [&](uint64_t& value, int base) {
    if (base == 16 && text.starts_with("0x")) text.remove_prefix(2);
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (text.starts_with(' ')) text.remove_prefix(1);
    return code == std::errc{};
  };
  if (!take(number, 10)) return false;
  for (uint64_t& arg : args)
    if (!take(arg, 16)) return false;
  return true;
}

struct Life {
  uint32_t parent = 0;
  uint64_t start_ticks = 0;
};

// Fields 4 and 22 of /proc/PID/stat, counted from the last ')'.
std::optional<Life> life_of(const std::string& folder) {
  const auto text = read_small(folder + "/stat");
  const size_t close = text ? text->rfind(')') : std::string::npos;
  if (close == std::string::npos || close + 4 > text->size()) return std::nullopt;
  std::string_view rest = std::string_view(*text).substr(close + 2);
  Life life;
  for (int field = 3; field <= 22 && !rest.empty(); ++field) {
    if (field == 4) life.parent = static_cast<uint32_t>(first_number(rest).value_or(0));
    if (field == 22) life.start_ticks = first_number(rest).value_or(0);
    rest.remove_prefix(std::min(rest.find(' '), rest.size() - 1) + 1);
  }
  return life.start_ticks ? std::optional(life) : std::nullopt;
}

std::string program_of(const std::string& folder) {
  char text[4096];
  const ssize_t length = readlink((folder + "/exe").c_str(), text, sizeof text);
  return length > 0 ? std::string(text, static_cast<size_t>(length)) : "";
}

}  // namespace

std::optional<LockWait> lock_wait(const SystemRoot& root, uint32_t pid) {
  const std::string folder = root.proc + "/" + std::to_string(pid);
  const auto call = read_small(folder + "/syscall");
  uint64_t number = 0;
  std::array<uint64_t, 4> args{};
  if (!call || !parse_call(*call, number, args) || number != SYS_futex || !waits_without_end(args))
    return std::nullopt;
  const auto status = read_small(folder + "/status");
  if (!status || number_after(*status, "Threads:") != 1) return std::nullopt;
  return LockWait{args[0]};
}

std::vector<StuckChild> stuck_children(const SystemRoot& root, const std::vector<uint32_t>& pids) {
  std::vector<StuckChild> stuck;
  for (const uint32_t pid : pids) {
    const auto wait = lock_wait(root, pid);
    const std::string folder = root.proc + "/" + std::to_string(pid);
    const auto life = wait ? life_of(folder) : std::nullopt;
    if (!life) continue;
    const std::string program = program_of(folder);
    if (program.empty() || program != program_of(root.proc + "/" + std::to_string(life->parent)))
      continue;
    stuck.push_back({pid, life->parent, process_age(life->start_ticks), *wait});
  }
  return stuck;
}

}  // namespace ovc
