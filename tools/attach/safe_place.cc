// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/safe_place.h"

#include <fmt/format.h>
#include <sys/syscall.h>

#include <algorithm>

#include "tools/attach/waiting_calls.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

// libc's functions that do nothing but wait, without their underscores and "64".
constexpr std::string_view kWaiting[] = {"epoll_wait",
                                         "epoll_pwait",
                                         "epoll_pwait2",
                                         "poll",
                                         "ppoll",
                                         "select",
                                         "pselect",
                                         "read",
                                         "readv",
                                         "pread",
                                         "preadv",
                                         "write",
                                         "writev",
                                         "pwrite",
                                         "send",
                                         "sendto",
                                         "sendmsg",
                                         "sendfile",
                                         "recv",
                                         "recvfrom",
                                         "recvmsg",
                                         "accept",
                                         "accept4",
                                         "nanosleep",
                                         "clock_nanosleep",
                                         "usleep",
                                         "sleep",
                                         "pause",
                                         "wait",
                                         "waitpid",
                                         "wait3",
                                         "wait4",
                                         "waitid",
                                         "sigsuspend",
                                         "sigwait",
                                         "sigwaitinfo",
                                         "sigtimedwait",
                                         "msgrcv",
                                         "semop",
                                         "semtimedop",
                                         "fsync",
                                         "fdatasync",
                                         "syscall",
                                         "pthread_cond_wait",
                                         "pthread_cond_timedwait",
                                         "pthread_cond_clockwait",
                                         "sem_wait",
                                         "sem_timedwait",
                                         "sem_clockwait",
                                         "new_sem_wait",
                                         "pthread_join",
                                         "pthread_timedjoin_np",
                                         "pthread_clockjoin_np"};
constexpr std::string_view kByFutex[] = {"pthread_", "sem_", "new_sem_"};

// File names of objects whose code may hold an allocator's or a runtime's locks.
constexpr std::string_view kAllocators[] = {
    "libjemalloc", "libtcmalloc", "libmimalloc",  "libasan",      "libtsan",
    "libhwasan",   "libumem",     "libtbbmalloc", "libheaptrack", "liblttng-ust"};

std::string_view plain_name(std::string_view name) {
  name.remove_prefix(std::min(name.find_first_not_of('_'), name.size()));
  if (name.starts_with("libc_")) name.remove_prefix(5);
  if (name.ends_with("64")) name.remove_suffix(2);
  return name;
}

template <typename List>
bool begins_with_one_of(std::string_view name, const List& list) {
  return std::any_of(std::begin(list), std::end(list),
                     [name](std::string_view start) { return name.starts_with(start); });
}

bool is_waiting(std::string_view name) {
  return std::find(std::begin(kWaiting), std::end(kWaiting), plain_name(name)) !=
         std::end(kWaiting);
}

bool is_libc(std::string_view file) {
  return file == "libc.so.6" || file.starts_with("libpthread");
}

std::string_view file_at(const std::vector<MapLine>& lines, uint64_t address) {
  const MapLine* line = line_at(lines, address);
  return line ? file_name_of(line->path) : std::string_view{};
}

Place no(std::string why) { return {false, std::move(why)}; }

// Room below the stack pointer for what is written there; the kernel lets no stack grow for ovc.
bool has_room(const std::vector<MapLine>& lines, uint64_t stack_pointer) {
  constexpr uint64_t kRoom = 32 * 1024;
  const MapLine* line = line_at(lines, stack_pointer);
  return line && line->access.starts_with("rw") && stack_pointer - line->start >= kRoom;
}

// From the outermost frame inwards: _start of the program, then at most two of libc (main's caller
// and its own, or a thread's two).
size_t frames_of_the_start(const std::vector<std::string_view>& files) {
  size_t n = files.size();
  if (n >= 2 && !is_libc(files[n - 1]) && is_libc(files[n - 2])) --n;
  for (int most = 2; most > 0 && n > 0 && is_libc(files[n - 1]); --most) --n;
  return n;
}

}  // namespace

Place judge_place(const ThreadState& state, const Walk& walk, const std::vector<Frame>& innermost,
                  const std::vector<MapLine>& lines) {
  const Registers& r = state.registers;
  const long nr = call_number(r);
  if (state.error || walk.addresses.empty()) return no("its registers cannot be read");
  if (nr < 0) return no("it runs");
  const bool goes_on =
      nr == SYS_restart_syscall;  // a sleep that was interrupted before: libc's frame tells
  if (nr != SYS_futex && !goes_on && !waits_for_work(nr))
    return no(fmt::format("in {}", call_name(nr)));
  if (walk.end != WalkEnd::kBottom) return no("its stack cannot be followed to its beginning");
  if (std::find(walk.handler_below.begin(), walk.handler_below.end(), true) !=
      walk.handler_below.end())
    return no("in a signal handler");
  if (!has_room(lines, stack_pointer(r))) return no("its stack is too small");
  std::vector<std::string_view> files;
  for (const uint64_t address : walk.addresses) files.push_back(file_at(lines, address));
  size_t first = 0;  // the first frame that is not libc's
  while (first < files.size() && is_libc(files[first])) ++first;
  if ((nr == SYS_futex || goes_on) && first == 0) return no("it waits for a lock");
  if (first > 0) {
    const std::string& name = innermost[first - 1].function;
    if (!is_waiting(name) || (nr == SYS_futex && !begins_with_one_of(plain_name(name), kByFutex)))
      return no(name.empty() ? "inside libc" : fmt::format("in {}", escaped(name)));
  }
  const size_t end = frames_of_the_start(files);
  for (size_t i = first; i < end; ++i) {
    const std::string file(files[i]);
    if (file.empty() || file.front() == '[') return no("in code of no file");
    if (file.starts_with("ld-linux") || file.starts_with("ld-2.")) return no("in the loader");
    if (is_libc(file)) return no("inside libc");
    if (begins_with_one_of(file, kAllocators)) return no(fmt::format("in {}", escaped(file)));
    if (file.starts_with("libovcshim")) return no("in the shim");
    const std::string& name = innermost[i].function;
    if (begins_with_one_of(name, std::initializer_list<std::string_view>{
                                     "je_", "tc_", "mi_", "malloc", "calloc", "realloc", "free",
                                     "__asan", "__tsan", "__interceptor"}))
      return no(fmt::format("in {}", escaped(name)));
  }
  return {true, ""};
}

}  // namespace ovc

#endif
