// SPDX-License-Identifier: MIT
//
// `ovc attach PID` and `ovc detach PID`.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "tools/attach/attach.h"
#include "tools/attach/process_facts.h"
#include "tools/commands/commands.h"
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

std::vector<std::string> wanted_logs(const AttachOptions& options, const ProcessFacts& facts) {
  std::error_code error;
  if (options.log.empty())
    return {free_name(fs::current_path(error).string(), facts), free_name("/var/tmp", facts)};
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

std::string process_text(const AttachOutcome& outcome) {
  return fmt::format("{} (pid {})", escaped(outcome.comm), outcome.pid);
}

}  // namespace

int attach(const AttachOptions& options) {
  AttachWish wish;
  wish.pid = pid_of(options.pid);
  wish.shim = shim_path();
  const ProcessFacts facts = read_facts(wish.pid);
  wish.logs = wanted_logs(options, facts);
  const AttachOutcome outcome = attach_to(wish);
  Out out;
  out.text() += fmt::format(
      "{} is recorded from now on, in {}\n"
      "  {} stood still for {}; thread {} was in the loader for {}\n",
      process_text(outcome), escaped(outcome.log), counted(outcome.threads, "thread"),
      duration_text(outcome.stopped_ns), outcome.tid, duration_text(outcome.loader_ns));
  if (!outcome.whole)
    out.text() += "  this libc is known in part only: ovc stats says what is not seen\n";
  out.text() += fmt::format("  read it: ovc why {}; end it: ovc detach {}\n", escaped(outcome.log),
                            outcome.pid);
  out.flush();
  return 0;
}

int detach(const AttachOptions& options) {
  const AttachOutcome outcome = detach_from(pid_of(options.pid));
  Out out;
  out.text() +=
      fmt::format("{} is no longer recorded; {} stood still for {}\n", process_text(outcome),
                  counted(outcome.threads, "thread"), duration_text(outcome.stopped_ns));
  if (!outcome.whole)
    out.text() += "  a thread did not leave the shim: its memory stays mapped; again: ovc detach " +
                  std::to_string(outcome.pid) + "\n";
  out.flush();
  return 0;
}

}  // namespace ovc
