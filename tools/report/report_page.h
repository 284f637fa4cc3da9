// SPDX-License-Identifier: MIT
//
// A report as one HTML page that needs nothing else: no network, no other file. Its text stands in
// the HTML and reads without scripts; the charts are drawn by the page's own script from a JSON
// document inside it.
#pragma once
#include <string>

#include "tools/log/log_reader.h"
#include "tools/report/report_data.h"
#include "tools/text/json_fwd.h"

namespace ovc {

std::string report_page(const LogReader& log, ReportData& data);

// The parts: sections of HTML by name of their place in tools/report/page/page.html, and the
// charts' document.
std::map<std::string, std::string, std::less<>> report_sections(const LogReader& log,
                                                                ReportData& data);
std::map<std::string, std::string, std::less<>> report_tables(const LogReader& log,
                                                              ReportData& data);
Json report_charts(const LogReader& log, ReportData& data);

// Put into the program when it is built, see tools/report/page/embed.cmake.
extern const char* const kReportTemplate;
extern const char* const kReportStyle;
extern const char* const kReportScript;
extern const char* const kReportStyleHash;  // "sha256-...", for the page's own policy
extern const char* const kReportScriptHash;

}  // namespace ovc
