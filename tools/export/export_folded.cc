// SPDX-License-Identifier: MIT
//
// Folded stacks for flame graphs: who had the process grow. One line for each stack, outermost
// function first, with the sum of what its memory calls gained: commit charge, bytes of address
// space, or how many gained anything. From the exact totals by stack; of a log without them from
// its records. Or what small mallocs asked for, estimated from samples.
#include <fmt/format.h>

#include <map>

#include "tools/export/export_file.h"
#include "tools/export/export_formats.h"
#include "tools/export/export_rows.h"
#include "tools/log/log_reader.h"
#include "tools/replay/holders.h"
#include "tools/replay/image_names.h"
#include "tools/replay/small_requests.h"

namespace ovc {
namespace {

// ';' and the last blank separate.
void append_folded(std::string& out, std::string_view raw) {
  for (const char c : escaped(raw)) out += c == ';' ? ':' : c == ' ' ? '_' : c;
}

void append_stack(std::string& line, const ExportStack& stack) {
  for (size_t i = stack.frames.size(); i-- > 0;) {
    const Frame& frame = stack.frames[i];
    if (frame.module.starts_with("libovcshim")) continue;
    line += ';';
    append_folded(line, frame.function.empty() ? stack.texts[i] : frame.function);
  }
}

std::string folded(std::string_view program, const ExportStack* stack, std::string_view caller,
                   Op op) {
  std::string line;
  append_folded(line, program);
  if (stack) {
    append_stack(line, *stack);
  } else if (!caller.empty()) {
    line += ';';
    append_folded(line, caller);
  }
  line += ';';
  line += op_name(op);
  return line;
}

class Folded {
 public:
  explicit Folded(const std::string& weight)
      : by_charge_(weight == "charge"), by_count_(weight == "count") {}

  void take(const ExportRow& row) {
    if (!row.size_change_bytes) return;
    if (by_charge_ && !row.charge_change_bytes) ++calls_not_known_;
    const int64_t gained =
        by_charge_ ? row.charge_change_bytes.value_or(0) : *row.size_change_bytes;
    if (gained <= 0) return;
    const std::string program = row.process ? row.process->comm() : "unknown process";
    sums_[folded(program, row.stack, row.caller, row.op)] +=
        by_count_ ? 1 : static_cast<uint64_t>(gained);
  }

  void take(const LogReader& log, const Growers& growers) {
    Names names(log);
    for (const StackSum& sum : growers.stacks) {
      const Bounds charged = sum.charged();
      const uint64_t gained = by_charge_  ? charged.low * 1024
                              : by_count_ ? sum.mapping_calls
                                          : sum.mapped_kb * 1024;
      if (by_charge_) kb_not_known_ += charged.high - charged.low;
      if (gained == 0 || (by_count_ && sum.op == Op::kMprotect)) continue;
      sums_[names.line(sum.stack, sum.op)] += gained;
    }
  }

  void take(const LogReader& log, const SmallRequests& small) {
    Names names(log);
    for (const SmallAsker& asker : small.askers)
      sums_[names.line(asker.stack, asker.op)] += small.bytes(asker.samples);
  }

  const std::map<std::string, uint64_t>& sums() const { return sums_; }
  std::string not_known() const {
    if (calls_not_known_ == 0 && kb_not_known_ == 0) return {};
    return calls_not_known_ != 0 ? fmt::format("{} calls", calls_not_known_)
                                 : fmt::format("{} kB", kb_not_known_);
  }

 private:
  class Names {
   public:
    explicit Names(const LogReader& log)
        : growth_(log), programs_(log), symbols_(log), stacks_(symbols_) {}
    std::string line(uint32_t stack, Op op) {
      const auto known = growth_.stack(stack);
      return folded(programs_.of(known ? known->image : 0), known ? stacks_.of(*known) : nullptr,
                    "(no room for its stack)", op);
    }

   private:
    GrowthLog growth_;
    ImageNames programs_;
    Symbols symbols_;
    ExportStacks stacks_;
  };
  bool by_charge_, by_count_;
  uint64_t calls_not_known_ = 0, kb_not_known_ = 0;
  std::map<std::string, uint64_t> sums_;
};

}  // namespace

void export_folded(const LogReader& log, const ExportOptions& options) {
  ExportText out(options.output);
  Folded stacks(options.weight);
  const bool small = options.weight == "small";
  const auto totals = small ? std::nullopt : growers(log);
  if (small) {
    if (const auto found = small_requests(log)) stacks.take(log, *found);
  } else if (totals) {
    stacks.take(log, *totals);
  } else {
    const ExportSource source(log, options.host);
    ExportWalk walk(log, source);
    walk.walk([&](const ExportRow& row) { stacks.take(row); }, false);
  }
  for (const auto& [stack, sum] : stacks.sums())
    out.text() += fmt::format("{} {}\n", stack, sum), out.done();
  out.finish();
  if (const std::string missing = stacks.not_known(); !missing.empty())
    fmt::print(stderr,
               "ovc: left out: {} whose charge the log does not tell (--weight bytes has them)\n",
               missing);
  if (totals && totals->rows_missing != 0)
    fmt::print(stderr, "ovc: left out: {} calls for which the log's tables had no room\n",
               totals->rows_missing);
}

}  // namespace ovc
