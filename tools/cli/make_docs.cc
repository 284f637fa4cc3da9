// SPDX-License-Identifier: MIT
//
// Run by the build: writes what is made from the command line's declaration. make_docs KIND FILE
#include <cstdio>
#include <fstream>
#include <string_view>

#include "tools/cli/docs_text.h"

namespace {

struct Document {
  std::string_view kind;
  std::string (*make)();
};
constexpr Document kDocuments[] = {
    {"ovc.1", ovc::reader_page},        {"libovcshim.7", ovc::shim_page},
    {"ovc.bash", ovc::bash_completion}, {"_ovc", ovc::zsh_completion},
    {"ovc.fish", ovc::fish_completion},
};

}  // namespace

int main(int argc, char** argv) {
  for (const Document& document : kDocuments) {
    if (argc != 3 || document.kind != argv[1]) continue;
    const std::string text = document.make();
    std::ofstream file(argv[2], std::ios::binary);
    file << text << std::flush;
    return file ? 0 : 1;
  }
  fputs("usage: make_docs (ovc.1 | libovcshim.7 | ovc.bash | _ovc | ovc.fish) FILE\n", stderr);
  return 2;
}
