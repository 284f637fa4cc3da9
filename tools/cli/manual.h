// SPDX-License-Identifier: MIT
//
// What the manual pages ovc(1) and libovcshim(7) say beside the commands and options, which are in
// command_line.cc; some of it is also what `ovc help TOPIC` shows. Light markup: paragraphs are
// separated by empty lines; a line that begins with "- " is an item of a list; lines that begin
// with two spaces are shown as they are; `this` is typed as it stands.
#pragma once
#include <span>
#include <string>

namespace ovc {

struct ManualSection {
  const char* topic;  // of `ovc help`; nullptr: in the manual page only
  const char* title;
  const char* text;
};
std::span<const ManualSection> reader_manual();  // ovc(1), behind the commands
std::span<const ManualSection> shim_manual();    // libovcshim(7), around the environment

// THE table of what the shim reads from the environment (tests/checks/docs.sh compares it with the
// shim's code), and what is to be said beneath it.
struct EnvironmentVariable {
  const char *names, *meaning, *initial;
};
std::span<const EnvironmentVariable> environment();
const char* environment_notes();
inline constexpr char kEnvironmentTopic[] = "environment";

// As plain text of at most `width` columns.
std::string section_text(const char* text, size_t width);
std::string environment_text(size_t width);

}  // namespace ovc
