// SPDX-License-Identifier: MIT
//
// THE table of columns of export_rows.h.
#include "tools/export/export_rows.h"

namespace ovc {
namespace {

using ovcshim::kUnknown;

Cell text(std::string_view value) { return value.empty() ? Cell() : Cell(value); }
template <typename Value>
Cell figure(const std::optional<Value>& value) {
  return value ? Cell(*value) : Cell();
}
Cell scaled(uint64_t value, uint64_t unit) {
  return value == kUnknown ? Cell() : Cell(value * unit);
}

// A figure of the state that a call met, in units of `unit` bytes.
template <uint64_t ovcshim::CommitState::*kField, uint64_t kUnit>
Cell met(const ExportRow& row) {
  const bool read =
      row.event && row.op < Op::kCallOps && row.event->base.before.committed_kb != kUnknown;
  return read ? scaled(row.event->base.before.*kField, kUnit) : Cell();
}
template <uint64_t ovcshim::CommitState::*kField>
Cell met_pages(const ExportRow& row) {
  const Cell pages = met<kField, 1>(row);
  const auto* count = std::get_if<uint64_t>(&pages);
  return count ? Cell(*count * row.source->page_bytes) : Cell();
}

using State = ovcshim::CommitState;
constexpr auto kInteger = ColumnType::kInteger;
constexpr auto kText = ColumnType::kText;
constexpr auto kList = ColumnType::kList;

// clang-format off
constexpr Column kColumns[] = {
    {"host", kText, [](const ExportRow& r) { return text(r.source->host); }},
    {"boot_id", kText, [](const ExportRow& r) { return text(r.source->boot_id); }},
    {"log", kText, [](const ExportRow& r) { return text(r.source->log); }},
    {"lane", kText, [](const ExportRow& r) { return text(r.event ? "events" : "calls"); }},
    {"position", kInteger, [](const ExportRow& r) { return r.event ? Cell(r.event->position) : Cell(); }},
    {"seq", kInteger, [](const ExportRow& r) { return Cell(r.seq); }},
    {"time", kText, [](const ExportRow& r) { return text(r.time); }},
    {"time_ns", kInteger, [](const ExportRow& r) { return Cell(r.time_ns); }},
    {"latest_ns", kInteger, [](const ExportRow& r) { return figure(r.latest_ns); }},
    {"pid", kInteger, [](const ExportRow& r) { return Cell(uint64_t{r.pid}); }},
    {"tid", kInteger, [](const ExportRow& r) { return Cell(uint64_t{r.tid}); }},
    {"comm", kText, [](const ExportRow& r) { return r.process ? text(r.process->slot.comm) : Cell(); }},
    {"exe", kText, [](const ExportRow& r) { return r.process ? text(r.process->slot.exe) : Cell(); }},
    {"op", kText, [](const ExportRow& r) { return text(op_name(r.op)); }},
    {"depth", kInteger, [](const ExportRow& r) { return Cell(uint64_t{r.depth}); }},
    {"flags", kList, [](const ExportRow& r) { return Cell(std::span(r.flags)); }},
    {"outcome", kText, [](const ExportRow& r) { return text(r.outcome); }},
    {"errno", kText, [](const ExportRow& r) { return text(r.error); }},
    {"cause", kText, [](const ExportRow& r) { return text(r.cause); }},
    {"result", kInteger, [](const ExportRow& r) { return figure(r.result); }},
    {"address", kText, [](const ExportRow& r) { return text(r.address); }},
    {"duration_ns", kInteger, [](const ExportRow& r) { return figure(r.duration_ns); }},
    {"requested_bytes", kInteger, [](const ExportRow& r) { return figure(r.requested_bytes); }},
    {"charge_bytes", kInteger, [](const ExportRow& r) { return figure(r.charge_bytes); }},
    {"charge_change_bytes", kInteger, [](const ExportRow& r) { return figure(r.charge_change_bytes); }},
    {"size_change_bytes", kInteger, [](const ExportRow& r) { return figure(r.size_change_bytes); }},
    {"committed_as_bytes", kInteger, met<&State::committed_kb, 1024>},
    {"committed_as_after_bytes", kInteger, [](const ExportRow& r) { return figure(r.committed_after_bytes); }},
    {"commit_limit_bytes", kInteger, met<&State::limit_kb, 1024>},
    {"reading_age_ns", kInteger, met<&State::age_ns, 1>},
    {"vm_size_bytes", kInteger, met_pages<&State::vm_size_pages>},
    {"resident_bytes", kInteger, met_pages<&State::resident_pages>},
    {"data_bytes", kInteger, met_pages<&State::data_pages>},
    {"child_pid", kInteger, [](const ExportRow& r) { return r.child ? Cell(uint64_t{r.child}) : Cell(); }},
    {"caller", kText, [](const ExportRow& r) { return text(r.caller); }},
    {"call", kText, [](const ExportRow& r) { return text(r.text); }},
    {"stack_id", kInteger, [](const ExportRow& r) { return r.stack ? Cell(r.stack->id) : Cell(); }},
    {"stack", kList, [](const ExportRow& r) { return r.stack ? Cell(std::span(r.stack->texts)) : Cell(); }},
};
// clang-format on

}  // namespace

std::span<const Column> export_columns() { return kColumns; }

}  // namespace ovc
