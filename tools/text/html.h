// SPDX-License-Identifier: MIT
//
// Pieces of HTML. Whatever comes from a log goes through html_text or html_raw before it stands in
// a page.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tools/text/json_fwd.h"
#include "tools/text/output.h"

namespace ovc {

std::string html_text(
    std::string_view text);  // of text that is escaped() already: only what is markup is replaced
std::string html_raw(std::string_view raw);  // bytes of the log

std::string html_kb(uint64_t kb);  // "1.7 GiB", with the exact figure in its title
std::string html_kb_range(
    uint64_t low, uint64_t high);  // the same, or "1.7 to 1.8 GiB" where it is not known exactly
std::string html_time(int64_t posix_ns);  // "14:23:33.819" with date and time zone in its title
std::string html_number(uint64_t value);  // "12,345"
std::string html_duration(int64_t ns);    // "3.2 ms" with ns in its title
std::string html_note(const std::string& html);                // a paragraph in small print
std::string html_list(const std::vector<std::string>& items);  // <ul> of items that are HTML

// A table with a caption, heads in scope. Cells are HTML.
class HtmlTable {
 public:
  // kinds: a character per column: 'l' left, 'r' right, 'h' the row's head, 'w' wide text that may
  // break anywhere
  HtmlTable(std::string caption, std::vector<std::string> heads, std::string kinds);
  void row(const std::vector<std::string>& cells, std::string_view id = {},
           std::string_view row_class = {});
  size_t rows() const { return rows_; }
  std::string text(std::string_view id = {}) const;

 private:
  std::string caption_, kinds_, body_;
  std::vector<std::string> heads_;
  size_t rows_ = 0;
};

// For a <script type="application/json">: nothing in it can end the element or begin a comment.
std::string json_in_html(const Json& value);

// Replaces {{name}} by its value, once: what is put in is not looked at again. Throws Error for a
// name without value.
std::string fill_template(std::string_view page,
                          const std::map<std::string, std::string, std::less<>>& values);

}  // namespace ovc
