// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/named_stack.h"

#include <elf.h>
#include <fmt/format.h>
#include <sys/syscall.h>

#include <algorithm>

#include "tools/attach/waiting_calls.h"
#include "tools/symbols/elf_object.h"
#include "tools/text/error.h"

namespace ovc {
namespace {

using namespace std::chrono_literals;
constexpr auto kPatience = 1s;  // for threads that do not stop at once

// [start, end) of the object whose first line this is: the lines of the same file that follow.
uint64_t end_of_object(const std::vector<MapLine>& lines, size_t first) {
  uint64_t end = lines[first].end;
  for (size_t i = first + 1; i < lines.size() && lines[i].path == lines[first].path; ++i)
    end = lines[i].end;
  return end;
}

// What is added to an address of the file, as linked, to get the one in memory.
uint64_t bias_of(const Memory& memory, uint64_t start) {
  Elf64_Ehdr header{};
  if (!memory.get(start, header) || header.e_phentsize != sizeof(Elf64_Phdr)) return start;
  uint64_t lowest = UINT64_MAX;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    if (memory.get(start + header.e_phoff + i * sizeof segment, segment) &&
        segment.p_type == PT_LOAD)
      lowest = std::min<uint64_t>(lowest, segment.p_vaddr);
  }
  return lowest == UINT64_MAX ? start : start - (lowest & ~uint64_t{4095});
}

bool is_futex_wait(const Registers& r) {
  constexpr uint64_t kCommand = 127;  // FUTEX_CMD_MASK, without the clock bit
  const uint64_t command = call_argument(r, 1) & kCommand;
  // A wait that was interrupted before has its first argument still.
  return call_number(r) == SYS_futex &&
         (command == 0 /* WAIT */ || command == 6 /* LOCK_PI */ || command == 9 /* WAIT_BITSET */);
}

std::string place_of(const std::vector<MapLine>& lines, uint64_t address) {
  const MapLine* line = line_at(lines, address);
  if (!line || line->path.empty()) return "memory without a name";
  if (!line->is_file()) return line->path;
  const MapLine* first = line;
  while (first > lines.data() && first[-1].path == line->path) --first;
  return fmt::format("{}+{:#x}", file_name_of(line->path), address - first->start);
}

// nptl/pthread_mutex_lock.c: the word, a count, the owner's thread id.
void add_holder(AwaitedLock& lock, const Memory& memory, const std::vector<uint32_t>& threads) {
  uint32_t owner = 0;
  if (!memory.get(lock.address + 8, owner) || !owner) return;
  lock.holder = owner;
  lock.holder_is_here = std::find(threads.begin(), threads.end(), owner) != threads.end();
}

bool has_function(const NamedThread& thread, std::string_view start) {
  return std::any_of(thread.frames.begin(), thread.frames.end(), [start](const Frame& frame) {
    const size_t name = std::min(frame.function.find_first_not_of('_'), frame.function.size());
    return std::string_view(frame.function).substr(name).starts_with(start);
  });
}

class Reader {
 public:
  Reader(uint32_t pid, std::vector<MapLine> lines)
      : lines_(std::move(lines)),
        memory_(pid),
        walker_(pid),
        symbols_(live_modules(pid, lines_)),
        threads_(thread_ids(pid)) {}

  NamedThread read(const ThreadState& state) {
    NamedThread thread;
    thread.tid = state.tid;
    thread.name = state.name;
    const long nr = call_number(state.registers);
    thread.runs = nr < 0;
    if (!thread.runs) thread.call = call_name(nr);
    const Walk walk = walker_.walk(state);
    thread.end = walk.end;
    for (size_t i = 0; i < walk.addresses.size(); ++i) {
      const bool exact = i == 0 || walk.handler_below[i] || walk.handler_below[i - 1];
      const auto& found =
          symbols_.resolve(0, walk.addresses[i], exact ? Pc::kExact : Pc::kReturnAddress);
      thread.frames.insert(thread.frames.end(), found.begin(), found.end());
    }
    if (is_futex_wait(state.registers)) add_lock(thread, call_argument(state.registers, 0));
    return thread;
  }

 private:
  // A condition, a semaphore or a thread's end is waited for in the same way: no lock.
  void add_lock(NamedThread& thread, uint64_t address) {
    for (const char* other : {"pthread_cond_", "sem_", "new_sem_", "pthread_join",
                              "pthread_clockjoin", "pthread_timedjoin", "pthread_barrier"})
      if (has_function(thread, other)) return;
    AwaitedLock lock{address, place_of(lines_, address), {}, false};
    if (has_function(thread, "pthread_mutex_")) add_holder(lock, memory_, threads_);
    thread.lock = lock;
  }

  std::vector<MapLine> lines_;
  Memory memory_;
  Walker walker_;
  Symbols symbols_;
  std::vector<uint32_t> threads_;
};

std::vector<ThreadState> copy_all(const ProcessFacts& facts, int64_t& stopped_ns) {
  std::vector<ThreadState> states;
  const Memory memory(facts.pid);
  StoppedProcess process;
  const auto start = std::chrono::steady_clock::now();
  if (!process.stop(facts.pid, start + kPatience)) {
    const int error = process.error();
    const uint32_t stubborn = process.stubborn();
    process.let_go();
    if (error) throw Error(why_not_stopped(read_facts(facts.pid), error));
    throw Error(
        fmt::format("thread {} of pid {} does not stop: it waits in the kernel, for a disk "
                    "or for a child of vfork; try again",
                    stubborn, facts.pid));
  }
  for (const Tracee& thread : process.threads())
    if (!thread.is_gone()) states.push_back(copy_state(facts.pid, thread.tid(), memory));
  process.let_go();
  stopped_ns = std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count();
  return states;
}

}  // namespace

std::vector<ModuleInfo> live_modules(uint32_t pid, const std::vector<MapLine>& lines) {
  std::vector<ModuleInfo> modules;
  const Memory memory(pid);
  for (size_t i = 0; i < lines.size(); ++i) {
    const MapLine& line = lines[i];
    if (!line.is_file() || line.offset != 0 || (i > 0 && lines[i - 1].path == line.path)) continue;
    const std::string path = reachable_path(pid, line);
    const uint64_t end = end_of_object(lines, i);
    if (!memory.is_open()) continue;
    const std::string id = path.empty() ? "" : ElfObject::build_id(path);
    const std::string& name = path.empty() ? line.path : path;
    modules.push_back({line.start, end, bias_of(memory, line.start), 0, id, name, {}});
  }
  return modules;
}

ProcessStacks read_stacks(uint32_t pid) {
  ProcessStacks stacks;
  stacks.facts = read_facts(pid);
  if (std::string why = why_not_stopped(stacks.facts, 0); !why.empty()) throw Error(why);
  const std::vector<ThreadState> states = copy_all(stacks.facts, stacks.stopped_ns);
  int error = 0;
  Reader reader(stacks.facts.pid, read_map_lines(stacks.facts.pid, &error));
  if (error) throw Error(why_not_stopped(read_facts(stacks.facts.pid), error));
  for (const ThreadState& state : states) stacks.threads.push_back(reader.read(state));
  return stacks;
}

}  // namespace ovc

#endif
