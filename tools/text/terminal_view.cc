// SPDX-License-Identifier: MIT
#include "tools/text/terminal_view.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace ovc {
namespace {

constexpr std::string_view kHideCursor = "\x1b[?25l", kShowCursor = "\x1b[?25h",
                           kEraseBelow = "\x1b[J", kPlain = "\x1b[0m";
constexpr size_t kUsualColumns = 80, kUsualRows = 24, kFewestColumns = 8;
constexpr size_t kIndent = 4;

bool is_set(const char* name) {
  const char* value = getenv(name);
  return value && *value;
}

bool moves_cursor() {
  const char* term = getenv("TERM");
  return isatty(STDOUT_FILENO) && term && *term && std::string_view(term) != "dumb";
}

// The next character, or a whole colour: its bytes and cells. The colours are ours, other control
// bytes were escaped before.
struct Glyph {
  size_t bytes = 1, cells = 1;
};
Glyph glyph_at(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead == 0x1b) return {std::min(text.find('m'), text.size() - 1) + 1, 0};
  const size_t bytes = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  return {std::min(bytes, text.size()),
          lead >= 0xe1 ? size_t{2} : size_t{1}};  // from U+1000 on some are wide
}

}  // namespace

size_t cells(std::string_view text) {
  size_t sum = 0;
  for (Glyph glyph; !text.empty(); text.remove_prefix(glyph.bytes))
    sum += (glyph = glyph_at(text)).cells;
  return sum;
}

std::string clipped(std::string_view text, size_t width) {
  size_t bytes = 0, sum = 0;
  for (std::string_view rest = text; !rest.empty(); rest = text.substr(bytes)) {
    const Glyph glyph = glyph_at(rest);
    if (sum + glyph.cells > width) break;
    bytes += glyph.bytes, sum += glyph.cells;
  }
  std::string out(text.substr(0, bytes));
  if (bytes < text.size() && out.find('\x1b') != std::string::npos) out += kPlain;
  return out;
}

std::string folded(std::string_view text, size_t width) {
  const size_t indent = width > 4 * kIndent ? kIndent : 0;
  std::string out, line;
  const auto room = [&] { return out.empty() ? width : width - indent; };
  const auto end_line = [&](size_t bytes) {  // at least one
    if (!out.empty()) out += '\n' + std::string(indent, ' ');
    out.append(line, 0, line.find_last_not_of(' ', bytes - 1) + 1);
    line.erase(0, bytes);
    line.erase(0, std::min(line.find_first_not_of(' '), line.size()));
  };
  for (Glyph glyph; !text.empty(); text.remove_prefix(glyph.bytes)) {
    glyph = glyph_at(text);
    if (cells(line) + glyph.cells > room()) {
      const size_t space = line.rfind(' ');
      if (!line.empty()) end_line(space == std::string::npos || space == 0 ? line.size() : space);
    }
    line += text.substr(0, glyph.bytes);
  }
  if (!line.empty()) end_line(line.size());
  return out;
}

TerminalView::TerminalView(Out& out)
    : out_(out), in_place_(moves_cursor()), colours_(in_place_ && !is_set("NO_COLOR")) {}

std::string TerminalView::painted(Colour colour, std::string_view text) const {
  if (!colours_) return std::string(text);
  return fmt::format("\x1b[{}m{}{}", static_cast<int>(colour), text, kPlain);
}

TerminalView::Size TerminalView::size_now() const {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) size = {};
  return {std::max<size_t>(size.ws_col ? size.ws_col : kUsualColumns, kFewestColumns),
          size.ws_row ? size.ws_row : kUsualRows};
}

// Where a window became narrower, some terminals have broken the block's lines, others have not: a
// part of the block may then be left standing, but nothing above it is ever taken away.
void TerminalView::erase() {
  if (drawn_ == 0) return;
  if (drawn_ > 1) out_.text() += fmt::format("\x1b[{}A", drawn_ - 1);
  drawn_ = 0;
  out_.text() += '\r';
  out_.text() += kEraseBelow;
}

void TerminalView::write_folded(std::string_view lines, size_t width) {
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    out_.text() += folded(lines.substr(0, end), width) + '\n';
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
}

// All in one write, so that nothing half drawn is seen. The last column stays free: some terminals
// go on to the next line there.
void TerminalView::show(std::string_view lines, const std::vector<std::string>& block) {
  if (!in_place_) {
    out_.text() += lines;
    return out_.flush();
  }
  const Size size = size_now();
  if (!std::exchange(cursor_hidden_, true)) out_.text() += kHideCursor;
  erase();
  write_folded(lines, size.columns - 1);
  const size_t most = std::max<size_t>(size.rows, 2) - 1;
  drawn_ = std::min(block.size(), most);
  for (size_t i = 0; i < drawn_; ++i)
    out_.text() += (i ? "\n" : "") + clipped(block[i], size.columns - 1);
  out_.text() += '\r';  // so that the ^C that a terminal shows has room
  out_.flush();
}

void TerminalView::leave(std::string_view lines) {
  if (!std::exchange(cursor_hidden_, false)) return;
  erase();
  write_folded(lines, columns() - 1);
  out_.text() += kShowCursor;
  try {
    out_.flush();
  } catch (const std::exception&) {  // the terminal is gone
  }
}

}  // namespace ovc
