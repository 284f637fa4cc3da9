// SPDX-License-Identifier: MIT
//
// See raw_lane.h.
#include "tests/trust/kill/raw_lane.h"

#include <algorithm>
#include <cstring>
#include <fstream>

namespace kill_test {

using namespace ovcshim;

RawLane::RawLane(const std::string& path, const FileHeader& header) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(header.calls.offset));
  std::vector<unsigned char> chunk(kChunkBytes);
  const uint64_t chunks = header.calls.bytes / kChunkBytes,
                 claimed = std::min(chunks, header.chunk_cursor);
  oldest_claim_ = header.chunk_cursor - claimed;
  for (uint64_t i = 0; i < claimed && file.read(reinterpret_cast<char*>(chunk.data()), kChunkBytes);
       ++i)
    look_at(chunk);
}

bool RawLane::has_outlived(uint32_t pid, uint32_t tid) const {
  const auto newest = newest_claim_.find({pid, tid});
  return newest != newest_claim_.end() && newest->second < oldest_claim_;
}

void RawLane::look_at(const std::vector<unsigned char>& chunk) {
  ChunkHeader header;
  std::memcpy(&header, chunk.data(), sizeof header);
  if (header.ready != 1) return;
  uint64_t& newest = newest_claim_[{header.pid, header.tid}];
  newest = std::max(newest, header.claim);
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
