// SPDX-License-Identifier: MIT
//
// The threads of a process with their stacks in names, and what each waits for.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "tools/attach/process_facts.h"
#include "tools/attach/walker.h"
#include "tools/symbols/symbols.h"

namespace ovc {

// The objects that are mapped there, with files that could be opened and are the same.
std::vector<ModuleInfo> live_modules(uint32_t pid, const std::vector<MapLine>& lines);

// A lock that a thread waits for: the address of its word, and who holds it if the word tells.
struct AwaitedLock {
  uint64_t address = 0;
  std::string place;               // "libc.so.6+0x1d2c60", "[heap]", a file name; raw
  std::optional<uint32_t> holder;  // a pthread mutex says whose it is
  bool holder_is_here = false;     // it is a thread of this process
};

struct NamedThread {
  uint32_t tid = 0;
  std::string name;   // raw
  std::string call;   // the system call that it is in; empty: none, or it was not in one
  bool runs = false;  // it was not in a system call
  std::vector<Frame> frames;
  WalkEnd end = WalkEnd::kLost;
  std::optional<AwaitedLock> lock;
};

struct ProcessStacks {
  ProcessFacts facts;
  std::vector<NamedThread> threads;
  int64_t stopped_ns = 0;
};

// Stops the process for as long as it takes to copy, then reads. Throws Error with the reason where
// that cannot be done.
ProcessStacks read_stacks(uint32_t pid);

}  // namespace ovc
