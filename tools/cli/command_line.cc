// SPDX-License-Identifier: MIT
#include "tools/cli/command_line.h"

#include <fmt/format.h>

#include "shim/format/version.h"
#include "tools/cli/first_contact.h"
#include "tools/log/log_reader.h"
#include "tools/log/names.h"
#include "tools/text/progress.h"

namespace ovc {
namespace {

constexpr const char* kTimeHelp =
    "HH:MM:SS[.fraction], 'YYYY-MM-DD HH:MM:SS[.fraction]', or +SECONDS after the log's start";

// What every command that reads a log has.
template <typename CommandOptions>
CLI::App* add_reader(CLI::App& app, const char* name, const char* help, CommandOptions& options) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("LOG", options.log,
                      "the log; default: the newest ovcshim.*.ovc here, else in /var/tmp");
  command->add_flag("--json", options.json, "JSON instead of text");
  return command;
}

CLI::App* add_show(CLI::App& app, ShowOptions& o) {
  CLI::App* c = add_reader(
      app, "show", "the records, one line each, like strace; --json: one object per line", o);
  c->add_option("--op", o.ops,
                "only these: mmap,fork,... or a family: %malloc %memory %shared %fork %wait %exec "
                "%end %limit %signal %record")
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
  c->add_flag("--calls,!--no-calls", o.calls, "also malloc-family calls below 128 KiB (default)");
  c->footer(
      "~ behind a time: not exact, the clock is read once in 16 small malloc calls; the order "
      "within a thread is exact.\n'libc:' marks a system call that libc made itself, beneath the "
      "call of the program.\nLists of mappings and of loaded files are shown on request: --op "
      "mappings,module");
  return c;
}

CLI::App* add_maps(CLI::App& app, MapsOptions& o) {
  CLI::App* c = add_reader(
      app, "maps",
      "the address space of a process: each mapping, its charge, the call that made it", o);
  c->add_option("--at", o.at,
                std::string("at this time; default: the end of the log. ") + kTimeHelp);
  c->add_option(
      "--pid", o.pid,
      "of this process; default: the running one with the largest charge, else the first");
  return c;
}

CLI::App* add_follow(CLI::App& app, FollowOptions& o) {
  CLI::App* c = add_reader(app, "follow",
                           "live: refused calls, forks, new programs and exits as they happen; "
                           "--json: one object per line",
                           o);
  c->add_option("--interval", o.interval, "seconds between two reads of the log (default 1)")
      ->check(CLI::Range(0.02, 3600.0));
  c->add_option("-n,--last", o.last,
                "begin with the last N lines of what happened before (default 10)");
  c->add_flag("--wait", o.wait, "wait until the log exists");
  c->footer(
      "One line for each refused call with its verdict, each fork, new program and exit, and for "
      "lost records; on a terminal\nwith a status block below. Ends when all recorded processes "
      "have ended, or by Ctrl-C.\nExit status, by Ctrl-C too: 0 nothing found wrong, 1 a call was "
      "refused or a process killed, 2 error.");
  return c;
}

CLI::App* add_report(CLI::App& app, ReportOptions& o) {
  CLI::App* c = app.add_subcommand(
      "report", "all of it as one HTML page: verdict, timeline, processes, forks, memory, stacks");
  c->add_option("LOG", o.log, "the log; default: the newest ovcshim.*.ovc here, else in /var/tmp");
  c->add_option("-o,--output", o.page,
                "the page to write, such as F.html; default: standard output");
  c->footer(
      "The page is one file that needs no network. It shows what the log holds (names, paths, "
      "addresses), so only its owner\nmay read it. Its size is bounded: rows that are left out are "
      "counted.\nExit status, as ovc why: 0 nothing found wrong, 1 something found.");
  return c;
}

CLI::App* add_run(CLI::App& app, RunOptions& o) {
  CLI::App* c = app.add_subcommand("run", "runs COMMAND under the shim; exits with its status");
  c->add_option("-o,--log", o.log,
                "the log; %c command, %p pid; default: ovcshim.%c.%p.ovc here, else in /var/tmp");
  c->add_option("--events-size", o.events_size,
                "room in the log for events (OVCSHIM_EVENTS_SIZE), such as 16M");
  c->add_option("--calls-size", o.calls_size,
                "room in the log for small malloc calls (OVCSHIM_CALLS_SIZE), such as 64M; 0: "
                "count them only");
  c->add_option("--min-size", o.min_size,
                "smaller malloc-family requests are only counted (OVCSHIM_MIN_SIZE)");
  c->add_option("--stack-depth", o.stack_depth,
                "stack frames to record per event (OVCSHIM_STACK_DEPTH)");
  c->add_option("--follow", o.follow, "which descendants to record (OVCSHIM_FOLLOW)")
      ->check(CLI::IsMember({"all", "fork", "none"}));
  c->add_option("--inject", o.inject,
                "refuse calls (OVCSHIM_INJECT): "
                "CALL[,CALL...]:error=ERRNO[:when=N|N+|N+STEP|N..M][:size>=SIZE]; may be repeated")
      ->allow_extra_args(false);
  c->add_option("--rehearse", o.rehearse,
                "refuse what the kernel would refuse with these settings (OVCSHIM_REHEARSE): "
                "mode=0|1|2[,limit=SIZE]; limit=+SIZE: SIZE more than Committed_AS now");
  c->footer("ovc run [OPTIONS] -- COMMAND [ARGUMENT...]");
  return c;
}

CLI::App* add_check(CLI::App& app, CheckOptions& o) {
  CLI::App* c =
      app.add_subcommand("check", "would a fork of this running process pass now? Needs no shim");
  c->add_option("PID|NAME|LOG", o.target,
                "a process, or all with this command name (comm), a line each; or the log of one "
                "that runs");
  c->add_flag("--all", o.all, "every process, a line each");
  c->add_option("--root", o.root,
                "look at DIR/proc and DIR/sys: the host's, mounted into a container at DIR")
      ->type_name("DIR");
  CLI::Option* json = c->add_flag("--json", o.json, "JSON instead of text");
  c->add_flag("--openmetrics", o.openmetrics, "metrics for Prometheus instead of text")
      ->excludes(json);
  c->add_option(
       "--watch", o.watch_seconds,
       "repeat every SECONDS, until Ctrl-C or the processes have ended; --json: a line each time")
      ->check(CLI::Range(0.1, 1e6));
  c->add_flag("--estimate", o.estimate,
              "read maps, statm and status only, not smaps: bounds of the charge");
  c->add_flag("--stacks", o.stacks,
              "not the fork: where each thread is now, and which lock it waits for")
      ->excludes("--all", "--openmetrics", "--watch", "--estimate");
  c->footer(
      "The exact charge is read from /proc/PID/smaps: about 12 ms for each GiB resident in 4 kB "
      "pages, and the process's mmap,\nmunmap and brk calls are blocked for that long, as by a "
      "fork. --estimate takes microseconds and needs no privilege; it\nsays pass only if the "
      "highest possible charge would pass, else unknown.\n--stacks stops the process for about a "
      "millisecond (ptrace) and walks the stacks when it runs again, by libunwind; status 1:\na "
      "thread waits for a lock that no thread of the process holds.\nExit status: 0 a fork would "
      "pass; 1 it "
      "would be refused, by the overcommit mode in force or another limit, or is\nborderline "
      "(closer to the limit than the error of the kernel's own counter); 2 no such process, or not "
      "known.");
  return c;
}

CLI::App* add_plan(CLI::App& app, PlanOptions& o) {
  CLI::App* c = app.add_subcommand(
      "plan",
      "what if: how far a process may grow and still fork, and the smallest setting that lets it");
  const auto size = [c](const char* name, std::optional<uint64_t>& bytes, const char* help) {
    c->add_option(name, bytes, help)->transform(CLI::AsSizeValue(false));
  };
  c->add_option("LOG|PID", o.target,
                "a log (its newest refused fork, else its newest fork) or a running process; "
                "default: the newest log");
  c->add_option("--pid", o.pid, "of a log: the newest refused fork of this process");
  c->add_option("--mode", o.mode, "assume this vm.overcommit_memory")->check(CLI::Range(0, 2));
  CLI::Option* ratio =
      c->add_option("--ratio", o.ratio, "assume this vm.overcommit_ratio, in percent of RAM");
  c->add_option("--kbytes", o.kbytes, "assume this vm.overcommit_kbytes, in kB; not with --ratio")
      ->excludes(ratio);
  size("--swap", o.swap_bytes,
       "assume this much swap: bytes, or with suffix K, M, G, T (powers of 1024)");
  size("--ram", o.ram_bytes, "assume this much RAM");
  size("--grow", o.grow_bytes, "assume the process has this much more memory that is charged");
  c->add_option("-n,--limit", o.limit, "largest mappings to list (default 5)");
  c->add_flag("--json", o.json, "JSON instead of text");
  c->footer(
      "Options replace the host's values; the rest is taken from the moment of the fork, or from "
      "now. Amounts are exact to the\nkernel's rule; the kernel's own counter may be off by the "
      "amount printed beside them.\nExit status: 0 the fork would pass with these settings, 1 it "
      "would be refused or is borderline, 2 not known.");
  return c;
}

CLI::App* add_export(CLI::App& app, ExportOptions& o) {
  CLI::App* c = app.add_subcommand(
      "export", "the log for other tools: DuckDB, SQLite, Perfetto, flame graphs, Prometheus, ...");
  c->add_option("LOG", o.log, "the log; default: the newest ovcshim.*.ovc here, else in /var/tmp");
  c->add_option("--to", o.to,
                "json (one object per line), csv, sqlite, perfetto, folded, openmetrics")
      ->required()
      ->check(CLI::IsMember({"json", "csv", "sqlite", "perfetto", "folded", "openmetrics"}));
  c->add_option("-o,--output", o.output,
                "the file, replaced when the new one is complete; default: standard output (sqlite "
                "needs a file)");
  c->add_flag("--calls", o.calls, "json, csv, sqlite: also malloc-family calls below 128 KiB");
  c->add_option(
      "--host", o.host,
      "host name for the rows; default: this host's, if it was not rebooted since the recording");
  c->add_option("--null", o.null,
                "csv: text for a value that is not known, such as '\\N'; default: empty");
  c->add_option(
       "--weight", o.weight,
       "folded: sum up what memory calls added: charge (default) or bytes; count the calls; or sum "
       "up what small mallocs asked for, estimated: small")
      ->check(CLI::IsMember({"charge", "bytes", "count", "small"}));
  c->footer(
      "Figures are exact, in bytes and nanoseconds; what is not known is null. Columns, tables and "
      "metrics: examples/README.md.\nExit status: 0 written, 2 error.");
  return c;
}

CLI::App* add_diff(CLI::App& app, DiffOptions& o) {
  CLI::App* c = app.add_subcommand(
      "diff", "what grew between two logs, or two moments of one: charged memory by stack");
  c->add_option("LOG", o.log,
                "the first log; default: the newest ovcshim.*.ovc here, else in /var/tmp");
  c->add_option("LOG2", o.second, "the second: a later copy of the first, or of another run");
  c->add_option("--since", o.since,
                std::string("of one log: from this time on; default: its start. ") + kTimeHelp);
  c->add_option("--until", o.until,
                std::string("of one log: up to this time; default: its end. ") + kTimeHelp);
  c->add_option("-n,--limit", o.limit, "stacks to show, what grew most first; 0: all (default 20)");
  c->add_flag("--json", o.json, "JSON instead of text");
  c->footer(
      "NOW is what the calls of a stack hold more (or less), EVER what they were charged in "
      "between, both in kB. Two logs are\ncompared by their exact sums, which are never "
      "overwritten: copy the log of a running program (cp --sparse=always) and\ncompare later. Two "
      "moments of one log are told from its records, as long as none in between was "
      "overwritten.\nExit status: 0 told, 2 not known, or error.");
  return c;
}

CLI::App* add_attach(CLI::App& app, AttachOptions& o) {
  CLI::App* c = app.add_subcommand("attach", "records a program that runs already, from now on");
  c->add_option("PID", o.pid, "the process")->required();
  c->add_option(
      "-o,--log", o.log,
      "the log; %c command, %p pid; default: ovcshim.%c.%p.ovc here, else in /var/tmp. The "
      "process makes it: its user must be allowed to");
  c->add_option("--events-size", o.events_bytes, "room in the log for events, such as 64M")
      ->transform(CLI::AsSizeValue(false));
  c->add_option("--stack-depth", o.stack_depth, "stack frames to record per event");
  c->add_flag("--malloc", o.malloc_family, "malloc, calloc, realloc, free and their family, too");
  c->add_option("--calls-size", o.calls_bytes,
                "with --malloc: room in the log for small calls, such as 64M; 0: count them only")
      ->transform(CLI::AsSizeValue(false));
  c->add_option("--min-size", o.min_size, "with --malloc: smaller requests are only counted")
      ->transform(CLI::AsSizeValue(false));
  c->footer(
      "The loader of the process loads the shim in a thread that waits for work; all threads stand "
      "still (ptrace) only while libc's\nsystem calls are changed. Then, while they run, ovc reads "
      "the mappings (/proc/PID/smaps: about 12 ms for each GiB in memory;\na thread that asks for "
      "memory meanwhile waits as for any reader of that file). "
      "Recorded are fork, mmap, munmap, mremap,\nmprotect, brk, madvise and ends, of the process "
      "and of the children that it forks; malloc with --malloc; not the programs\nthat they "
      "execute. "
      "A process in a container gets the library as a file in memory, and makes the log "
      "there; a seccomp filter\nis followed first.\n"
      "--malloc makes the pointers to malloc and its family in the program and its libraries (GOT, "
      "and pointers in their data) lead\nto the shim: those that hold what the program's calls "
      "find, be it libc's or another library's. Calls of libc are among them.\nNot seen: an "
      "allocator linked into the program, addresses that the program had stored before, the "
      "loader's "
      "own calls, and\nlibraries that are loaded later. The address of malloc that the program "
      "takes meanwhile is the shim's, and stays usable\nafter ovc detach.\n"
      "Where a doubt is left it says why, and does not attach.\nExit status: 0 recorded, 2 not.");
  return c;
}

CLI::App* add_detach(CLI::App& app, AttachOptions& o) {
  CLI::App* c = app.add_subcommand("detach", "ends what ovc attach began");
  c->add_option("PID", o.pid, "the process")->required();
  c->footer(
      "Every changed byte of libc and of the modules is given back, and the shim's memory; its "
      "library stays mapped, "
      "silent. The log stays.\nChildren that were forked meanwhile are recorded on: detach each.\n"
      "Exit status: 0 done, 2 not.");
  return c;
}

CLI::App* add_help(CLI::App& app, HelpOptions& o) {
  CLI::App* c = app.add_subcommand("help", "this help, or that of one command or topic");
  c->add_option("COMMAND|TOPIC", o.topic, "a command, or one of the topics that `ovc help` names");
  return c;
}

// THE table of commands. The one that is named becomes `work`.
void add_commands(CLI::App& app, Options& o, std::function<int()>& work) {
  const auto add = [&work](CLI::App* command, const std::function<int()>& what) {
    command->group("Commands");
    command->final_callback([&work, what] { work = what; });
    return command;
  };
  const auto add_reading = [&add](CLI::App* command, const std::function<int()>& what) {
    return add(command, [what] {
      const LogProgress progress;
      return what();
    });
  };
  add_reading(
      add_reader(app, "why", "the verdict for each failed call and each suspicious end", o.why),
      [&o] {
        return why({log_or_newest(o.why.log), o.why.json, o.why.all});
      })
      ->add_flag(
          "--all", o.why.all,
          "also refusals that did no harm: probes, and calls whose caller found another way");
  add_reading(add_show(app, o.show), [&o] { return show(o.show); });
  add_reading(add_reader(app, "forks",
                         "each fork: who asked, how long it took, its charge, how the child ended",
                         o.forks),
              [&o] { return forks(o.forks); });
  CLI::App* statistics = add_reader(
      app, "stats", "exact totals, what was lost or overwritten, what the log cannot see", o.stats);
  add_reading(statistics, [&o] { return stats(o.stats); })
      ->add_option("-n,--limit", o.stats.limit,
                   "processes to show, busiest first; 0: all (default 20)");
  statistics->add_flag(
      "--stacks", o.stats.stacks,
      "who made the processes grow: charged memory by stack, and as a tree; and who "
      "asked malloc for small blocks, estimated from samples");
  add_reading(add_diff(app, o.diff), [&o] { return diff(o.diff); });
  add(add_check(app, o.check), [&o] { return check(o.check); });
  add_reading(add_plan(app, o.plan), [&o] { return plan(o.plan); });
  add_reading(add_maps(app, o.maps), [&o] { return maps(o.maps); });
  add_reading(add_export(app, o.exporting), [&o] { return export_log(o.exporting); });
  add_reading(add_report(app, o.report), [&o] { return report(o.report); });
  add(add_follow(app, o.follow), [&o] { return follow(o.follow); });
  add(add_run(app, o.run), [&o] { return run(o.run); });
  add(add_attach(app, o.attach), [&o] { return attach(o.attach); });
  add(add_detach(app, o.detach), [&o] { return detach(o.detach); });
  add(add_help(app, o.help), [&o] { return help(o.help.topic); });
}

// What stands for an option's value in help and manual. The first rule that fits the name of its
// type or the option's own holds.
struct ValueName {
  const char *type, *option;  // a part of it, or nullptr: any
  const char* name;
};
constexpr ValueName kValueNames[] = {
    {"SIZE [", nullptr, "SIZE"},     {nullptr, "-size", "SIZE"},
    {nullptr, "--since", "TIME"},    {nullptr, "--until", "TIME"},
    {nullptr, "--at", "TIME"},       {nullptr, "--log", "FILE"},
    {nullptr, "--output", "FILE"},   {nullptr, "--op", kOpsValue},
    {nullptr, "--pid", "PID"},       {nullptr, "--tid", "TID"},
    {nullptr, "--inject", "RULE"},   {nullptr, "--rehearse", "SETTING"},
    {nullptr, "--watch", "SECONDS"}, {nullptr, "--interval", "SECONDS"},
    {nullptr, "--ratio", "PERCENT"}, {nullptr, "--kbytes", "KB"},
    {nullptr, "-depth", "N"},        {"INT", nullptr, "N"},
};

std::string value_name(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  if (const size_t open = type.find('{'); open != type.npos && type.ends_with('}'))
    return type.substr(open);
  for (const ValueName& rule : kValueNames)
    if ((!rule.type || type.find(rule.type) != type.npos) &&
        (!rule.option || option.get_name(false, true).find(rule.option) != std::string::npos))
      return rule.name;
  return "VALUE";
}

void name_values(CLI::App& command) {
  for (CLI::Option* option : command.get_options())
    if (option->get_positional()) option->type_name("");
    else if (option->get_items_expected_max() > 0) option->option_text(value_name(*option));
}

}  // namespace

void declare_command_line(CLI::App& app, Options& options, std::function<int()>& work) {
  app.name("ovc");
  app.description("ovc - reads the logs of libovcshim.so: which call was refused, and why");
  app.set_help_flag("-h,--help", "this help");
  app.set_version_flag(
      "--version",
      fmt::format("ovc {} (log format {})", ovcshim::kVersion, ovcshim::kFormatVersion),
      "the version");
  app.require_subcommand(0, 1);
  app.get_formatter()->label("SUBCOMMAND", "COMMAND");
  app.get_formatter()->label("Positionals", "Argument");
  add_commands(app, options, work);
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; }))
    name_values(*command);
  app.footer(fmt::format("Help on one of them: ovc help COMMAND. Topics: {}. Manual: man ovc",
                         topic_names()));
}

}  // namespace ovc
