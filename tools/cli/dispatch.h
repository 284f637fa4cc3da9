// SPDX-License-Identifier: MIT
//
// From the words of a command line to the command.
#pragma once

namespace ovc {

// Parses and runs; the exit status. Throws Error for words that it does not understand, and what
// the command throws.
int parse_and_run(int argc, char** argv);

}  // namespace ovc
