// SPDX-License-Identifier: MIT
//
// One function for each format of `ovc export`. They write all of the export or throw.
#pragma once
#include <string>

#include "tools/cmd_export.h"
#include "tools/log_reader.h"

namespace ovc {

void export_json(const LogReader& log, const ExportOptions& options);
void export_csv(const LogReader& log, const ExportOptions& options);
void export_sqlite(const LogReader& log, const ExportOptions& options);
void export_trace(const LogReader& log, const ExportOptions& options);
void export_folded(const LogReader& log, const ExportOptions& options);
void export_openmetrics(const LogReader& log, const ExportOptions& options);

// A JSON string, quotes included; ASCII only, bytes that are not UTF-8 replaced.
void append_json_string(std::string& out, std::string_view raw);

}  // namespace ovc
