// SPDX-License-Identifier: MIT
//
// JSON lines and CSV (RFC 4180): one record a line, the columns of export_columns(). JSON has what
// does not fit into columns, too: the arguments by name, the figures read with the record, the
// mappings of a list.
#include "tools/export/export_file.h"
#include "tools/export/export_formats.h"
#include "tools/export/export_mapping.h"
#include "tools/export/export_rows.h"
#include "tools/log/call_text.h"
#include "tools/log/log_reader.h"
#include "tools/text/json.h"

namespace ovc {
namespace {

bool is_plain(std::string_view text) {
  for (const char c : text)
    if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') return false;
  return true;
}

void append_signed(std::string& out, int64_t value) {
  if (value < 0) out += '-';
  append_number(out, value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value));
}

struct JsonCell {
  std::string& out;
  void operator()(std::monostate) const { out += "null"; }
  void operator()(int64_t value) const { append_signed(out, value); }
  void operator()(uint64_t value) const { append_number(out, value); }
  void operator()(std::string_view text) const { append_json_string(out, text); }
  void operator()(std::span<const std::string> list) const {
    out += '[';
    for (size_t i = 0; i < list.size(); ++i) out += i ? "," : "", append_json_string(out, list[i]);
    out += ']';
  }
};

void append_extras(std::string& out, const Event& event) {
  if (event.base.op < Op::kCallOps) out += ",\"args\":" + json_text(arguments_json(event));
  if (!event.facts.empty()) out += ",\"facts\":" + json_text(facts_json(event.facts));
  if (event.mappings.empty()) return;
  Json list = Json::array();
  for (const auto& mapping : event.mappings) list.push_back(listed_json(mapping));
  out += ",\"mappings\":" + json_text(list);
}

// Text as ovc prints it, so that no control character of the log gets into a table; in quotes where
// RFC 4180 wants them.
void append_field(std::string& out, std::string_view raw) {
  if (!raw.empty() && is_plain(raw) && raw.find(',') == std::string_view::npos) {
    out += raw;
    return;
  }
  const std::string shown = escaped(raw);
  const bool quoted = shown.empty() || shown.find_first_of(",\"") != std::string::npos;
  if (!quoted) {
    out += shown;
    return;
  }
  out += '"';
  for (const char c : shown) out += c == '"' ? "\"\"" : std::string_view(&c, 1);
  out += '"';
}

struct CsvCell {
  std::string& out;
  const std::string& null;
  void operator()(std::monostate) const { out += null; }
  void operator()(int64_t value) const { append_signed(out, value); }
  void operator()(uint64_t value) const { append_number(out, value); }
  void operator()(std::string_view text) const { append_field(out, text); }
  void operator()(std::span<const std::string> list) const {
    if (list.empty()) return (*this)(std::monostate());
    std::string joined;
    for (const std::string& item : list) joined += (joined.empty() ? "" : ";") + item;
    append_field(out, joined);
  }
};

// One line for each row; `line` appends it to the text.
template <typename Line>
void write_lines(const LogReader& log, const ExportOptions& options, const std::string& head,
                 const Line& line) {
  const ExportSource source(log, options.host);
  ExportText out(options.output);
  out.text() += head;
  ExportWalk walk(log, source);
  walk.walk(
      [&](const ExportRow& row) {
        line(out.text(), row);
        out.done();
      },
      options.calls);
  out.finish();
}

}  // namespace

void append_json_string(std::string& out, std::string_view raw) {
  if (!is_plain(raw)) {
    out += json_text(Json(raw));
    return;
  }
  out += '"';
  out += raw;
  out += '"';
}

void export_json(const LogReader& log, const ExportOptions& options) {
  write_lines(log, options, "", [](std::string& out, const ExportRow& row) {
    char before = '{';
    for (const Column& column : export_columns()) {
      out += before;
      out += '"';
      out += column.name;
      out += "\":";
      std::visit(JsonCell{out}, column.cell(row));
      before = ',';
    }
    if (row.event) append_extras(out, *row.event);
    out += "}\n";
  });
}

void export_csv(const LogReader& log, const ExportOptions& options) {
  std::string head;
  for (const Column& column : export_columns())
    head += (head.empty() ? "" : ",") + std::string(column.name);
  write_lines(log, options, head + "\r\n", [&](std::string& out, const ExportRow& row) {
    bool first = true;
    for (const Column& column : export_columns()) {
      if (!std::exchange(first, false)) out += ',';
      std::visit(CsvCell{out, options.null}, column.cell(row));
    }
    out += "\r\n";
  });
}

}  // namespace ovc
