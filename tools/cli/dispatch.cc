// SPDX-License-Identifier: MIT
#include "tools/cli/dispatch.h"

#include "tools/cli/command_line.h"
#include "tools/cli/first_contact.h"
#include "tools/text/error.h"

namespace ovc {

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

}  // namespace ovc
