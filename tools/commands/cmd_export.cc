// SPDX-License-Identifier: MIT
//
// `ovc export`: the table of formats.
#include "tools/commands/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "tools/export/export_formats.h"
#include "tools/log/log_reader.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

struct Format {
  std::string_view name;
  void (*write)(const LogReader&, const ExportOptions&);
  bool text, has_calls;  // goes to standard output; knows --calls
};
constexpr Format kFormats[] = {
    {"json", export_json, true, true},      {"csv", export_csv, true, true},
    {"sqlite", export_sqlite, false, true}, {"perfetto", export_trace, true, false},
    {"folded", export_folded, true, false}, {"openmetrics", export_openmetrics, true, false},
};

const Format& format_named(std::string_view name) {
  const auto* found = std::find_if(std::begin(kFormats), std::end(kFormats),
                                   [&](const Format& f) { return f.name == name; });
  if (found == std::end(kFormats)) throw Error(fmt::format("unknown format: {}", escaped(name)));
  return *found;
}

}  // namespace

int export_log(const ExportOptions& options) {
  const Format& format = format_named(options.to);
  if (!format.text && options.output.empty())
    throw Error(fmt::format("--to {} needs a file: -o FILE", format.name));
  if (options.calls && !format.has_calls)
    throw Error(fmt::format("--to {} does not take --calls", format.name));
  const LogReader log(log_or_newest(options.log));
  format.write(log, options);
  return 0;
}

}  // namespace ovc
