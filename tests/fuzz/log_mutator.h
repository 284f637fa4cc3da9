// SPDX-License-Identifier: MIT
//
// Changes of a log that know what a log is made of: fields of its header, slots and their words,
// records, chunks, tables, its length.
#pragma once
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace ovc::fuzz {

// A valid log with a few random records, small enough to be read in a millisecond.
std::vector<unsigned char> make_log(std::mt19937& random);
// One change.
void change_log(std::vector<unsigned char>& log, std::mt19937& random, size_t largest);
// A piece of one log in the place where it stood in the other.
void splice_logs(std::vector<unsigned char>& log, std::span<const unsigned char> other,
                 std::mt19937& random);

}  // namespace ovc::fuzz
