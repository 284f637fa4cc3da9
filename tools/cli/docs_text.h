// SPDX-License-Identifier: MIT
//
// The manual pages and the completions of three shells, as text. Same program, same bytes: no date
// of the build in it.
#pragma once
#include <string>

namespace ovc {

std::string reader_page();  // ovc(1)
std::string shim_page();    // libovcshim(7)

std::string bash_completion();
std::string zsh_completion();
std::string fish_completion();

}  // namespace ovc
