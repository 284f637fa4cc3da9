// SPDX-License-Identifier: MIT
//
// The command line as plain facts, read off the parser's own tree: what the manual page and the
// completions are made from.
#pragma once
#include <string>
#include <vector>

namespace ovc {

struct OptionDoc {
  std::vector<std::string> names;    // "-o", "--log"
  std::string value;                 // "FILE"; empty: a flag
  std::vector<std::string> choices;  // the values it takes, if they can be listed
  std::string help;
};

struct CommandDoc {
  std::string name, help;
  std::string synopsis;                 // behind "ovc NAME": "[OPTIONS] [LOG]"
  std::string argument, argument_help;  // "LOG"; empty: it takes none
  std::vector<std::string> argument_choices;
  std::vector<OptionDoc> options;
  std::string notes;
};

std::vector<CommandDoc> command_docs();
std::vector<OptionDoc> common_options();  // of ovc itself, before any command

}  // namespace ovc
