// SPDX-License-Identifier: MIT
//
// The walk of export_rows.h: what is known of each record, put in one row.
#include "tools/export/export_rows.h"

#include <unistd.h>

#include <algorithm>

#include "tools/log/call_text.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

using namespace ovcshim;

std::string this_host() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

std::string file_name(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

std::optional<uint64_t> in_bytes(const std::optional<uint64_t>& kb) {
  return kb ? std::optional(*kb * 1024) : std::nullopt;
}
std::optional<int64_t> in_bytes(const std::optional<int64_t>& kb) {
  return kb ? std::optional(times(*kb, 1024)) : std::nullopt;
}

// An address that tells which memory this is about: what came back, else the one that was given.
std::string address_of(const Event& event, const OpInfo& info) {
  const bool returns_one = info.result == Result::kAddress || info.result == Result::kMapAddress;
  if (returns_one && event.returned() && !event.failed())
    return hex_text(static_cast<uint64_t>(event.base.result));
  for (const ArgInfo& arg : info.arguments())
    if (arg.kind == Arg::kAddress || arg.kind == Arg::kStored)
      return hex_text(event.base.args[arg.index]);
  return "";
}

}  // namespace

ExportSource::ExportSource(const LogReader& opened, const std::string& name)
    : host(name),
      boot_id(opened.header().boot_id),
      log(file_name(opened.path())),
      page_bytes(opened.header().page_size) {
  if (host.empty() && same_boot(opened, host_now())) host = this_host();
}

ExportWalk::ExportWalk(const LogReader& log, const ExportSource& source)
    : log_(log),
      source_(source),
      symbols_(log),
      stacks_(symbols_),
      scan_(log),
      verdicts_(find_verdicts(log, scan_, symbols_)),
      growth_(growth_by_call(log)),
      rules_(host_rules(log.header())) {
  for (const Verdict& verdict : verdicts_)
    for (const uint64_t position : verdict.positions) causes_[position] = verdict.finding.cause;
  for (Process& process : log.processes()) {
    const ProcessId id{process.index, process.slot.serial};
    processes_.emplace(id, std::move(process));
  }
}

const Process* ExportWalk::process(uint32_t index, uint32_t serial) const {
  const auto place = processes_.find({index, serial});
  return place == processes_.end() ? nullptr : &place->second;
}

void ExportWalk::walk(const EachRow& each, bool with_calls) {
  Timeline timeline(log_, symbols_);
  const auto on_event = [&](const Event& event, const EventPlace& place) {
    fill(event, place);
    each(row_);
    return true;
  };
  const auto on_call = [&](const Call& call, uint64_t tick) {
    fill(call, tick);
    each(row_);
    return true;
  };
  timeline.walk(on_event, with_calls ? Timeline::EachCall(on_call) : nullptr);
}

void ExportWalk::set_time(uint64_t tick) {
  row_.time_ns = log_.posix_ns(tick);
  if (tick != tick_ || time_.empty()) time_ = iso_text(row_.time_ns), tick_ = tick;
  row_.time = time_;
}

const std::string& ExportWalk::caller_text(uint32_t image, uint64_t caller) {
  Caller& kept = callers_[(caller ^ caller >> 8 ^ image) % kCallers];
  if (kept.address != caller || kept.image != image)
    kept = {caller, image, symbols_.resolve(image, caller).back().text()};
  return kept.text;
}

void ExportWalk::fill(const Event& event, const EventPlace& place) {
  const EventBase& b = event.base;
  row_ = ExportRow{};
  row_.source = &source_;
  row_.event = &event;
  row_.op = b.op, row_.info = op_info(b.op);
  row_.pid = b.pid, row_.tid = b.tid;
  row_.process = process(b.process, b.process_serial);
  row_.seq = b.call_seq;
  set_time(b.begin_tick);
  row_.latest_ns = row_.time_ns;
  row_.depth = place.depth;
  row_.flags = flag_names(b.flags);
  row_.stack = stacks_.of(event);
  text_.clear();
  append_call(text_, event);
  row_.text = text_;
  if (b.op >= Op::kCallOps) return;
  if (b.caller) row_.caller = caller_text(b.image, b.caller);
  fill_outcome(event, place.fate);
  fill_figures(event);
}

void ExportWalk::fill_outcome(const Event& event, Fate fate) {
  constexpr std::string_view kOutcomes[] = {"returned", "new-image", "open", "never-returns"};
  row_.outcome = kOutcomes[static_cast<size_t>(fate)];
  if (const auto cause = causes_.find(event.position); cause != causes_.end())
    row_.cause = cause->second;
  if (event.failed()) row_.error = errno_name(event.base.err);
  if (!row_.info) return;
  row_.address = address_of(event, *row_.info);
  if (!event.returned()) return;
  const EventBase& b = event.base;
  const bool is_break =
      b.op == Op::kBrk && is_system_call(b);  // the kernel's brk returns where the break is
  const bool address =
      is_break || row_.info->result == Result::kAddress || row_.info->result == Result::kMapAddress;
  if ((!address || event.failed()) && row_.info->result != Result::kNone) row_.result = b.result;
  if (is_break) row_.address = hex_text(static_cast<uint64_t>(b.result));
  if (b.end_tick >= b.begin_tick)
    row_.duration_ns = log_.ticks_to_ns(static_cast<int64_t>(b.end_tick - b.begin_tick));
  row_.child = child_pid(event);
}

void ExportWalk::fill_figures(const Event& event) {
  if (has_size(event.base.op)) row_.requested_bytes = requested_bytes(event);
  row_.charge_bytes = in_bytes(charge_kb(event, rules_));
  if (const Growth* change = find_growth(growth_, event.position)) {
    row_.charge_change_bytes = in_bytes(change->charge_kb);
    row_.size_change_bytes = times(change->size_kb, 1024);
  }
  const uint64_t after = event.base.args[5];  // see Op
  if (is_fork_op(event.base.op) && event.returned() && after != 0 && after != kUnknown)
    row_.committed_after_bytes = after * 1024;
}

void ExportWalk::fill(const Call& call, uint64_t tick) {
  const bool same_process = row_.call && row_.process && row_.pid == call.pid &&
                            row_.process->index == call.process &&
                            row_.process->slot.serial == call.process_serial;
  const Process* who = same_process ? row_.process : process(call.process, call.process_serial);
  if (!row_.call) row_ = ExportRow{};
  row_.source = &source_;
  row_.call = &call;
  row_.process = who;
  row_.op = call.op, row_.info = op_info(call.op);
  row_.pid = call.pid, row_.tid = call.tid;
  row_.seq = call.seq;
  set_time(tick);
  row_.latest_ns = call.latest_tick ? std::optional(log_.posix_ns(call.latest_tick)) : std::nullopt;
  row_.flags.clear();
  if (call.failed) row_.flags.emplace_back("failed");
  row_.outcome = "returned";
  row_.address.clear();
  append_hex(row_.address, call.address);
  row_.requested_bytes = call.op == Op::kFree ? std::nullopt : std::optional(call.size);
  row_.caller =
      call.caller ? std::string_view(caller_text(call.image, call.caller)) : std::string_view();
  text_.clear();
  append_lane_call(text_, call);
  row_.text = text_;
}

}  // namespace ovc
