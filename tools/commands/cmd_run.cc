// SPDX-License-Identifier: MIT
//
// `ovc run`: starts a command under the shim and waits for it; afterwards says where the log is
// and, if a call was refused, why. The command's standard output stays its own: everything here
// goes to standard error.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "shim/format/refusal_spec.h"
#include "tools/commands/commands.h"
#include "tools/log/log_family.h"
#include "tools/log/log_reader.h"
#include "tools/symbols/executable.h"
#include "tools/text/output.h"
#include "tools/verdict/why_scan.h"

namespace ovc {
namespace {

namespace fs = std::filesystem;

constexpr const char* kShimName = "libovcshim.so";
constexpr int kSignalBase = 128;

volatile pid_t child_pid = 0;

// A signal from the terminal reached the command as well; one that was sent to us alone did not.
void forward(int signal, siginfo_t* info, void*) {
  const int saved = errno;
  if (info->si_code != SI_KERNEL && child_pid > 0) kill(child_pid, signal);
  errno = saved;
}

constexpr std::array kForwarded = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};

// The dispositions we were started with, for the command; what was ignored stays so (nohup).
class Signals {
 public:
  Signals() {
    struct sigaction action {};
    action.sa_sigaction = forward;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    for (size_t i = 0; i < kForwarded.size(); ++i) {
      sigaction(kForwarded[i], nullptr, &before_[i]);
      if (before_[i].sa_handler != SIG_IGN) sigaction(kForwarded[i], &action, nullptr);
    }
  }
  ~Signals() { restore(); }
  void restore() const {
    for (size_t i = 0; i < kForwarded.size(); ++i) sigaction(kForwarded[i], &before_[i], nullptr);
  }

 private:
  std::array<struct sigaction, kForwarded.size()> before_{};
};

// The loader splits LD_PRELOAD at both.
void check_preloadable(const std::string& shim) {
  if (shim.find_first_of(" :\t\n") != std::string::npos)
    throw Error(
        fmt::format("cannot preload {}: LD_PRELOAD takes no path with spaces or colons; move it",
                    escaped(shim)));
}

void put_variable(const char* name, const std::string& value) {
  if (!value.empty()) setenv(name, value.c_str(), 1);
}

void set_environment(const RunOptions& options, const std::string& shim, const std::string& log) {
  const char* theirs = std::getenv("LD_PRELOAD");
  put_variable("LD_PRELOAD", theirs && *theirs ? fmt::format("{}:{}", shim, theirs) : shim);
  put_variable("OVCSHIM_LOG", log);
  put_variable("OVCSHIM_EVENTS_SIZE", options.events_size);
  put_variable("OVCSHIM_CALLS_SIZE", options.calls_size);
  put_variable("OVCSHIM_MIN_SIZE", options.min_size);
  put_variable("OVCSHIM_STACK_DEPTH", options.stack_depth);
  put_variable("OVCSHIM_FOLLOW", options.follow);
  put_variable("OVCSHIM_INJECT", fmt::format("{}", fmt::join(options.inject, ";")));
  put_variable("OVCSHIM_REHEARSE", options.rehearse);
}

// %c, %p and %% as the shim understands them.
std::string expanded(std::string_view name, const std::string& command, pid_t pid) {
  std::string text;
  for (size_t i = 0; i < name.size(); ++i) {
    const char next = name[i] == '%' && i + 1 < name.size() ? name[i + 1] : '\0';
    if (next == 'c') text += command, ++i;
    else if (next == 'p') text += fmt::format("{}", pid), ++i;
    else if (next == '%') text += '%', ++i;
    else text += name[i];
  }
  return text;
}

// For the shim, which expands it once more.
std::string as_template(const std::string& path) {
  std::string text;
  for (const char c : path) text.append(c == '%' ? 2 : 1, c);
  return text;
}

// Absolute, since the command may change directory.
std::string log_path(const RunOptions& options, pid_t pid) {
  const std::string command = fs::path(options.command.front()).filename();
  const std::string name =
      expanded(options.log.empty() ? "ovcshim.%c.%p.ovc" : options.log, command, pid);
  if (!options.log.empty()) return fs::absolute(name);
  std::error_code error;
  const fs::path here = fs::current_path(error);
  return (!error && access(here.c_str(), W_OK) == 0 ? here : fs::path("/var/tmp")) / name;
}

// Runs in the child. Only returns, with errno, if the command could not be started.
void become_command(const RunOptions& options, const std::string& shim) {
  set_environment(options, shim, as_template(log_path(options, getpid())));
  std::vector<char*> argv;
  for (const std::string& word : options.command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
}

struct Pipe {
  int read_end = -1, write_end = -1;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
      throw Error(fmt::format("cannot create a pipe: {}", strerror(errno)));
    read_end = ends[0], write_end = ends[1];
  }
  ~Pipe() { close(read_end), close_write_end(); }
  void close_write_end() {
    if (write_end >= 0) close(write_end);
    write_end = -1;
  }
};

pid_t start(const RunOptions& options, const std::string& shim, const Signals& signals) {
  Pipe failure;
  const pid_t pid = fork();
  if (pid < 0) throw Error(fmt::format("cannot fork: {}", strerror(errno)));
  if (pid == 0) {
    signals.restore();
    signal(SIGPIPE, SIG_DFL);
    become_command(options, shim);
    const int error = errno;
    const ssize_t told = write(failure.write_end, &error, sizeof error);
    _exit(told == sizeof error ? 127 : 126);
  }
  child_pid = pid;
  failure.close_write_end();
  int error = 0;
  if (read(failure.read_end, &error, sizeof error) != sizeof error) return pid;
  waitpid(pid, nullptr, 0);
  throw Error(
      fmt::format("cannot start {}: {}", escaped(options.command.front()), strerror(error)));
}

int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      throw Error(fmt::format("cannot wait for the command: {}", strerror(errno)));
  child_pid = 0;
  return status;
}

bool has_refusals(const LogReader& log) {
  bool found = false;
  log.for_each_event([&](const Event& event) { return !(found = is_refusal(event)); });
  return found;
}

// why() writes to standard output, which belongs to the command.
void print_verdict(const std::string& path, const WaitedFor& waited_for) {
  const int ours = dup(STDOUT_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  WhyOptions options;
  options.log = path;
  options.waited_for = waited_for;
  why(options);
  fflush(stdout);
  if (ours < 0) return;
  dup2(ours, STDOUT_FILENO);
  close(ours);
}

std::string why_unseen(const std::string& command) {
  const std::string why = why_without_shim(find_program(command)).value_or("");
  return why.empty() ? "the shim was not loaded, or could not write a log; its own message, if "
                       "any, is above"
                     : escaped(why);
}

// Descendants may have left records where the command itself could not.
bool has_image(const LogReader& log, pid_t pid) {
  bool found = log.retired_processes() != 0;
  for (const Process& process : log.processes())
    found |= process.slot.pid == static_cast<uint32_t>(pid);
  return found;
}

void report(const std::string& command, const std::string& path, pid_t pid, int status) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    fmt::print(stderr, "ovc: no log was written to {}: {}\n", escaped(path), why_unseen(command));
    return;
  }
  if (WIFSIGNALED(status))
    fmt::print(stderr, "ovc: {} was killed by {}\n", escaped(command),
               signal_name(static_cast<unsigned>(WTERMSIG(status))));
  fmt::print(stderr, "ovc: log: {}\n", escaped(path));
  try {
    const LogReader log(path);
    const LogFamily family = family_of(log);
    for (const Relative& relative : family.others)
      fmt::print(stderr, "ovc: log: {} (of uid {})\n", escaped(relative.log->path()), relative.uid);
    if (!has_image(log, pid))
      fmt::print(stderr, "ovc: {} itself left no records: {}\n", escaped(command),
                 why_unseen(command));
    bool refused = has_refusals(log);
    for (const Relative& relative : family.others) refused |= has_refusals(*relative.log);
    const bool wrong = WIFSIGNALED(status) && is_suspicious_signal(WTERMSIG(status));
    if (wrong || refused) print_verdict(path, {static_cast<uint32_t>(pid), status});
  } catch (const Error& error) {  // the command's exit status counts, not ours
    fmt::print(stderr, "ovc: {}\n", error.what());
  }
}

}  // namespace

namespace {

// As the kernel knows it; where /proc is not mounted, by the name it was started with.
fs::path own_path() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  const unsigned long name = error ? getauxval(AT_EXECFN) : 0;
  return name ? fs::absolute(reinterpret_cast<const char*>(name), error) : self;
}

}  // namespace

// Beside this very program in the build directory, or where it was installed with it. Else by name,
// for the loader to find.
std::string shim_path() {
  std::error_code error;
  const fs::path self = own_path();
  if (self.empty()) return kShimName;
  for (const char* place : {".", OVC_SHIM_FOLDER}) {
    const fs::path shim = (self.parent_path() / place / kShimName).lexically_normal();
    if (fs::is_regular_file(shim, error)) return shim;  // an error here means: not there
  }
  return kShimName;
}

int cut_run_command(int argc, char** argv, std::vector<std::string>& command) {
  if (argc < 2 || std::string_view(argv[1]) != "run") return argc;
  int at = 2;
  while (at < argc && argv[at][0] == '-') {
    const std::string_view word = argv[at];
    if (word == "--") break;
    const bool has_value_apart =
        word == "-o" || (word.starts_with("--") && word != "--help" && word.find('=') == word.npos);
    at += has_value_apart ? 2 : 1;
  }
  at = std::min(at, argc);
  const bool dashes = at < argc && std::string_view(argv[at]) == "--";
  command.assign(argv + at + dashes, argv + argc);
  return at;
}

namespace {

void check_spec(const ovcshim::SpecError& error, std::string_view option) {
  if (error.what)
    throw Error(
        fmt::format("{}: {} at '{}'; see ovc run --help", option, error.what, escaped(error.at)));
}

uint64_t committed_as_kb() {
  std::ifstream meminfo("/proc/meminfo");
  std::string line;
  while (std::getline(meminfo, line))
    if (line.starts_with("Committed_AS:"))
      return std::strtoull(line.c_str() + std::strlen("Committed_AS:"), nullptr, 10);
  throw Error(
      "--rehearse limit=+SIZE: /proc/meminfo does not give Committed_AS here; give the limit "
      "itself");
}

// A limit relative to what is promised now becomes one that all descendants share.
std::string resolved(const std::string& rehearse) {
  constexpr std::string_view kRelative = "limit=+";
  const size_t at = rehearse.find(kRelative);
  ovcshim::RehearseSpec spec;
  std::string plain = rehearse;
  if (at != std::string::npos) plain.erase(at + kRelative.size() - 1, 1);
  if (!plain.empty()) check_spec(ovcshim::parse_rehearse(plain.c_str(), spec), "--rehearse");
  if (at == std::string::npos) return plain;
  return fmt::format("mode={},limit={}K", spec.mode, committed_as_kb() + spec.limit_kb);
}

}  // namespace

int run(const RunOptions& given) {
  RunOptions options = given;
  if (options.command.empty())
    throw Error("no command given: ovc run [options] -- COMMAND [ARGUMENT...]");
  for (const std::string& rule : options.inject) {
    ovcshim::InjectSpec spec;
    check_spec(ovcshim::parse_inject(rule.c_str(), spec), "--inject");
  }
  options.rehearse = resolved(options.rehearse);
  const std::string shim = shim_path();
  check_preloadable(shim);
  const Signals signals;
  const pid_t pid = start(options, shim, signals);
  const int status = wait_for(pid);
  report(options.command.front(), log_path(options, pid), pid, status);
  return WIFSIGNALED(status) ? kSignalBase + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace ovc
