// SPDX-License-Identifier: MIT
//
// The text of gauges, good for OpenMetrics and for the older Prometheus format. OpenMetrics wants
// TYPE, UNIT and HELP before the samples of a family, those together, and # EOF at the end; the
// older format takes UNIT and EOF as comments.
#pragma once
#include <string>
#include <string_view>

namespace ovc {

void append_metric_head(std::string& out, std::string_view name, std::string_view unit,
                        std::string_view help);
void append_metric_sample(std::string& out, std::string_view name, std::string_view labels,
                          double value);  // labels: {a="b"} or nothing
std::string metric_label(
    std::string_view raw);  // a label's value: printable, without what would end it

}  // namespace ovc
