// SPDX-License-Identifier: MIT
//
// Stands in for shim/proc/proc_file.cc: every file of /proc has the harness's bytes, given in
// pieces of the size it says.
#include "tests/fuzz/proc_file_of_bytes.h"

#include <algorithm>
#include <cstring>

#include "shim/proc/proc_file.h"

namespace ovcshim {

constinit FileOfBytes g_file_of_bytes{};

SignalsWait::SignalsWait() = default;  // nothing comes in between
SignalsWait::~SignalsWait() = default;

ProcFile::ProcFile(const char*) : alone_(false), number_(0) {}
ProcFile::~ProcFile() = default;

long ProcFile::read(void* to, uint64_t bytes) {
  const FileOfBytes& file = g_file_of_bytes;
  const auto left = file.size - static_cast<uint64_t>(offset_);
  const uint64_t n = std::min({bytes, left, file.piece});
  std::memcpy(to, file.bytes + offset_, n);
  offset_ += static_cast<long>(n);
  return static_cast<long>(n);
}
long ProcFile::read_list(void* to, uint64_t bytes) { return read(to, bytes); }

void close_inherited_files() {}
void note_single_threaded(const char*) {}
void note_shared_descriptors() {}

}  // namespace ovcshim
