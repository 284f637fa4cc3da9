// SPDX-License-Identifier: MIT
//
// The command line of ovc: every command with its options and their help, declared once. ovc parses
// with it; its help, the manual page and the completions of the shells are made from it
// (tools/cli/make_docs.cc).
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "tools/commands/commands.h"

namespace ovc {

// How the values of --op are called in help; the completions know them by it.
inline constexpr char kOpsValue[] = "CALL,...";

struct HelpOptions {
  std::string topic;
};

struct Options {
  ShowOptions show;
  ForksOptions forks;
  StatsOptions stats;
  DiffOptions diff;
  RunOptions run;
  AttachOptions attach, detach;
  WhyOptions why;
  CheckOptions check;
  PlanOptions plan;
  MapsOptions maps;
  ExportOptions exporting;
  ReportOptions report;
  FollowOptions follow;
  HelpOptions help;
};

// Fills an empty `app`. Parsing puts what the options say into `options`, and the command that is
// named into `work`. All three must live as long as the app is used.
void declare_command_line(CLI::App& app, Options& options, std::function<int()>& work);

}  // namespace ovc
