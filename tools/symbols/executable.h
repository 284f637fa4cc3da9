// SPDX-License-Identifier: MIT
//
// Can the loader preload the shim into a program? What its file tells: static, other architecture,
// set-uid, capabilities, another loader.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace ovc {

// Why the loader puts no shim into an image of this file ("it is linked statically"); empty if
// nothing in the file speaks against it. A script is judged by its interpreter. nullopt if the file
// cannot be read, or was changed after `before_ns` (CLOCK_REALTIME).
std::optional<std::string> why_without_shim(const std::string& path, int64_t before_ns = INT64_MAX);

// Was the file made by the Go linker? False if it cannot be read, or was changed after `before_ns`.
bool has_go_note(const std::string& path, int64_t before_ns = INT64_MAX);

// Is jemalloc a part of this file, linked statically? By a message of it, which stripping leaves.
bool has_jemalloc_inside(const std::string& path);

// As execvp searches: names with a slash as they are, others in this process's PATH. Empty if there
// is none.
std::string find_program(const std::string& name);

}  // namespace ovc
