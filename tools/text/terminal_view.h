// SPDX-License-Identifier: MIT
//
// A few lines at the bottom of a terminal that are redrawn in place, below lines that scroll by and
// stay in the scrollback. Where standard output is no terminal, or one that cannot move its cursor
// (TERM=dumb), only the lines are written.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/text/output.h"

namespace ovc {

enum class Colour : uint8_t { kRed = 31, kGreen = 32, kYellow = 33 };

// Cells of a terminal that a text takes: colours none, characters that can be wide two.
size_t cells(std::string_view text);
// The text's beginning that fits.
std::string clipped(std::string_view text, size_t width);
// The text in lines that fit, broken at spaces where there are any; all but the first are indented.
std::string folded(std::string_view text, size_t width);

class TerminalView {
 public:
  explicit TerminalView(Out& out);  // on standard output, through `out`
  ~TerminalView() { leave(); }
  TerminalView(const TerminalView&) = delete;
  TerminalView& operator=(const TerminalView&) = delete;

  bool in_place() const { return in_place_; }
  size_t columns() const { return size_now().columns; }
  // As it is where there are no colours: no terminal, TERM=dumb, NO_COLOR.
  std::string painted(Colour colour, std::string_view text) const;
  // Writes the lines (each ends with \n) above the block, and the block anew. In a pipe: the lines
  // alone.
  void show(std::string_view lines, const std::vector<std::string>& block);
  // Takes the block away and gives the cursor back: before the end, a stop, and whatever else is
  // written there. The lines, if any, are for a terminal alone.
  void leave(std::string_view lines = "");

 private:
  struct Size {
    size_t columns, rows;
  };
  Size size_now() const;
  void erase();
  void write_folded(std::string_view lines, size_t width);

  Out& out_;
  bool in_place_, colours_, cursor_hidden_ = false;
  size_t drawn_ = 0;  // lines of the block on the screen
};

}  // namespace ovc
