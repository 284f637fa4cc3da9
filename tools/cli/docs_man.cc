// SPDX-License-Identifier: MIT
//
// Manual pages in man(7) macros, which groff and mandoc both read.
#include <fmt/format.h>

#include <string_view>

#include "shim/format/version.h"
#include "tools/cli/docs_model.h"
#include "tools/cli/docs_text.h"
#include "tools/cli/manual.h"

namespace ovc {
namespace {

// Text as it shall be seen: no backslash is an escape, no hyphen is broken or made a dash, no first
// character is a request.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c == '\\') out += "\\e";
    else if (c == '-') out += "\\-";
    else if (c == '\'') out += "\\(aq";
    else if (c == '^') out += "\\(ha";
    else if (c == '~') out += "\\(ti";
    else out += c;
  for (size_t at = 0; (at = out.find("...", at)) != out.npos; at += 5)
    out.insert(at + 3, "\\&");  // no end of a sentence
  return out.starts_with('.') ? "\\&" + out : out;
}

std::string bold(std::string_view text) { return fmt::format("\\fB{}\\fR", roff(text)); }

// Source lines of at most 80 columns, a new one behind each sentence, as the readers of man(7) want
// them.
std::string lines(std::string_view text) {
  constexpr size_t kWidth = 78;
  std::string out;
  for (size_t column = 0; !text.empty();) {
    const size_t end = text.find_first_of(" \n");
    std::string word(text.substr(0, end));
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
    if (word.empty()) continue;
    if (column > 0 && (column + 1 + word.size() > kWidth || out.ends_with('.'))) {
      out += '\n';
      column = 0;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    if (column == 0 && word.starts_with('.')) word.insert(0, "\\&");
    out += word;
    column += word.size();
  }
  return out;
}

// `this` becomes bold.
std::string marked(std::string_view text) {
  std::string out;
  for (bool literal = false; !text.empty(); literal = !literal) {
    const size_t end = text.find('`');
    const std::string_view part = text.substr(0, end);
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
    if (!part.empty()) out += literal ? bold(part) : roff(part);
  }
  return out;
}

void add_item(std::string& out, const std::string& head, const std::string& body) {
  out += ".TP\n" + head + '\n' + lines(body) + '\n';
}

// A list item's first word is its head if it is marked: "- `0` nothing found wrong".
void add_list_item(std::string& out, std::string_view line) {
  const size_t end = line.starts_with('`') ? line.find('`', 1) : line.npos;
  if (end == line.npos) out += ".IP \\(bu 2\n" + lines(marked(line)) + '\n';
  else add_item(out, bold(line.substr(1, end - 1)), marked(line.substr(end + 2)));
}

void add_body(std::string& out, std::string_view text) {
  enum class Where { kSection, kParagraph, kList, kLiteral } where = Where::kSection;
  const auto enter = [&](Where to) {
    if (where == to) return;
    if (where == Where::kLiteral) out += ".EE\n.RE\n";
    if (to == Where::kLiteral) out += ".PP\n.RS 4\n.EX\n";
    if (to == Where::kParagraph && where != Where::kSection) out += ".PP\n";
    where = to;
  };
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
    if (line.empty()) continue;
    if (line.starts_with("  ")) {
      enter(Where::kLiteral);
      out += roff(line.substr(2)) + '\n';
    } else if (line.starts_with("- ")) {
      enter(Where::kList);
      add_list_item(out, line.substr(2));
    } else {
      if (where == Where::kParagraph) out += ".PP\n";
      enter(Where::kParagraph);
      out += lines(marked(line)) + '\n';
    }
  }
  enter(Where::kSection);
}

void add_sections(std::string& out, std::span<const ManualSection> sections) {
  for (const ManualSection& section : sections) {
    out += fmt::format(".SH {}\n", section.title);
    add_body(out, section.text);
  }
}

void add_option(std::string& out, const OptionDoc& option) {
  std::string head;
  for (const std::string& name : option.names) head += (head.empty() ? "" : ", ") + bold(name);
  if (!option.value.empty()) head += fmt::format(" \\fI{}\\fR", roff(option.value));
  add_item(out, head, roff(option.help));
}

void add_command(std::string& out, const CommandDoc& command) {
  out += fmt::format(".SS \"ovc {} {}\"\n{}.\n", roff(command.name), roff(command.synopsis),
                     lines(roff(command.help)));
  if (!command.argument.empty())
    add_item(out, fmt::format("\\fI{}\\fR", roff(command.argument)), roff(command.argument_help));
  for (const OptionDoc& option : command.options) add_option(out, option);
  if (!command.notes.empty()) out += ".PP\n" + lines(roff(command.notes)) + '\n';
}

std::string title(std::string_view name, char section, std::string_view group) {
  return fmt::format(
      ".\\\" Made by tools/cli/make_docs.cc from the command line and tools/cli/manual.cc.\n"
      ".TH {} {} {} \"ovcshim {}\" \"{}\"\n",
      name, section, ovcshim::kReleaseDate, ovcshim::kVersion, group);
}

}  // namespace

std::string reader_page() {
  std::string out = title("OVC", '1', "User Commands");
  out += ".SH NAME\novc \\- which fork, mmap or malloc was refused, and why\n.SH SYNOPSIS\n";
  const auto commands = command_docs();
  for (const CommandDoc& command : commands)
    out += fmt::format("{}.B ovc {}\n{}\n", &command == &commands.front() ? "" : ".br\n",
                       roff(command.name), roff(command.synopsis));
  out += ".SH DESCRIPTION\n";
  out +=
      "ovc reads what\n.BR libovcshim (7)\nrecorded in a program: which fork, mmap or malloc was "
      "refused, and why.\n.SH OPTIONS\n";
  for (const OptionDoc& option : common_options()) add_option(out, option);
  out += ".SH COMMANDS\n";
  for (const CommandDoc& command : commands) add_command(out, command);
  add_sections(out, reader_manual());
  return out;
}

std::string shim_page() {
  std::string out = title("LIBOVCSHIM", '7', "Miscellaneous");
  out += ".SH NAME\nlibovcshim \\- flight recorder for fork, mmap and malloc\n.SH SYNOPSIS\n";
  out += fmt::format("{}\n.I COMMAND\n.br\n{}\n.I COMMAND\n", bold("LD_PRELOAD=libovcshim.so"),
                     bold("ovc run --"));
  const auto sections = shim_manual();
  add_sections(out, sections.first(1));
  out += ".SH ENVIRONMENT\n";
  for (const EnvironmentVariable& variable : environment())
    add_item(out, marked(variable.names),
             fmt::format("{} (default: {})", marked(variable.meaning), marked(variable.initial)));
  out += ".PP\n";
  add_body(out, environment_notes());
  add_sections(out, sections.subspan(1));
  return out;
}

}  // namespace ovc
