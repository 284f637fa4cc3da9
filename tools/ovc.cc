// SPDX-License-Identifier: MIT
//
// ovc: reads what libovcshim.so recorded. The command table, the one place where errors are caught, the exit status:
// 0 nothing found wrong, 1 something found (a refused call), 2 could not do the work.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <functional>

#include "tools/commands.h"
#include "tools/log_reader.h"
#include "tools/output.h"

namespace {

using namespace ovc;

constexpr const char* kTimeHelp = "HH:MM:SS[.fraction], 'YYYY-MM-DD HH:MM:SS[.fraction]', or +SECONDS after the log's start";

struct Options {
  ShowOptions show;
  ForksOptions forks;
  StatsOptions stats;
  RunOptions run;
  WhyOptions why;
  MapsOptions maps;
};

// What every command that reads a log has.
template <typename CommandOptions>
CLI::App* add_reader(CLI::App& app, const char* name, const char* help, CommandOptions& options) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("LOG", options.log, "the log; default: the newest ovcshim.*.ovc here, else in /var/tmp");
  command->add_flag("--json", options.json, "JSON instead of text");
  return command;
}

CLI::App* add_show(CLI::App& app, ShowOptions& o) {
  CLI::App* c = add_reader(app, "show", "the records, one line each, like strace; --json: one object per line", o);
  c->add_option("--op", o.ops, "only these: mmap,fork,... or a family: %malloc %memory %fork %wait %exec %end %record")
      ->delimiter(',')
      ->allow_extra_args(false);
  c->add_flag("--failed", o.failed, "only calls that failed");
  c->add_option("--pid", o.pids, "only these processes")->delimiter(',')->allow_extra_args(false);
  c->add_option("--tid", o.tids, "only these threads")->delimiter(',')->allow_extra_args(false);
  c->add_option("--since", o.since, std::string("only from this time on: ") + kTimeHelp);
  c->add_option("--until", o.until, std::string("only up to this time: ") + kTimeHelp);
  c->add_option("--min-size", o.min_size, "only calls that ask for at least this (64K, 1G, ...)")
      ->transform(CLI::AsSizeValue(false));
  c->add_flag("--stacks", o.stacks, "the whole stack beneath each call");
  c->add_flag("--calls,!--no-calls", o.calls, "with the call lane: malloc-family calls below 128 KiB (default)");
  c->footer(
      "A time marked ~ is exact to the thread's next time mark only, the order within a thread is exact.\n"
      "'libc:' marks system calls that libc made inside itself. Lists of mappings and modules: --op mappings,module");
  return c;
}

CLI::App* add_maps(CLI::App& app, MapsOptions& o) {
  CLI::App* c = add_reader(app, "maps", "the address space of a process: each mapping, its charge, the call that made it", o);
  c->add_option("--at", o.at, std::string("at this time; default: the end of the log. ") + kTimeHelp);
  c->add_option("--pid", o.pid,
                "of this process; default: of those alive the one with the most accountable memory, else the first");
  return c;
}

CLI::App* add_run(CLI::App& app, RunOptions& o) {
  CLI::App* c = app.add_subcommand("run", "starts COMMAND under the shim; exits as it does");
  c->add_option("-o,--log", o.log, "the log; %c command, %p pid; default: ovcshim.%c.%p.ovc here, else in /var/tmp");
  c->add_option("--events-size", o.events_size, "size of the event lane (OVCSHIM_EVENTS_SIZE), such as 16M");
  c->add_option("--calls-size", o.calls_size, "size of the call lane (OVCSHIM_CALLS_SIZE), such as 64M; 0: off");
  c->add_option("--min-size", o.min_size, "smallest malloc-family request to keep (OVCSHIM_MIN_SIZE)");
  c->add_option("--stack-depth", o.stack_depth, "frames to keep per event (OVCSHIM_STACK_DEPTH)");
  c->add_option("--follow", o.follow, "descendants to record (OVCSHIM_FOLLOW)")->check(CLI::IsMember({"all", "fork", "none"}));
  c->footer("ovc run [OPTIONS] -- COMMAND [ARGUMENT...]");
  return c;
}

// THE table of commands. The one that is named becomes `work`.
void add_commands(CLI::App& app, Options& o, std::function<int()>& work) {
  const auto add = [&work](CLI::App* command, const std::function<int()>& what) {
    command->final_callback([&work, what] { work = what; });
    return command;
  };
  add(add_reader(app, "why", "the verdict for each failed call and each suspicious end", o.why), [&o] {
    return why({log_or_newest(o.why.log), o.why.json});
  });
  add(add_show(app, o.show), [&o] { return show(o.show); });
  add(add_reader(app, "forks", "each fork: who asked, how long it took, its charge, how the child ended", o.forks),
      [&o] { return forks(o.forks); });
  add(add_reader(app, "stats", "exact totals, what was lost or overwritten, what the log cannot see", o.stats), [&o] {
    return stats(o.stats);
  })->add_option("-n,--limit", o.stats.limit, "processes to show, busiest first; 0: all (default 20)");
  add(add_maps(app, o.maps), [&o] { return maps(o.maps); });
  add(add_run(app, o.run), [&o] { return run(o.run); });
}

int parse_and_run(int argc, char** argv) {
  Options options;
  argc = cut_run_command(argc, argv, options.run.command);
  CLI::App app{"ovc - reads the logs of libovcshim.so: which call was refused, and why", "ovc"};
  app.set_version_flag("--version", "ovc 0.1.0");
  app.require_subcommand(0, 1);
  std::function<int()> work;
  add_commands(app, options, work);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    throw Error(fmt::format("{}; see ovc --help", escaped(error.what())));
  }
  if (!work) fmt::print("{}", app.help());
  return work ? work() : 0;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  try {
    const int status = parse_and_run(argc, argv);
    if (fflush(stdout) != 0 && errno != EPIPE) throw Error("cannot write to standard output");
    return status;
  } catch (const std::exception& error) {
    if (is_closed_pipe(error)) return 0;
    fmt::print(stderr, "ovc: {}\n", error.what());
    return 2;
  }
}
