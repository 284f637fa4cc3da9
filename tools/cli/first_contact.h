// SPDX-License-Identifier: MIT
//
// What ovc says without arguments, for `ovc help`, and to words it does not understand. Every
// answer names what to type next.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace ovc {

// `ovc` alone: the newest log here, if there is one, and the commands for it; else how to make one.
int welcome();

// `ovc help [COMMAND|TOPIC]`. Throws Error if there is none of that name.
int help(const std::string& topic);
std::string topic_names();  // "environment, logs, ..."

// Throws Error if `word` is neither an option nor a command; says which was probably meant.
void check_command_name(const CLI::App& app, const std::string& word);
// What the parser said about `arguments`, and what was probably meant.
std::string misuse_text(const CLI::App& app, const std::vector<std::string>& arguments,
                        const CLI::ParseError& error);

}  // namespace ovc
