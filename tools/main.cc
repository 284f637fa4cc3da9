// SPDX-License-Identifier: MIT
//
// ovc: reads what libovcshim.so recorded. The one place where errors are caught, and the exit status: 0 nothing found wrong,
// 1 something found (a refused call), 2 could not do the work.
#include <fmt/format.h>
#include <signal.h>

#include <cerrno>
#include <cstdio>

#include "tools/command_line.h"
#include "tools/first_contact.h"
#include "tools/log_reader.h"
#include "tools/output.h"

namespace {

using namespace ovc;

int parse_and_run(int argc, char** argv) {
  if (argc < 2) return welcome();
  Options options;
  argc = cut_run_command(argc, argv, options.run.command);
  CLI::App app;
  std::function<int()> work;
  declare_command_line(app, options, work);
  check_command_name(app, argv[1]);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    throw Error(misuse_text(app, {argv + 1, argv + argc}, error));
  }
  return work ? work() : 0;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  try {
    const int status = parse_and_run(argc, argv);
    if (fflush(stdout) != 0 && errno != EPIPE) throw Error("cannot write to standard output");
    return status;
  } catch (const std::exception& error) {
    if (is_closed_pipe(error)) return 0;
    fmt::print(stderr, "ovc: {}\n", error.what());
    return 2;
  }
}
