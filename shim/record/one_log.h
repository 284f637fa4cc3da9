// SPDX-License-Identifier: MIT
//
// One log file, made or joined, and mapped. For log_open.cc alone.
#pragma once
#include "shim/record/log_file.h"

namespace ovcshim {

// What failed, and its errno (0: none fits).
struct Problem {
  const char* why = nullptr;
  int err = 0;
  bool unopened = false;   // perhaps there is no such file
  bool too_large = false;  // a good log, but for this process's RLIMIT_AS
  bool anothers = false;   // user's: it has a log under that name, or may have
  bool set(const char* text, long result = 0) {
    why = text;
    err = sys::failed(result) ? static_cast<int>(-result) : 0;
    return false;
  }
};

bool create_log(const char* path, const LogWish& wish, Problem& problem);

// *foreign: a file of this user, but no log that this process may write to.
bool join_log(const char* path, Problem& problem, bool* foreign);

}  // namespace ovcshim
