// SPDX-License-Identifier: MIT
//
// What the shim's parsers read in the harness, whatever file they open.
#pragma once
#include <cstdint>

namespace ovcshim {

struct FileOfBytes {
  const unsigned char* bytes;
  uint64_t size, piece;  // piece: the most that one read gives
};
extern FileOfBytes g_file_of_bytes;

}  // namespace ovcshim
