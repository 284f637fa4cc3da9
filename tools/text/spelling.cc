// SPDX-License-Identifier: MIT
#include "tools/text/spelling.h"

#include <fmt/format.h>

#include <algorithm>

namespace ovc {
namespace {

constexpr size_t kLongestWord = 64;  // what is longer is no misspelt name of ours
constexpr size_t kLettersPerError = 3;

}  // namespace

// Optimal string alignment distance, row by row.
size_t typing_errors(std::string_view a, std::string_view b) {
  std::vector<size_t> before, above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = above;
    above = row;
  }
  return above[b.size()];
}

std::string nearest(std::string_view word, const std::vector<std::string>& names) {
  if (word.size() < 2 || word.size() > kLongestWord) return {};
  std::string best;
  size_t fewest = word.size() / kLettersPerError + 2;
  for (const std::string& name : names) {
    const size_t errors = name.starts_with(word) ? 0 : typing_errors(word, name);
    if (errors >= fewest || errors >= name.size()) continue;
    fewest = errors;
    best = name;
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& names) {
  const std::string name = nearest(word, names);
  return name.empty() ? "" : fmt::format(" (did you mean '{}'?)", name);
}

}  // namespace ovc
