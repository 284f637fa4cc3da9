// SPDX-License-Identifier: MIT
//
// Folded stacks for flame graphs: who had the process grow. One line for each stack, outermost
// function first, with the sum of what its memory calls gained: commit charge, bytes of address
// space, or how many gained anything.
#include <fmt/format.h>

#include <map>

#include "tools/export/export_file.h"
#include "tools/export/export_formats.h"
#include "tools/export/export_rows.h"
#include "tools/log/log_reader.h"

namespace ovc {
namespace {

// ';' and the last blank separate.
void append_folded(std::string& out, std::string_view raw) {
  for (const char c : escaped(raw)) out += c == ';' ? ':' : c == ' ' ? '_' : c;
}

std::string folded(const ExportRow& row) {
  std::string line;
  append_folded(line, row.process ? row.process->comm() : "unknown process");
  if (row.stack) {
    for (size_t i = row.stack->frames.size(); i-- > 0;) {
      const Frame& frame = row.stack->frames[i];
      if (frame.module.starts_with("libovcshim")) continue;
      line += ';';
      append_folded(line, frame.function.empty() ? row.stack->texts[i] : frame.function);
    }
  } else if (!row.caller.empty()) {
    line += ';';
    append_folded(line, row.caller);
  }
  line += ';';
  line += op_name(row.op);
  return line;
}

class Folded {
 public:
  explicit Folded(const std::string& weight)
      : by_charge_(weight == "charge"), by_count_(weight == "count") {}

  void take(const ExportRow& row) {
    if (!row.size_change_bytes) return;
    if (by_charge_ && !row.charge_change_bytes) ++not_known_;
    const int64_t gained =
        by_charge_ ? row.charge_change_bytes.value_or(0) : *row.size_change_bytes;
    if (gained > 0) sums_[folded(row)] += by_count_ ? 1 : static_cast<uint64_t>(gained);
  }
  const std::map<std::string, uint64_t>& sums() const { return sums_; }
  uint64_t not_known() const { return not_known_; }

 private:
  bool by_charge_, by_count_;
  uint64_t not_known_ = 0;
  std::map<std::string, uint64_t> sums_;
};

}  // namespace

void export_folded(const LogReader& log, const ExportOptions& options) {
  const ExportSource source(log, options.host);
  ExportText out(options.output);
  ExportWalk walk(log, source);
  Folded stacks(options.weight);
  walk.walk([&](const ExportRow& row) { stacks.take(row); }, false);
  for (const auto& [stack, sum] : stacks.sums())
    out.text() += fmt::format("{} {}\n", stack, sum), out.done();
  out.finish();
  if (stacks.not_known() != 0)
    fmt::print(
        stderr,
        "ovc: left out: {} calls whose charge the log does not tell (--weight bytes has them)\n",
        stacks.not_known());
}

}  // namespace ovc
