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
                "%end %limit %record")
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
  c->add_flag("--calls,!--no-calls", o.calls,
              "with the call lane: malloc-family calls below 128 KiB (default)");
  c->footer(
      "A time marked ~ is exact to the thread's next time mark only, the order within a thread is "
      "exact.\n"
      "'libc:' marks system calls that libc made inside itself. Lists of mappings and modules: "
      "--op mappings,module");
  return c;
}

CLI::App* add_maps(CLI::App& app, MapsOptions& o) {
  CLI::App* c = add_reader(
      app, "maps",
      "the address space of a process: each mapping, its charge, the call that made it", o);
  c->add_option("--at", o.at,
                std::string("at this time; default: the end of the log. ") + kTimeHelp);
  c->add_option("--pid", o.pid,
                "of this process; default: of those alive the one with the most accountable "
                "memory, else the first");
  return c;
}

CLI::App* add_follow(CLI::App& app, FollowOptions& o) {
  CLI::App* c = add_reader(
      app, "follow", "what happens in a log while it is written; --json: one object per line", o);
  c->add_option("--interval", o.interval, "seconds between two looks (default 1)")
      ->check(CLI::Range(0.02, 3600.0));
  c->add_option("-n,--last", o.last, "lines of what happened before (default 10)");
  c->add_flag("--wait", o.wait, "wait for a log that is not there yet");
  c->footer(
      "A line for each refused call with its verdict, each fork, new program, end, and for what "
      "was lost; on a terminal with\n"
      "the state of things beneath them, drawn anew at each look. Ends when all processes of the "
      "log have ended, or by "
      "Ctrl-C.\n"
      "Exit status, by Ctrl-C too: 0 nothing found wrong, 1 a call was refused or a process "
      "killed, 2 could not do the work.");
  return c;
}

CLI::App* add_report(CLI::App& app, ReportOptions& o) {
  CLI::App* c = app.add_subcommand(
      "report", "all of it as one HTML page: verdict, timeline, processes, forks, memory, stacks");
  c->add_option("LOG", o.log, "the log; default: the newest ovcshim.*.ovc here, else in /var/tmp");
  c->add_option("-o,--output", o.page, "the page, such as F.html; default: standard output");
  c->footer(
      "The page is one file: it opens without a network, asks none for anything, and prints. It "
      "tells what the log tells "
      "(names,\n"
      "paths, addresses), so it is made readable for its owner only. Its size is bounded: what is "
      "left out is counted in it.\n"
      "Exit status: 0 nothing found wrong, 1 something found, as ovc why.");
  return c;
}

CLI::App* add_run(CLI::App& app, RunOptions& o) {
  CLI::App* c = app.add_subcommand("run", "starts COMMAND under the shim; exits as it does");
  c->add_option("-o,--log", o.log,
                "the log; %c command, %p pid; default: ovcshim.%c.%p.ovc here, else in /var/tmp");
  c->add_option("--events-size", o.events_size,
                "size of the event lane (OVCSHIM_EVENTS_SIZE), such as 16M");
  c->add_option("--calls-size", o.calls_size,
                "size of the call lane (OVCSHIM_CALLS_SIZE), such as 64M; 0: off");
  c->add_option("--min-size", o.min_size,
                "smallest malloc-family request to keep (OVCSHIM_MIN_SIZE)");
  c->add_option("--stack-depth", o.stack_depth, "frames to keep per event (OVCSHIM_STACK_DEPTH)");
  c->add_option("--follow", o.follow, "descendants to record (OVCSHIM_FOLLOW)")
      ->check(CLI::IsMember({"all", "fork", "none"}));
  c->add_option("--inject", o.inject,
                "refuse calls (OVCSHIM_INJECT): "
                "CALL[,CALL...]:error=ERRNO[:when=N|N+|N+STEP|N..M][:size>=SIZE]; may be repeated")
      ->allow_extra_args(false);
  c->add_option("--rehearse", o.rehearse,
                "refuse what the kernel would refuse (OVCSHIM_REHEARSE): mode=0|1|2[,limit=SIZE]; "
                "limit=+SIZE: above Committed_AS now");
  c->footer("ovc run [OPTIONS] -- COMMAND [ARGUMENT...]");
  return c;
}

CLI::App* add_check(CLI::App& app, CheckOptions& o) {
  CLI::App* c =
      app.add_subcommand("check", "would a fork of this running process pass now; no shim needed");
  c->add_option(
      "PID|NAME", o.target,
      "a process, or all whose command (comm) has this name: more than one give a line each");
  c->add_flag("--all", o.all, "every process, a line each");
  CLI::Option* json = c->add_flag("--json", o.json, "JSON instead of text");
  c->add_flag("--openmetrics", o.openmetrics, "metrics for Prometheus and its kin instead of text")
      ->excludes(json);
  c->add_option("--watch", o.watch_seconds,
                "again every so many SECONDS, until interrupted or the processes have ended; "
                "--json: a line each time")
      ->check(CLI::Range(0.1, 1e6));
  c->add_flag("--estimate", o.estimate,
              "bounds of the charge from maps, statm and status; smaps is not read");
  c->footer(
      "smaps gives the exact charge. Reading it takes about 12 ms for each GiB that the process "
      "has in 4 kB pages; its mmap,\n"
      "munmap and brk calls wait meanwhile, as they would for a fork. --estimate reads what costs "
      "microseconds, needs no\n"
      "privilege, and says pass only if the highest charge possible would pass, else unknown.\n"
      "Exit status: 0 a fork would pass; 1 it would be refused under the mode in force or by "
      "another limit, or is borderline\n"
      "(nearer to the limit than the kernel's own counter is exact); 2 no such process, or not "
      "known.");
  return c;
}

CLI::App* add_plan(CLI::App& app, PlanOptions& o) {
  CLI::App* c = app.add_subcommand(
      "plan",
      "what if: how far a process may grow and still fork, the smallest setting that lets it");
  const auto size = [c](const char* name, std::optional<uint64_t>& bytes, const char* help) {
    c->add_option(name, bytes, help)->transform(CLI::AsSizeValue(false));
  };
  c->add_option("LOG|PID", o.target,
                "the newest refused fork in a log, else the newest granted one (default: the "
                "newest log), or a running process");
  c->add_option("--pid", o.pid, "of a log: the newest refused fork of this process");
  c->add_option("--mode", o.mode, "as if vm.overcommit_memory were this")->check(CLI::Range(0, 2));
  CLI::Option* ratio =
      c->add_option("--ratio", o.ratio, "as if vm.overcommit_ratio were this, in percent of RAM");
  c->add_option("--kbytes", o.kbytes,
                "as if vm.overcommit_kbytes were this, in kB; not with --ratio")
      ->excludes(ratio);
  size("--swap", o.swap_bytes,
       "as if there were this much swap: bytes, or with suffix K, M, G, T (of 1024)");
  size("--ram", o.ram_bytes, "as if there were this much RAM, likewise");
  size("--grow", o.grow_bytes, "as if the process had this much more accountable memory, likewise");
  c->add_option("-n,--limit", o.limit, "largest mappings to list (default 5)");
  c->add_flag("--json", o.json, "JSON instead of text");
  c->footer(
      "Options replace the host's values; all else is as it was when the fork was refused, or is "
      "now. Amounts in kB are exact\n"
      "borders of the kernel's rule; its own counter may be off by the amount that is printed with "
      "them.\n"
      "Exit status: 0 the fork would pass under these settings, 1 it would be refused or is "
      "borderline, 2 not known.");
  return c;
}

CLI::App* add_export(CLI::App& app, ExportOptions& o) {
  CLI::App* c = app.add_subcommand(
      "export", "the log for other tools: DuckDB, SQLite, Perfetto, flame graphs, Prometheus, ...");
  c->add_option("LOG", o.log, "the log; default: the newest ovcshim.*.ovc here, else in /var/tmp");
  c->add_option("--to", o.to, "json (an object a line), csv, sqlite, perfetto, folded, openmetrics")
      ->required()
      ->check(CLI::IsMember({"json", "csv", "sqlite", "perfetto", "folded", "openmetrics"}));
  c->add_option(
      "-o,--output", o.output,
      "the file, replaced when the new one is whole; default: standard output, but for sqlite");
  c->add_flag("--calls", o.calls,
              "json, csv, sqlite: with the call lane, malloc-family calls below 128 KiB");
  c->add_option(
      "--host", o.host,
      "name of the recorded host; default: this one's, if it still runs the boot that is recorded");
  c->add_option("--null", o.null,
                "csv: what stands for a value that is not known, such as '\\N'; default: nothing");
  c->add_option(
       "--weight", o.weight,
       "folded: charge (default) or bytes gained by memory calls, or the count of those calls")
      ->check(CLI::IsMember({"charge", "bytes", "count"}));
  c->footer(
      "Figures are exact, in bytes and nanoseconds; null is what is not known. Columns, tables and "
      "metrics: see README, "
      "Exports.\n"
      "Exit status: 0 written, 2 could not do the work.");
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
  add_reading(
      add_reader(app, "stats",
                 "exact totals, what was lost or overwritten, what the log cannot see", o.stats),
      [&o] { return stats(o.stats); })
      ->add_option("-n,--limit", o.stats.limit,
                   "processes to show, busiest first; 0: all (default 20)");
  add(add_check(app, o.check), [&o] { return check(o.check); });
  add_reading(add_plan(app, o.plan), [&o] { return plan(o.plan); });
  add_reading(add_maps(app, o.maps), [&o] { return maps(o.maps); });
  add_reading(add_export(app, o.exporting), [&o] { return export_log(o.exporting); });
  add_reading(add_report(app, o.report), [&o] { return report(o.report); });
  add(add_follow(app, o.follow), [&o] { return follow(o.follow); });
  add(add_run(app, o.run), [&o] { return run(o.run); });
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
