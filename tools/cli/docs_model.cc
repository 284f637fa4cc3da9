// SPDX-License-Identifier: MIT
#include "tools/cli/docs_model.h"

#include <fmt/format.h>

#include "tools/cli/command_line.h"
#include "tools/log/names.h"

namespace ovc {
namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(at, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// "{all,fork,none}" is how a value that must be one of these is written.
std::vector<std::string> choices_of(const std::string& value) {
  if (value.starts_with('{') && value.ends_with('}'))
    return split(value.substr(1, value.size() - 2), ',');
  return value == kOpsValue ? op_and_family_names() : std::vector<std::string>{};
}

OptionDoc option_doc(const CLI::Option& option) {
  OptionDoc doc;
  for (const std::string& name : option.get_snames()) doc.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) doc.names.push_back("--" + name);
  doc.value = option.get_option_text();
  doc.choices = choices_of(doc.value);
  doc.help = option.get_description();
  return doc;
}

std::vector<OptionDoc> options_of(const CLI::App& app) {
  std::vector<OptionDoc> docs;
  for (const CLI::Option* option : app.get_options())
    if (option->nonpositional() && option != app.get_help_ptr())
      docs.push_back(option_doc(*option));
  return docs;
}

// `ovc run` cuts its command off before the parser sees it, so its footer tells the synopsis: "ovc
// run [OPTIONS] -- ...".
CommandDoc command_doc(const CLI::App& command) {
  CommandDoc doc;
  doc.name = command.get_name();
  doc.help = command.get_description();
  doc.options = options_of(command);
  doc.synopsis = doc.options.empty() ? "" : "[OPTIONS]";
  for (const CLI::Option* option : command.get_options())
    if (option->get_positional()) {
      doc.argument = option->get_name(true);
      doc.argument_help = option->get_description();
      doc.synopsis += fmt::format("{}[{}]", doc.synopsis.empty() ? "" : " ", doc.argument);
    }
  const std::string footer = command.get_footer(), own = fmt::format("ovc {} ", doc.name);
  if (footer.starts_with(own)) doc.synopsis = footer.substr(own.size());
  else doc.notes = footer;
  return doc;
}

// A parser that lives as long as the facts are read off it.
struct Tree {
  CLI::App app;
  Options options;
  std::function<int()> work;
  Tree() { declare_command_line(app, options, work); }
  std::vector<const CLI::App*> commands() const {
    return std::as_const(app).get_subcommands([](const CLI::App*) { return true; });
  }
};

}  // namespace

std::vector<CommandDoc> command_docs() {
  const Tree tree;
  std::vector<CommandDoc> docs;
  for (const CLI::App* command : tree.commands()) docs.push_back(command_doc(*command));
  for (CommandDoc& doc : docs)
    if (doc.name == "help")
      for (const CommandDoc& other : docs) doc.argument_choices.push_back(other.name);
  return docs;
}

std::vector<OptionDoc> common_options() {
  const Tree tree;
  std::vector<OptionDoc> docs = options_of(tree.app);
  docs.insert(docs.begin(), option_doc(*tree.app.get_help_ptr()));
  return docs;
}

}  // namespace ovc
