// SPDX-License-Identifier: MIT
//
// Names of logs: templates, the default places, and the index by which an exec'd descendant finds
// its tree's log.
#pragma once
#include <cstdint>

namespace ovcshim {

inline constexpr char kDefaultTemplate[] = "ovcshim.%c.%p.ovc";
inline constexpr char kFallbackDirectory[] = "/var/tmp/";
inline constexpr uint64_t kPathRoom = 1024;

// %c: command, %p: pid. A '/' in the command becomes '_'. False if it does not fit.
bool expand_template(const char* pattern, char* to, uint64_t room);
bool has_placeholder(const char* pattern);

// Looks through the index for a live log that knows this process or an ancestor of it. True: `path`
// is it.
bool find_tree(char* path, uint64_t room);

// Enters a new log that does not lie in the fallback directory itself: a symbolic link there, named
// after the pid.
void index_tree(const char* path);

// Is this file a log of this boot that holds (pid, start time)? For find_tree and its test.
bool log_knows(const char* path, const uint32_t* pids, const uint64_t* start_ticks, unsigned count);

}  // namespace ovcshim
