// SPDX-License-Identifier: MIT
//
// ovc: reads what libovcshim.so recorded. The one place where errors are caught, and the exit
// status: 0 nothing found wrong, 1 something found (a refused call), 2 could not do the work.
#include <fmt/format.h>
#include <signal.h>

#include <cerrno>
#include <cstdio>

#include "tools/cli/dispatch.h"
#include "tools/text/error.h"
#include "tools/text/output.h"

using namespace ovc;

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
