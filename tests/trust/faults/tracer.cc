// SPDX-License-Identifier: MIT
#include "tests/trust/faults/tracer.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace faults {
namespace {

constexpr unsigned kSeconds = 30;  // a run takes well under one: a hang is a finding

struct Process {
  uint32_t ordinal = 0;
  uint64_t low = 0, high = 0;  // the shim's code
  uint64_t offset = 0;
  uint32_t lines = 0;
  std::map<long, uint32_t> counts;
};

struct Thread {
  pid_t process = 0;
  const Fault* pending = nullptr;
  user_regs_struct before{};
};

// Descriptor 2 of the program. What comes through is little: it is read when the program is gone.
class StandardError {
 public:
  explicit StandardError(const Command& command) : path_(command.err) {
    file_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    int ends[2] = {-1, -1};
    if (command.err_kind == "pipe" && pipe2(ends, O_CLOEXEC) != 0) abort();
    if (command.err_kind == "socket" &&
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      abort();
    if (command.err_kind == "terminal") open_terminal(ends);
    ours_ = ends[0];
    theirs_ = ends[1] >= 0 ? ends[1] : file_;
  }
  ~StandardError() {
    char text[4096];
    if (ours_ < 0) {
      close(file_);
      return;
    }
    fcntl(ours_, F_SETFL, fcntl(ours_, F_GETFL) | O_NONBLOCK);
    for (ssize_t n; (n = read(ours_, text, sizeof text)) > 0;)
      if (write(file_, text, static_cast<size_t>(n)) != n) break;
    close(ours_), close(theirs_), close(file_);
  }
  StandardError(const StandardError&) = delete;
  StandardError& operator=(const StandardError&) = delete;
  int theirs() const { return theirs_; }

 private:
  static void open_terminal(int ends[2]) {
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ends[0] < 0 || grantpt(ends[0]) != 0 || unlockpt(ends[0]) != 0) abort();
    ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
    termios settings{};
    tcgetattr(ends[1], &settings);
    settings.c_oflag &= ~static_cast<tcflag_t>(OPOST);
    tcsetattr(ends[1], TCSANOW, &settings);
  }
  std::string path_;
  int file_ = -1, ours_ = -1, theirs_ = -1;
};

[[noreturn]] void execute(const Command& command, int err) {
  std::vector<char*> words;
  for (const std::string& word : command.words) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  for (const auto& [name, value] : command.environment) setenv(name.c_str(), value.c_str(), 1);
  const int out = open(command.out.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(in, 0), dup2(out, 1), dup2(err, 2);
  execvp(words[0], words.data());
  _exit(127);
}

pid_t group_of(pid_t thread) {
  std::ifstream file("/proc/" + std::to_string(thread) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("Tgid:")) return static_cast<pid_t>(std::stol(line.substr(5)));
  return thread;
}

void find_shim(pid_t pid, Process& process) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(file, line);) {
    unsigned long low = 0, high = 0, offset = 0;
    char access[5]{};
    if (!line.ends_with("/libovcshim.so") ||
        sscanf(line.c_str(), "%lx-%lx %4s %lx", &low, &high, access, &offset) != 4)
      continue;
    if (access[2] == 'x') process.low = low, process.high = high, process.offset = offset;
  }
}

class Tracer {
 public:
  Tracer(const std::vector<Fault>& faults, bool list) : faults_(faults), list_(list) {}

  Outcome follow(pid_t root) {
    for (;;) {
      int status = 0;
      const pid_t tid = waitpid(-1, &status, __WALL);
      if (tid == -1) return outcome_;
      if (WIFSTOPPED(status)) {
        resume(tid, status);
      } else {
        threads_.erase(tid);
        if (tid == root) outcome_.status = status;
      }
    }
  }

 private:
  void resume(pid_t tid, int status) {
    const int signal = WSTOPSIG(status), event = status >> 16;
    long deliver = 0;
    if (signal == (SIGTRAP | 0x80)) at_call(tid);
    else if (event == PTRACE_EVENT_EXEC) executed(tid);
    else if (event == 0) deliver = signal;
    ptrace(PTRACE_SYSCALL, tid, 0, deliver);
  }

  Process& process_of(Thread& thread, pid_t tid) {
    if (thread.process == 0) thread.process = group_of(tid);
    const auto [place, is_new] = processes_.try_emplace(thread.process);
    if (is_new) place->second.ordinal = static_cast<uint32_t>(processes_.size() - 1);
    return place->second;
  }

  void executed(pid_t tid) {
    ++outcome_.images;
    Process& process = process_of(threads_[tid], tid);
    process.low = process.high = 0;
    process.lines = 0;
  }

  void at_call(pid_t tid) {
    __ptrace_syscall_info info{};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) <= 0) return;
    Thread& thread = threads_[tid];
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) entered(tid, thread, info);
    else if (thread.pending) left(tid, thread);
  }

  void entered(pid_t tid, Thread& thread, const __ptrace_syscall_info& info) {
    Process& process = process_of(thread, tid);
    if (!process.high) find_shim(tid, process);
    const uint64_t at = info.instruction_pointer;
    if (at < process.low || at >= process.high) return;
    const auto nr = static_cast<long>(info.entry.nr);
    const Place place{process.ordinal, process.counts[nr]++, nr, at - process.low + process.offset};
    if (nr == SYS_write) outcome_.most_lines = std::max(outcome_.most_lines, ++process.lines);
    if (list_) outcome_.calls.push_back(place);
    for (const Fault& fault : faults_)
      if (fault.place.nr == nr &&
          (fault.always || (fault.place.process == place.process && fault.place.nth == place.nth)))
        return begin(tid, thread, fault);
  }

  void begin(pid_t tid, Thread& thread, const Fault& fault) {
    ptrace(PTRACE_GETREGS, tid, 0, &thread.before);
    user_regs_struct now = thread.before;
    if (fault.kind == Kind::kInstead) now.orig_rax = ~0ull;
    if (fault.kind == Kind::kShort) (fault.place.nr == SYS_readlinkat ? now.r10 : now.rdx) = 3;
    ptrace(PTRACE_SETREGS, tid, 0, &now);
    thread.pending = &fault;
    ++outcome_.reached;
  }

  void left(pid_t tid, Thread& thread) {
    user_regs_struct now{};
    ptrace(PTRACE_GETREGS, tid, 0, &now);
    if (thread.pending->kind != Kind::kShort)
      now.rax = static_cast<unsigned long long>(thread.pending->result);
    now.rdx = thread.before.rdx, now.r10 = thread.before.r10;
    ptrace(PTRACE_SETREGS, tid, 0, &now);
    thread.pending = nullptr;
  }

  const std::vector<Fault>& faults_;
  bool list_;
  Outcome outcome_;
  std::map<pid_t, Process> processes_;
  std::map<pid_t, Thread> threads_;
};

Outcome trace(const Command& command, const std::vector<Fault>& faults, bool list) {
  const StandardError err(command);
  const pid_t root = fork();
  if (root == 0) {
    raise(SIGSTOP);
    execute(command, err.theirs());
  }
  waitpid(root, nullptr, WUNTRACED);
  constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                            PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  if (ptrace(PTRACE_SEIZE, root, 0, kOptions) != 0) {
    perror("ptrace");
    kill(root, SIGKILL);
    _exit(77);
  }
  kill(root, SIGCONT);
  return Tracer(faults, list).follow(root);
}

// The outcome as bytes through a pipe: the tracer is a process of its own, so that its end ends all
// that it traces.
struct Head {
  uint32_t reached, images, most_lines, calls;
  int status;
};

void send(int to, const Outcome& outcome) {
  const Head head{outcome.reached, outcome.images, outcome.most_lines,
                  static_cast<uint32_t>(outcome.calls.size()), outcome.status};
  FILE* file = fdopen(to, "w");
  fwrite(&head, sizeof head, 1, file);
  fwrite(outcome.calls.data(), sizeof(Place), outcome.calls.size(), file);
  fclose(file);
}

bool receive(int from, Outcome& outcome) {
  Head head{};
  FILE* file = fdopen(from, "r");
  const bool ok = fread(&head, sizeof head, 1, file) == 1;
  outcome.reached = head.reached, outcome.images = head.images,
  outcome.most_lines = head.most_lines, outcome.status = head.status;
  outcome.calls.resize(head.calls);
  if (head.calls)
    outcome.calls.resize(fread(outcome.calls.data(), sizeof(Place), head.calls, file));
  fclose(file);
  return ok;
}

Outcome run_untraced(const Command& command) {
  Outcome outcome;
  const StandardError err(command);
  const pid_t child = fork();
  if (child == 0) execute(command, err.theirs());
  waitpid(child, &outcome.status, 0);
  return outcome;
}

}  // namespace

Outcome run(const Command& command, const std::vector<Fault>& faults, bool list_calls) {
  if (faults.empty() && !list_calls) return run_untraced(command);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) abort();
  const pid_t tracer = fork();
  if (tracer == 0) {
    close(ends[0]);
    alarm(kSeconds);
    send(ends[1], trace(command, faults, list_calls));
    _exit(0);
  }
  close(ends[1]);
  Outcome outcome;
  outcome.hung = !receive(ends[0], outcome);
  int status = 0;
  waitpid(tracer, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) exit(77);
  return outcome;
}

}  // namespace faults
