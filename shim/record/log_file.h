// SPDX-License-Identifier: MIT
//
// Finds, creates or joins the log file and maps it. Cold; runs in the constructor only.
#pragma once
#include "shim/record/state.h"

namespace ovcshim {

struct LogWish {
  const char* inject = nullptr;  // OVCSHIM_INJECT, OVCSHIM_REHEARSE: for the header
  const char* rehearse = nullptr;
  const char* path_template = nullptr;  // OVCSHIM_LOG, nullptr: the default
  uint64_t events_bytes = 16u << 20;
  uint64_t calls_bytes = 64u << 20;
  uint64_t min_size = 0;
  uint32_t stack_depth = 32;
  uint32_t follow = 2;
};

// Maps the log and fills the parts of `g` that describe it. Otherwise *why says what failed and
// *err is the errno (0: none fits); `path` has kPathRoom bytes, and is the file that it is about.
bool open_log(const LogWish& wish, const char** why, int* err, char* path);

// What lies before the call lane is touched here and there, the call lane from end to end: the
// kernel is told so for the mapping.
void advise_log(bool mapped_again);

}  // namespace ovcshim
