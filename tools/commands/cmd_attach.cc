// SPDX-License-Identifier: MIT
//
// `ovc attach PID` and `ovc detach PID`.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "tools/attach/attach.h"
#include "tools/attach/process_facts.h"
#include "tools/attach/their_files.h"
#include "tools/commands/commands.h"
#include "tools/replay/ledger.h"
#include "tools/text/error.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

namespace fs = std::filesystem;

// As in OVCSHIM_LOG: %c command, %p pid.
std::string expanded(const std::string& name, const ProcessFacts& facts) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool named = name[i] == '%' && i + 1 < name.size();
    if (named && name[i + 1] == 'c') {
      for (const char c : facts.comm) out += c == '/' ? '_' : c;
      ++i;
    } else if (named && name[i + 1] == 'p') {
      out += std::to_string(facts.pid);
      ++i;
    } else {
      out += name[i];
    }
  }
  return out;
}

bool is_there(const std::string& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

// The first that is free of ovcshim.redis-server.7143.ovc, ovcshim.redis-server.7143.2.ovc, ...
std::string free_name(const std::string& folder, const ProcessFacts& facts) {
  const std::string base = folder + "/" + expanded("ovcshim.%c.%p", facts);
  std::string path = base + ".ovc";
  for (unsigned n = 2; is_there(path); ++n) path = fmt::format("{}.{}.ovc", base, n);
  return path;
}

std::string their_log(const std::string& path, const ProcessFacts& facts) {
  if (!path.starts_with('/'))
    throw Error(
        fmt::format("{} sees other files than ovc does: name the log by its whole path "
                    "there",
                    who(facts)));
  if (is_there(fmt::format("/proc/{}/root{}", facts.pid, path)))
    throw Error(fmt::format("{} is there already; name another log with -o", escaped(path)));
  return path;
}

std::vector<std::string> wanted_logs(const AttachOptions& options, const ProcessFacts& facts) {
  std::error_code error;
  // The process makes it, with its own names for files.
  if (options.log.empty() && !sees_our_root(facts.pid)) {
    std::vector<std::string> names;
    const std::string root = fmt::format("/proc/{}/root", facts.pid);
    for (const char* folder : {"/var/tmp", "/tmp", "/dev/shm", ""})
      names.push_back(free_name(root + folder, facts).substr(root.size()));
    return names;
  }
  if (options.log.empty())
    return {free_name(fs::current_path(error).string(), facts), free_name("/var/tmp", facts)};
  if (!sees_our_root(facts.pid)) return {their_log(expanded(options.log, facts), facts)};
  const std::string path = fs::absolute(expanded(options.log, facts), error).lexically_normal();
  if (is_there(path))
    throw Error(fmt::format("{} is there already; name another log with -o", escaped(path)));
  return {path};
}

uint32_t pid_of(const std::string& text) {
  uint64_t pid = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || pid > UINT32_MAX)
      throw Error(fmt::format("{} is no process number", escaped(text)));
    pid = pid * 10 + static_cast<uint64_t>(c - '0');
  }
  if (text.empty() || pid > UINT32_MAX) throw Error("name a process by its number");
  return static_cast<uint32_t>(pid);
}

// As ovc names the log that the process has made.
std::string reachable_log(const AttachOutcome& outcome) {
  return sees_our_root(outcome.pid) ? outcome.log
                                    : fmt::format("/proc/{}/root{}", outcome.pid, outcome.log);
}

// A list is there, and what is charged follows from it and the calls made while it was read.
bool is_listed(const AttachOutcome& outcome) {
  const LogReader log(reachable_log(outcome));
  const Ledger ledger(log);
  if (ledger.processes().empty()) return false;
  const LedgerState state = ledger.at(ledger.processes().front(), UINT64_MAX);
  return state.base != LedgerBase::kNone && state.space.totals().charged.exact();
}

// Empty, or why the mappings are not known.
std::string list_until_known(const AttachOutcome& outcome) {
  constexpr int kTries = 5;
  for (int tries = 0; tries < kTries; ++tries) {
    if (std::string why = list_mappings(outcome); !why.empty()) return why;
    if (is_listed(outcome)) return "";
  }
  return "they changed while they were read, each time";
}

std::string process_text(const AttachOutcome& outcome) {
  return fmt::format("{} (pid {})", escaped(outcome.comm), outcome.pid);
}

// What became of the addresses of malloc's family.
std::string bound_text(const AttachOutcome& outcome) {
  std::string text = fmt::format(
      "  malloc and its family: {} to them in its modules changed; not seen are libraries that it "
      "loads later\n",
      counted(outcome.bound, "pointer"));
  if (outcome.bound_elsewhere)
    text += fmt::format("  {} left alone: bound to another function than the program's own calls\n",
                        outcome.bound_elsewhere);
  if (outcome.bound_unwritable)
    text += fmt::format("  {} left alone: the kernel does not let its memory be written\n",
                        outcome.bound_unwritable);
  return text;
}

}  // namespace

int attach(const AttachOptions& options) {
  AttachWish wish;
  wish.pid = pid_of(options.pid);
  wish.shim = shim_path();
  wish.events_bytes = std::max<uint64_t>(options.events_bytes, 64 * 1024);
  wish.stack_depth = options.stack_depth;
  wish.malloc_family = options.malloc_family;
  wish.calls_bytes =
      options.calls_bytes == 0 ? 0 : std::max<uint64_t>(options.calls_bytes, 64 * 1024);
  wish.min_size = options.min_size;
  const ProcessFacts facts = read_facts(wish.pid);
  wish.logs = wanted_logs(options, facts);
  const AttachOutcome outcome = attach_to(wish);
  Out out;
  out.text() += fmt::format(
      "{} is recorded from now on, in {}\n"
      "  {} stood still for {}; thread {} was held for {}, in the loader for {} of it\n",
      process_text(outcome), escaped(reachable_log(outcome)), counted(outcome.threads, "thread"),
      duration_text(outcome.stopped_ns), outcome.tid, duration_text(outcome.held_ns),
      duration_text(outcome.loader_ns));
  if (options.malloc_family) out.text() += bound_text(outcome);
  if (const std::string why = list_until_known(outcome); !why.empty())
    out.text() += fmt::format(
        "  its mappings are not known: {}; ovc maps shows what it maps from "
        "now on\n",
        why);
  if (!outcome.whole)
    out.text() += "  this libc is known in part only: ovc stats says what is not seen\n";
  out.text() += fmt::format("  read it: ovc why {}; end it: ovc detach {}\n",
                            escaped(reachable_log(outcome)), outcome.pid);
  out.flush();
  return 0;
}

int detach(const AttachOptions& options) {
  const AttachOutcome outcome = detach_from(pid_of(options.pid));
  Out out;
  out.text() +=
      fmt::format("{} is no longer recorded; {} stood still for {}\n", process_text(outcome),
                  counted(outcome.threads, "thread"), duration_text(outcome.stopped_ns));
  if (outcome.bound)
    out.text() += fmt::format(
        "  {} to malloc's family could not be given back: the shim stays behind them, and passes "
        "calls on\n",
        counted(outcome.bound, "pointer"));
  if (!outcome.whole)
    out.text() += "  a thread did not leave the shim: its memory stays mapped; again: ovc detach " +
                  std::to_string(outcome.pid) + "\n";
  out.flush();
  return 0;
}

}  // namespace ovc
