// SPDX-License-Identifier: MIT
//
// See raw_lane.h.
#include "tests/trust/kill/raw_lane.h"

#include <cstring>
#include <fstream>

namespace kill_test {

using namespace ovcshim;

RawLane::RawLane(const std::string& path, const FileHeader& header) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(header.calls.offset));
  std::vector<unsigned char> chunk(kChunkBytes);
  uint64_t claimed = header.calls.bytes / kChunkBytes;
  if (header.chunk_cursor < claimed) claimed = header.chunk_cursor;
  for (uint64_t i = 0; i < claimed && file.read(reinterpret_cast<char*>(chunk.data()), kChunkBytes); ++i) look_at(chunk);
}

void RawLane::look_at(const std::vector<unsigned char>& chunk) {
  ChunkHeader header;
  std::memcpy(&header, chunk.data(), sizeof header);
  if (header.ready != 1) return;
  uint64_t there = 0, behind = 0;  // behind: empty places since the last record
  for (uint64_t at = kChunkHeaderBytes; at < kChunkBytes; at += kCallRecordBytes) {
    CallRecord record;
    std::memcpy(&record, chunk.data() + at, sizeof record);
    if (record.word == 0) {
      ++behind;
      continue;
    }
    holes_ += behind;
    behind = 0;
    there += at % kTimeMarkBytes != 0;
  }
  if (chunk_status(header.owner) == ChunkStatus::kClosed) holes_ += behind;
  records_ += there;
}

}  // namespace kill_test
