// SPDX-License-Identifier: MIT
//
// Reading /proc and /sys: whole small files, big ones line by line through a bounded buffer, and
// numbers out of them. What is not there or cannot be read is std::nullopt; who needs the reason
// asks for the errno.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shim/format/log_format.h"

namespace ovc {

// Where the running system is looked at. Recorded trees (tests) put other folders here.
struct SystemRoot {
  std::string proc = "/proc";
  std::string files;                            // goes before the mount points of control groups
  std::vector<ovcshim::Fact> own_figures = {};  // what host_files.h would give, for recorded trees
};

// A small file, at most 64 KiB of it. On failure nullopt, and the errno in `error` if given.
std::optional<std::string> read_small(const std::string& path, int* error = nullptr);
// Calls `each` with every line, without its newline; a line longer than 64 KiB comes in pieces. 0,
// or the errno of the call that failed; lines before a failure have been given by then.
int for_each_line(const std::string& path, const std::function<void(std::string_view)>& each);
// The first number in a text, leading blanks skipped. "max" and "unlimited" are kInfinite.
std::optional<uint64_t> first_number(std::string_view text);
std::optional<uint64_t> number_in(const std::string& path);
// The number after `key` at the start of a line: number_after(meminfo, "MemTotal:").
std::optional<uint64_t> number_after(std::string_view text, std::string_view key);
// The rest of the line that starts with `key`, without leading blanks.
std::optional<std::string_view> line_after(std::string_view text, std::string_view key);
// What a symbolic link such as /proc/1/ns/pid says; the inode in "pid:[4026531836]".
std::optional<uint64_t> namespace_inode(const std::string& path, int* error = nullptr);

}  // namespace ovc
