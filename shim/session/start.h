// SPDX-License-Identifier: MIT
//
// The steps that recording begins with, whether the program begins (session.cc) or runs already
// (attach.cc). In this order: open_log(), know_tick_rate(), map_private(),
// enter_libc(), begin_recording().
#pragma once
#include "shim/libc/libc_patch.h"
#include "shim/record/log_file.h"
#include "shim/record/process.h"

namespace ovcshim {

struct Settings {
  LogWish log;
  bool enabled = true;
  bool internals = true;
};

struct StartProblem {
  const char* why;
  int err;  // 0: none fits
  char* path;
};

void know_tick_rate();
bool map_private(StartProblem& problem);
// libc's own system calls, from now on.
void enter_libc(const Settings& settings, const StatFields& stat, OtherThreads others);
// The process enters the log, with its objects and its mappings. The position of its kStart.
uint64_t begin_recording(const Settings& settings, const StatFields& stat);

}  // namespace ovcshim
