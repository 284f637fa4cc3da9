// SPDX-License-Identifier: MIT
//
// One function for each format of `ovc export`. They write all of the export or throw.
#pragma once
#include <string>
#include <string_view>

namespace ovc {

class LogReader;

// `ovc export`: what is to be written.
struct ExportOptions {
  std::string log;
  std::string to;      // a name of kFormats, cmd_export.cc
  std::string output;  // empty: standard output
  std::string host;  // empty: this machine's name if it still runs the boot that is recorded, else
                     // not known
  std::string null;  // csv: what stands for a value that is not known
  std::string weight = "charge";  // folded: charge, bytes, count, small
  bool calls = false;             // with the call lane: json, csv, sqlite
};

void export_json(const LogReader& log, const ExportOptions& options);
void export_csv(const LogReader& log, const ExportOptions& options);
void export_sqlite(const LogReader& log, const ExportOptions& options);
void export_trace(const LogReader& log, const ExportOptions& options);
void export_folded(const LogReader& log, const ExportOptions& options);
void export_openmetrics(const LogReader& log, const ExportOptions& options);

// A JSON string, quotes included; ASCII only, bytes that are not UTF-8 replaced.
void append_json_string(std::string& out, std::string_view raw);

}  // namespace ovc
