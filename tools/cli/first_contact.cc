// SPDX-License-Identifier: MIT
#include "tools/cli/first_contact.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "tools/cli/command_line.h"
#include "tools/cli/manual.h"
#include "tools/log/log_reader.h"
#include "tools/symbols/executable.h"
#include "tools/text/output.h"
#include "tools/text/spelling.h"

namespace ovc {
namespace {

constexpr size_t kTextWidth = 100;

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

std::vector<std::string> topics() {
  std::vector<std::string> names{kEnvironmentTopic};
  for (const auto& manual : {reader_manual(), shim_manual()})
    for (const ManualSection& section : manual)
      if (section.topic) names.emplace_back(section.topic);
  return names;
}

// Empty if there is no such topic.
std::string topic_text(const std::string& topic) {
  if (topic == kEnvironmentTopic) return environment_text(kTextWidth);
  for (const auto& manual : {reader_manual(), shim_manual()})
    for (const ManualSection& section : manual)
      if (section.topic && topic == section.topic) return section_text(section.text, kTextWidth);
  return {};
}

const CLI::App* command_named(const CLI::App& app, const std::string& name) {
  const auto found =
      app.get_subcommands([&](const CLI::App* command) { return command->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// The first argument that looks like an option and is none of the command's; without its value.
std::string unknown_option(const CLI::App& command, const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    const std::string name = argument.substr(0, argument.find('='));
    if (name == "--") break;
    if (name.size() > 1 && name[0] == '-' && !command.get_option_no_throw(name)) return name;
  }
  return {};
}

bool is_log_name(const std::string& word) {
  struct stat info {};
  return stat(word.c_str(), &info) == 0 && S_ISREG(info.st_mode) && word.ends_with(".ovc");
}

void append_rows(std::string& out,
                 std::initializer_list<std::pair<std::string_view, std::string_view>> rows) {
  for (const auto& [command, what] : rows) out += fmt::format("  {:<26}{}\n", command, what);
}

}  // namespace

int welcome() {
  Out out;
  out.text() =
      "ovc says which fork, mmap or malloc was refused, and why, from what libovcshim.so "
      "recorded.\n\n";
  const std::string log = newest_log_if_any();
  struct stat info {};
  if (!log.empty() && stat(log.c_str(), &info) == 0) {
    out.text() += fmt::format("The newest log: {} ({}, last written {})\n", escaped(log),
                              size_text(static_cast<uint64_t>(info.st_size)),
                              date_text(info.st_mtim.tv_sec * 1'000'000'000));
    append_rows(out.text(),
                {{"ovc why", "what was refused in it, and why; who was killed"},
                 {"ovc forks", "each fork: who asked, how long it took, how the child ended"},
                 {"ovc show --failed", "the records, one line each"},
                 {"ovc stats", "exact totals, and what the log cannot see"}});
    out.text() += "Another one:\n";
  } else {
    out.text() += "There is no log here or in /var/tmp yet. To make one:\n";
  }
  append_rows(out.text(), {{"ovc run -- COMMAND",
                            "runs COMMAND, records it, and says why if something is refused"}});
  out.text() += "Without a log:\n";
  append_rows(out.text(),
              {{"ovc check NAME|PID", "would a fork of this running process pass now?"}});
  out.text() += "All commands: ovc help     One of them: ovc help why     Manual: man ovc\n";
  out.flush();
  return 0;
}

std::string topic_names() { return fmt::format("{}", fmt::join(topics(), ", ")); }

int help(const std::string& topic) {
  CLI::App app;  // a fresh one: that which parsed the command line shows the help of the command
                 // `help` only
  Options options;
  std::function<int()> work;
  declare_command_line(app, options, work);
  Out out;
  if (topic.empty()) out.text() = app.help();
  else if (const CLI::App* command = command_named(app, topic))
    out.text() = command->help(app.get_name());
  else out.text() = topic_text(topic);
  if (out.text().empty()) {
    std::vector<std::string> names = command_names(app);
    for (const std::string& name : topics()) names.push_back(name);
    throw Error(fmt::format("no help on '{}'{}; ovc help names all commands and topics",
                            escaped(topic), did_you_mean(topic, names)));
  }
  out.flush();
  return 0;
}

void check_command_name(const CLI::App& app, const std::string& word) {
  if (word.starts_with('-') || command_named(app, word)) return;
  if (is_log_name(word))
    throw Error(fmt::format("{} is a log, not a command; to read it: ovc why {}", escaped(word),
                            escaped(word)));
  std::string hint = did_you_mean(word, command_names(app));
  if (hint.empty() && !find_program(word).empty())
    hint = fmt::format(" (to record that program: ovc run -- {})", escaped(word));
  throw Error(fmt::format("no command is named '{}'{}; see ovc help", escaped(word), hint));
}

std::string misuse_text(const CLI::App& app, const std::vector<std::string>& arguments,
                        const CLI::ParseError& error) {
  const CLI::App* command = arguments.empty() ? nullptr : command_named(app, arguments.front());
  const std::string name = command ? "ovc " + command->get_name() : "ovc";
  if (dynamic_cast<const CLI::ExtrasError*>(&error)) {
    const std::string unknown = unknown_option(command ? *command : app, arguments);
    if (!unknown.empty())
      return fmt::format("{} has no option {}{}; see {} --help", name, escaped(unknown),
                         did_you_mean(unknown, option_names(command ? *command : app)), name);
  }
  return fmt::format("{}; see {} --help", escaped(error.what()), name);
}

}  // namespace ovc
