// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/guest.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "tools/attach/errno_place.h"
#include "tools/attach/object_in_memory.h"
#include "tools/attach/their_files.h"
#include "tools/text/error.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
constexpr auto kSearch = 5s;   // for a thread that may be used
constexpr auto kLoader = 20s;  // for the loader: disks are slow
constexpr auto kOneCall = 5s;
constexpr uint64_t kRegionBytes = 512 * 1024;  // order at its beginning, the stack from its end
constexpr uint64_t kListAt = 4096;             // in it, behind the order
static_assert(sizeof(ovcshim::AttachOrder) <= kListAt);
constexpr char kInMemory[] = "/memfd:/libovcshim.so (deleted)";  // as /proc names that file
constexpr uint64_t kRegionProt = PROT_READ | PROT_WRITE, kRegionFlags = MAP_PRIVATE | MAP_ANONYMOUS;

// The highest address at which so many bytes are free, with a page beside them on either side,
// below libc; 0: none.
uint64_t free_place(const std::vector<MapLine>& lines, uint64_t bytes) {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const MapLine* libc = object_named(lines, "libc.so.6");
  for (const MapLine* line = libc; line && line > lines.data(); --line)
    if (line->start - line[-1].end >= bytes + 3 * page)
      return (line->start - page - bytes) & ~(page - 1);
  return 0;
}

}  // namespace

Guest::Guest(const ProcessFacts& facts, OwnMemory own, const RunningList* list)
    : facts_(facts), memory_(facts.pid), chooser_(facts), own_(own), list_(list) {
  thread_ = chooser_.choose(Clock::now() + kSearch);
  if (!thread_ && chooser_.error())
    throw Error(why_not_stopped(read_facts(facts.pid), chooser_.error()));
  if (!thread_)
    throw Error(
        fmt::format("{} was not touched: in {} no thread stood where the loader may be "
                    "called ({}); try again when it has less to do",
                    who(facts), counted(static_cast<uint64_t>(kSearch.count()), "second"),
                    chooser_.why_none()));
  begun_ = Clock::now();
  lines_ = read_map_lines(facts.pid);
  const auto gadgets = find_gadgets(memory_, lines_);
  if (!gadgets) throw Error(fmt::format("the libc of {} is not known", who(facts)));
  find_errno();
  caller_ = std::make_unique<RemoteCaller>(*thread_, memory_, *gadgets, facts.seccomp != 0);
  region_bytes_ = (kRegionBytes + (list ? list->bytes() : 0) + 4095) & ~uint64_t{4095};
  if (own_ == OwnMemory::kUnrecorded || !map_recorded()) map_unrecorded();
}

// By libc's function, at a place that was free a moment ago: where its calls are recorded, this one
// is, too, so that what is recorded of the process's size fits. Another thread may be quicker: what
// lies there then is its own.
bool Guest::map_recorded() {
  const uint64_t function = exported_function(memory_, lines_, "libc.so.6", "mmap"),
                 at = free_place(lines_, region_bytes_);
  constexpr uint64_t kNoReplace = 0x100000;  // MAP_FIXED_NOREPLACE, since Linux 4.17: else a hint
  if (!function || !at) return false;
  const CallResult result = checked(
      caller_->function(
          function, {at, region_bytes_, kRegionProt, kRegionFlags | kNoReplace, ~uint64_t{0}, 0}, 0,
          Clock::now() + kOneCall),
      "mmap");
  if (result.mapped <= 0) return false;
  region_ = static_cast<uint64_t>(result.mapped);
  return true;
}

void Guest::map_unrecorded() {
  const CallResult mapped = checked(
      caller_->system_call(SYS_mmap, {0, region_bytes_, kRegionProt, kRegionFlags, ~uint64_t{0}, 0},
                           Clock::now() + kOneCall),
      "mmap");
  if (mapped.value < 0 && mapped.value > -4096)
    throw Error(fmt::format("{} cannot map {} of memory: {}", who(facts_), size_text(region_bytes_),
                            strerrordesc_np(static_cast<int>(-mapped.value))));
  region_ = static_cast<uint64_t>(mapped.value);
}

// Nothing here throws: the thread is let go whatever happens.
Guest::~Guest() {
  if (!caller_ || on_its_own_) return;
  CallResult result;
  if (region_) result = unmap_region();
  if (result.end == CallEnd::kSlow || result.end == CallEnd::kGone) return;
  memory_.write(errno_at_, &errno_before_, sizeof errno_before_);
}

// In the same way as it was mapped.
CallResult Guest::unmap_region() {
  const uint64_t function =
      own_ == OwnMemory::kRecorded ? exported_function(memory_, lines_, "libc.so.6", "munmap") : 0;
  const auto until = Clock::now() + kOneCall;
  return function ? caller_->function(function, {region_, region_bytes_}, 0, until)
                  : caller_->system_call(SYS_munmap, {region_, region_bytes_, 0, 0, 0, 0}, until);
}

void Guest::find_errno() {
  const int64_t distance =
      errno_distance(memory_, exported_function(memory_, lines_, "libc.so.6", "__errno_location"));
  Registers r{};
  if (!distance || get_registers(thread_->tid(), r) != 0)
    throw Error(fmt::format("the libc of {} is not known: its errno is not found", who(facts_)));
  errno_at_ = thread_pointer(tid(), r) + static_cast<uint64_t>(distance);
  if (!memory_.get(errno_at_, errno_before_))
    throw Error(fmt::format("the libc of {} is not known: its errno is not found", who(facts_)));
}

CallResult Guest::checked(CallResult result, const char* what) {
  if (result.end == CallEnd::kDone) return result;
  on_its_own_ =
      result.end == CallEnd::kSlow || result.end == CallEnd::kGone || result.end == CallEnd::kAlone;
  if (result.end == CallEnd::kAlone) return result;
  switch (result.end) {
    case CallEnd::kNotBegun:
      throw Error(fmt::format("{} was not touched: thread {} cannot be made to call {}: {}",
                              who(facts_), tid(), what, strerrordesc_np(result.error)));
    case CallEnd::kCrashed:
      throw Error(
          fmt::format("{} in thread {} of {} ended by signal {}; the thread goes on where "
                      "it stood, the shim records nothing",
                      what, tid(), who(facts_), result.signal));
    case CallEnd::kSlow:
      throw Error(
          fmt::format("{} in thread {} of {} is not back in time: it waits for another "
                      "thread or a disk, ends by itself, and the thread goes on; the shim "
                      "records nothing",
                      what, tid(), who(facts_)));
    default: throw Error(fmt::format("{} has ended meanwhile", who(facts_)));
  }
}

void Guest::find_shim() {
  lines_ = read_map_lines(facts_.pid);
  const MapLine* first = object_named(lines_, "libovcshim.so");
  if (!first) return;
  shim_ = *first;
  for (const MapLine& line : lines_)
    if (line.path == shim_.path) shim_end_ = std::max(shim_end_, line.end);
  entry_ = exported_function(memory_, lines_, "libovcshim.so", "ovcshim_attach");
  // Where the loader could not map all, it leaves the file there, and no code of it.
  const MapLine* code = line_at(lines_, entry_);
  if (!code || !code->runs()) entry_ = 0;
}

// What dlopen is given: the file, or where the process sees another one there, one in memory that
// has its bytes. `fd`: of that.
std::string Guest::loadable(const std::string& path, int64_t& fd) {
  if (sees_file(facts_.pid, path)) return path;
  close_left_over();
  constexpr uint64_t kCloseOnExec = 1, kExec = 0x10;  // linux/memfd.h
  for (const uint64_t flags : {kCloseOnExec | kExec, kCloseOnExec}) {
    constexpr char kName[] = "/libovcshim.so";  // maps then shows it as the file would be shown
    if (!memory_.write(region_, kName, sizeof kName))
      throw Error(fmt::format("the memory of {} cannot be written", who(facts_)));
    fd = checked(caller_->system_call(SYS_memfd_create, {region_, flags, 0, 0, 0, 0},
                                      Clock::now() + kOneCall),
                 "memfd_create")
             .value;
    if (fd != -EINVAL) break;  // before Linux 6.3
  }
  if (fd < 0)
    throw Error(fmt::format("{} sees other files than ovc does, and cannot make one in memory: {}",
                            who(facts_), strerrordesc_np(static_cast<int>(-fd))));
  const std::string there = fmt::format("/proc/{}/fd/{}", facts_.pid, fd);
  if (!copy_file(path, there))
    throw Error(fmt::format("{} cannot be copied to {}", escaped(path), there));
  return fmt::format("/proc/self/fd/{}", fd);
}

void Guest::close_there(int64_t fd) {
  if (fd >= 0 && !on_its_own_)
    caller_->system_call(SYS_close, {static_cast<uint64_t>(fd), 0, 0, 0, 0, 0},
                         Clock::now() + kOneCall);
}

// One that an ovc left there which was killed.
void Guest::close_left_over() {
  for (const int64_t fd : descriptors_on(facts_.pid, kInMemory)) close_there(fd);
}

int64_t Guest::load(const std::string& path) {
  find_shim();
  if (entry_) {
    if (shim_.path == kInMemory) close_left_over();
    return 0;
  }
  uint64_t mode = RTLD_NOW | RTLD_NODELETE;
  uint64_t function = exported_function(memory_, lines_, "libc.so.6", "dlopen");
  if (!function) {  // before glibc 2.34
    function = exported_function(memory_, lines_, "libc.so.6", "__libc_dlopen_mode");
    mode |= 0x80000000;
  }
  if (!function) throw Error(fmt::format("the libc of {} has no dlopen", who(facts_)));
  int64_t fd = -1;
  try {
    const std::string name = loadable(path, fd);
    if (!memory_.write(region_, name.c_str(), name.size() + 1))
      throw Error(fmt::format("the memory of {} cannot be written", who(facts_)));
    const auto start = Clock::now();
    checked(caller_->function(function, {region_, mode}, region_ + region_bytes_, start + kLoader),
            "dlopen");
    const int64_t took = std::chrono::nanoseconds(Clock::now() - start).count();
    close_there(fd);
    find_shim();
    if (entry_) return took;
  } catch (const Error&) {
    close_there(fd);
    throw;
  }
  throw Error(
      fmt::format("the loader of {} does not load {}: may its user read the file, is it "
                  "on a file system mounted noexec, does a security module forbid it?{}",
                  who(facts_), escaped(path), fd < 0 ? "" : " Has it /proc?"));
}

void Guest::bring_list(ovcshim::AttachOrder& order) {
  const uint64_t parts = region_ + kListAt,
                 parts_bytes = list_->parts.size() * sizeof list_->parts[0],
                 entries = parts + parts_bytes;
  order.list = {list_->begin_tick, parts, list_->parts.size(), entries};
  if (!memory_.write(parts, list_->parts.data(), parts_bytes) ||
      !memory_.write(entries, list_->entries.data(), list_->bytes() - parts_bytes))
    throw Error(fmt::format("the memory of {} cannot be written", who(facts_)));
}

ovcshim::AttachOrder Guest::step(ovcshim::AttachOrder order, Deadline until) {
  if (on_its_own_) throw Error(fmt::format("{} was let go", who(facts_)));
  if (list_) bring_list(order);
  ovcshim::AttachOrder answer = order;
  if (!memory_.write(region_, &order, sizeof order))
    throw Error(fmt::format("the memory of {} cannot be written", who(facts_)));
  const uint64_t turn = region_ + offsetof(ovcshim::AttachOrder, turn);
  checked(caller_->function(entry_, {region_}, region_ + region_bytes_, until, turn), "the shim");
  if (!memory_.get(region_, answer))
    throw Error(fmt::format("the memory of {} cannot be read", who(facts_)));
  return answer;
}

}  // namespace ovc

#endif
