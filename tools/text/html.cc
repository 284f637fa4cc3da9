// SPDX-License-Identifier: MIT
//
// See html.h.
#include "tools/text/html.h"

#include <fmt/format.h>

#include "shim/format/log_format.h"
#include "tools/text/error.h"
#include "tools/text/json.h"

namespace ovc {

std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string html_raw(std::string_view raw) { return html_text(escaped(raw)); }

std::string html_kb(uint64_t kb) {
  if (kb >= ovcshim::kInfinite) return kb_text(kb);
  if (kb > UINT64_MAX / 1024) return kb_text(kb);
  return fmt::format("<data value=\"{}\" title=\"{}\">{}</data>", kb, kb_text(kb),
                     size_text(kb * 1024));
}

std::string html_kb_range(uint64_t low, uint64_t high) {
  return low == high ? html_kb(low) : html_kb(low) + " to " + html_kb(high);
}

std::string html_time(int64_t posix_ns) {
  return fmt::format("<time datetime=\"{}\" title=\"{}\">{}</time>", iso_text(posix_ns),
                     date_text(posix_ns), clock_text(posix_ns, 3));
}

std::string html_number(uint64_t value) { return grouped(value); }

std::string html_duration(int64_t ns) {
  if (ns < 0) return "unknown";
  return fmt::format("<data value=\"{}\" title=\"{} ns\">{}</data>", ns,
                     grouped(static_cast<uint64_t>(ns)), duration_text(ns));
}

std::string html_note(const std::string& html) { return "<p class=\"note\">" + html + "</p>\n"; }

std::string html_list(const std::vector<std::string>& items) {
  std::string out = "<ul>\n";
  for (const std::string& item : items) out += "<li>" + item + "</li>\n";
  return out + "</ul>\n";
}

HtmlTable::HtmlTable(std::string caption, std::vector<std::string> heads, std::string kinds)
    : caption_(std::move(caption)), kinds_(std::move(kinds)), heads_(std::move(heads)) {
  kinds_.resize(heads_.size(), 'l');
}

void HtmlTable::row(const std::vector<std::string>& cells, std::string_view id,
                    std::string_view row_class) {
  ++rows_;
  body_ += "<tr";
  if (!id.empty()) body_ += fmt::format(" id=\"{}\" tabindex=\"-1\"", id);
  if (!row_class.empty()) body_ += fmt::format(" class=\"{}\"", row_class);
  body_ += '>';
  for (size_t i = 0; i < heads_.size(); ++i) {
    const std::string& cell = i < cells.size() ? cells[i] : "";
    const char kind = kinds_[i];
    if (kind == 'h') body_ += "<th scope=\"row\">" + cell + "</th>";
    else
      body_ += (kind == 'r'   ? "<td class=\"r\">"
                : kind == 'w' ? "<td class=\"w\">"
                              : "<td>") +
               cell + "</td>";
  }
  body_ += "</tr>\n";
}

// The frame can be scrolled, so it must be reachable by keyboard.
std::string HtmlTable::text(std::string_view id) const {
  std::string out = fmt::format(
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table: {}\"><table{}>\n",
      caption_, id.empty() ? "" : fmt::format(" id=\"{}\"", id));
  out += "<caption>" + caption_ + "</caption>\n<thead><tr>";
  for (size_t i = 0; i < heads_.size(); ++i)
    out += fmt::format("<th scope=\"col\"{}>{}</th>", kinds_[i] == 'r' ? " class=\"r\"" : "",
                       heads_[i]);
  return out + "</tr></thead>\n<tbody>\n" + body_ + "</tbody></table></div>\n";
}

std::string json_in_html(const Json& value) {
  std::string out;
  for (const char c : json_text(value)) {
    switch (c) {  // all of them can only stand in strings
      case '<': out += "\\u003c"; break;
      case '>': out += "\\u003e"; break;
      case '&': out += "\\u0026"; break;
      default: out += c;
    }
  }
  return out;
}

std::string fill_template(std::string_view page,
                          const std::map<std::string, std::string, std::less<>>& values) {
  std::string out;
  while (true) {
    const size_t open = page.find("{{");
    out += page.substr(0, open);
    if (open == page.npos) return out;
    const size_t close = page.find("}}", open);
    const auto found = values.find(page.substr(open + 2, close - open - 2));
    if (close == page.npos || found == values.end())
      throw Error("the page's template has a name without a value");
    out += found->second;
    page.remove_prefix(close + 2);
  }
}

}  // namespace ovc
