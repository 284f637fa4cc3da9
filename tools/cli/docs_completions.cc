// SPDX-License-Identifier: MIT
//
// Completions for bash, zsh and fish: the commands, their options, the values that can be listed,
// logs and running processes.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "tools/cli/docs_model.h"
#include "tools/cli/docs_text.h"

namespace ovc {
namespace {

// What an argument or a value is completed with, by the name that the help gives it.
enum class Kind { kNothing, kLog, kFile, kProcess, kLogOrProcess };
Kind kind_of(std::string_view name) {
  const bool log = name.find("LOG") != name.npos, process = name.find("PID") != name.npos;
  if (log && process) return Kind::kLogOrProcess;
  return log              ? Kind::kLog
         : process        ? Kind::kProcess
         : name == "FILE" ? Kind::kFile
                          : Kind::kNothing;
}

template <typename Docs>
std::string names_of(const Docs& docs) {
  std::string names;
  for (const auto& doc : docs) names += (names.empty() ? "" : " ") + doc.name;
  return names;
}

std::string option_names(const std::vector<OptionDoc>& options) {
  std::string names;
  for (const OptionDoc& option : options)
    names += fmt::format("{}{}", names.empty() ? "" : " ", fmt::join(option.names, " "));
  return names;
}

// The first clause, without what the shells would take as theirs.
std::string brief(std::string_view help) {
  std::string text(help.substr(0, std::min(help.find(": "), help.find("; "))));
  std::erase_if(text, [](char c) {
    return std::string_view("'\"`[]\\$:").find(c) != std::string_view::npos;
  });
  return text;
}

// --- bash

const char* bash_action(Kind kind) {
  switch (kind) {
    case Kind::kLog: return "_ovc_logs";
    case Kind::kFile: return "_ovc_files";
    case Kind::kProcess: return "_ovc_processes";
    case Kind::kLogOrProcess: return "_ovc_logs; _ovc_processes";
    default: return ":";
  }
}

void add_bash_command(std::string& out, const CommandDoc& command) {
  out += fmt::format("    {})\n      case $before in\n", command.name);
  for (const OptionDoc& option : command.options) {
    if (option.value.empty()) continue;
    const std::string action =
        option.choices.empty() ? bash_action(kind_of(option.value))
                               : fmt::format("_ovc_words \"{}\"", fmt::join(option.choices, " "));
    out += fmt::format("        {}) {}; return ;;\n", fmt::join(option.names, " | "), action);
  }
  out += fmt::format("      esac\n      if [[ $word == -* ]]; then _ovc_words \"{} --help\"\n",
                     option_names(command.options));
  if (!command.argument_choices.empty())
    out += fmt::format("      else _ovc_words \"{}\"\n", fmt::join(command.argument_choices, " "));
  else if (!command.argument.empty())
    out += fmt::format("      else {}\n", bash_action(kind_of(command.argument)));
  out += "      fi ;;\n";
}

constexpr const char* kBashHelpers = R"sh(_ovc_words() {
  local made
  mapfile -t made < <(compgen -W "$1" -- "$word")
  COMPREPLY+=("${made[@]}")
}
_ovc_files() {
  local made
  mapfile -t made < <(compgen -f -- "$word")
  COMPREPLY+=("${made[@]}")
  compopt -o filenames
}
_ovc_logs() {
  local made
  mapfile -t made < <(compgen -f -X '!*.ovc' -- "$word"; compgen -d -- "$word")
  COMPREPLY+=("${made[@]}")
  compopt -o filenames
}
_ovc_processes() { _ovc_words "$(ps -eo pid= -eo comm=)";
}
)sh";

// `ovc run`: the command begins behind "--" or at the first word that is neither an option nor an
// option's value.
constexpr const char* kBashRun = R"sh(  if [[ $command == run ]]; then
    for ((i = at + 1; i < COMP_CWORD; i++)); do
      case ${COMP_WORDS[i]} in
        --) _ovc_offset $((i + 1)); return ;;
        --*=* | --help) ;;
        -*) if [[ ${COMP_WORDS[i + 1]-} == = ]]; then ((i++)); fi; ((i++)) ;;
        *) _ovc_offset "$i"; return ;;
      esac
    done
    if ((i == COMP_CWORD)) && [[ $word != -* ]]; then _ovc_offset "$i"; return; fi
  fi
)sh";
constexpr const char* kBashOffset = R"sh(_ovc_offset() {
  if declare -F _command_offset >/dev/null; then _command_offset "$1"; else mapfile -t COMPREPLY < <(compgen -c -- "$word"); fi
}
)sh";

}  // namespace

std::string bash_completion() {
  const auto commands = command_docs();
  std::string out = "# bash completion of ovc(1)                            -*- shell-script -*-\n";
  out += kBashHelpers;
  out += kBashOffset;
  out += R"sh(_ovc() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' at i
  COMPREPLY=()
  if [[ $word == = ]]; then word=''; elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD - 2]}; fi
  for ((at = 1; at < COMP_CWORD; at++)); do
    if [[ ${COMP_WORDS[at]} != -* ]]; then command=${COMP_WORDS[at]}; break; fi
  done
)sh";
  out += kBashRun;
  out += fmt::format("  case $command in\n    '') _ovc_words \"{} {}\" ;;\n", names_of(commands),
                     option_names(common_options()));
  for (const CommandDoc& command : commands) add_bash_command(out, command);
  out += "  esac\n}\ncomplete -F _ovc ovc\n";
  return out;
}

// --- zsh

namespace {

std::string zsh_value(const OptionDoc& option) {
  if (option.value.empty()) return "";
  std::string action;
  const Kind kind = kind_of(option.value);
  if (!option.choices.empty()) action = fmt::format("({})", fmt::join(option.choices, " "));
  else if (kind == Kind::kProcess) action = "_pids";
  else if (kind != Kind::kNothing) action = "_files";
  std::string value = option.value;
  std::erase_if(value, [](char c) { return c == '{' || c == '}' || c == ':'; });
  return fmt::format(":{}:{}", value, action);
}

const char* zsh_argument(Kind kind) {
  switch (kind) {
    case Kind::kLog: return R"sh(_files -g "*.ovc(-.)")sh";
    case Kind::kProcess: return R"sh(_alternative "p:process:_pids" "n:name:_process_names -a")sh";
    case Kind::kLogOrProcess:
      return R"sh(_alternative "l:log:_files -g \"*.ovc(-.)\"" "p:process:_pids")sh";
    default: return "";
  }
}

void add_zsh_command(std::string& out, const CommandDoc& command) {
  out += fmt::format("    {})\n      _arguments \\\n", command.name);
  for (const OptionDoc& option : command.options)
    for (const std::string& name : option.names)
      out += fmt::format("        '*{}{}[{}]{}' \\\n", name,
                         option.value.empty() || !name.starts_with("--") ? "" : "=",
                         brief(option.help), zsh_value(option));
  out += "        '--help[this help]'";
  if (command.name == "run") out += " \\\n        '*::command: _normal'";
  else if (!command.argument_choices.empty())
    out += fmt::format(" \\\n        '1:command:({})'", fmt::join(command.argument_choices, " "));
  else if (!command.argument.empty())
    out += fmt::format(" \\\n        '1:{}:{}'", command.argument,
                       zsh_argument(kind_of(command.argument)));
  out += " ;;\n";
}

}  // namespace

std::string zsh_completion() {
  const auto commands = command_docs();
  std::string out =
      "#compdef ovc\n# zsh completion of ovc(1)\nlocal -a commands\nlocal state line\ncommands=(\n";
  for (const CommandDoc& command : commands)
    out += fmt::format("  '{}:{}'\n", command.name, brief(command.help));
  out +=
      ")\n_arguments -C '(- *)--help[this help]' '(- *)--version[the version]' "
      "'1:command:->command' '*::argument:->argument' "
      "&& return\n";
  out +=
      "case $state in\n  command) _describe command commands ;;\n  argument)\n    case $words[1] "
      "in\n";
  for (const CommandDoc& command : commands) add_zsh_command(out, command);
  out += "    esac ;;\nesac\n";
  return out;
}

// --- fish

namespace {

std::string fish_names(const OptionDoc& option) {
  std::string names;
  for (const std::string& name : option.names)
    names += name.starts_with("--") ? fmt::format(" -l {}", name.substr(2))
                                    : fmt::format(" -s {}", name.substr(1));
  return names;
}

std::string fish_value(const OptionDoc& option) {
  if (option.value.empty()) return "";
  if (!option.choices.empty()) return fmt::format(" -x -a '{}'", fmt::join(option.choices, " "));
  switch (kind_of(option.value)) {
    case Kind::kProcess: return " -x -a '(__fish_complete_pids)'";
    case Kind::kNothing: return " -x";
    default: return " -r -F";
  }
}

void add_fish_command(std::string& out, const CommandDoc& command) {
  const std::string here =
      fmt::format("complete -c ovc -n '__fish_seen_subcommand_from {}'", command.name);
  for (const OptionDoc& option : command.options)
    out += fmt::format("{}{}{} -d '{}'\n", here, fish_names(option), fish_value(option),
                       brief(option.help));
  if (command.name == "run")
    out += fmt::format("{} -f -a '(__fish_complete_subcommand --fcs-skip=2)'\n", here);
  else if (!command.argument_choices.empty())
    out += fmt::format("{} -f -a '{}'\n", here, fmt::join(command.argument_choices, " "));
  const Kind kind = kind_of(command.argument);
  if (kind == Kind::kLog || kind == Kind::kLogOrProcess)
    out += here + " -k -a '(__fish_complete_suffix .ovc)'\n";
  if (kind == Kind::kProcess || kind == Kind::kLogOrProcess)
    out += here + " -f -a '(__fish_complete_pids)'\n";
}

}  // namespace

std::string fish_completion() {
  const auto commands = command_docs();
  const std::string first = "complete -c ovc -n '__fish_use_subcommand'";
  std::string out = "# fish completion of ovc(1)\ncomplete -c ovc -f\n";
  for (const OptionDoc& option : common_options())
    out += fmt::format("{}{} -d '{}'\n", first, fish_names(option), brief(option.help));
  for (const CommandDoc& command : commands)
    out += fmt::format("{} -a {} -d '{}'\n", first, command.name, brief(command.help));
  for (const CommandDoc& command : commands) add_fish_command(out, command);
  return out;
}

}  // namespace ovc
