// SPDX-License-Identifier: MIT
//
// See cmd_why.h: opens the log, asks the machine what it still knows, prints.
#include "tools/commands/commands.h"

#include "tools/log/log_reader.h"
#include "tools/text/output.h"
#include "tools/verdict/why_report.h"

namespace ovc {

int why(const WhyOptions& options) {
  const LogReader log(options.log.empty() ? newest_log() : options.log);
  const WhyReport report = why_report(log, host_now());
  Out out;
  out.text() += options.json ? why_json(log, report) : why_text(log, report, options.all);
  out.flush();
  return report.found() ? 1 : 0;
}

}  // namespace ovc
