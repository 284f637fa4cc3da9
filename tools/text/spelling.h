// SPDX-License-Identifier: MIT
//
// "did you mean": which of some names was probably meant by a word that is none of them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace ovc {

// Letters to insert, remove, replace or swap with their neighbour to make one of the other.
size_t typing_errors(std::string_view a, std::string_view b);

// The nearest of `names`, or one that begins with the word; empty if none is near. Of equally near
// ones the first.
std::string nearest(std::string_view word, const std::vector<std::string>& names);
// " (did you mean 'NAME'?)", or nothing.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& names);

}  // namespace ovc
