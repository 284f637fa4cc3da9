// SPDX-License-Identifier: MIT
//
// `ovc export`: what is recorded, for other tools.
#pragma once
#include <string>

namespace ovc {

struct ExportOptions {
  std::string log;
  std::string to;                 // a name of kFormats, cmd_export.cc
  std::string output;             // empty: standard output
  std::string host;               // empty: this machine's name if it still runs the boot that is recorded, else not known
  std::string null;               // csv: what stands for a value that is not known
  std::string weight = "charge";  // folded: charge, bytes, count
  bool calls = false;             // with the call lane: json, csv, sqlite
};
int export_log(const ExportOptions& options);

}  // namespace ovc
